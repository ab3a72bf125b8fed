"""The runs of a report as one wide table: identity, what was varied, the metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from framework.configuration.study_config import VOLATILE_KEYS
from framework.contracts import MetricDefinition, StoreReader
from framework.identity.run_key import REPEAT_LEAVES


@dataclass(frozen=True)
class MeasuredValue:
    """A metric of one run; `value` is None with the reason in `reason`."""

    value: float | None
    reason: str | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class RunRow:
    """One run: identity, state, varied parameters as text, metrics by name."""

    run_id: str
    backend: str
    status: str
    sanity: str | None
    started_at: datetime | None
    parameters: Mapping[str, str]
    metrics: Mapping[str, MeasuredValue]


@dataclass(frozen=True)
class RunTable:
    """Finished runs with the columns that distinguish them.

    Attributes:
        parameters: names of the parameters that differ between the runs, one for each independent variation.
        metrics: definitions of the metrics in order of display.
        rows: finished runs in the order they were started.
        total: number of finished runs; `rows` may hold fewer.
    """

    parameters: tuple[str, ...]
    metrics: tuple[MetricDefinition, ...]
    rows: tuple[RunRow, ...]
    total: int


def read_run_table(
    store: StoreReader,
    run_ids: Sequence[str],
    definitions: Mapping[str, MetricDefinition],
    max_rows: int,
) -> RunTable:
    """Read the finished runs among `run_ids`; the first `max_rows` in the order they were started."""
    runs = store.query(
        "SELECT run_id, backend, status, sanity, started_at, repeat FROM runs"
        " WHERE status = 'done' AND run_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY started_at, sweep_index, run_id",
        [list(run_ids)],
    ).to_pylist()
    shown = runs[:max_rows]
    ids = [row["run_id"] for row in shown]
    values = _parameter_values(store, ids)
    values["repeat"] = {row["run_id"]: str(row["repeat"]) for row in shown}
    names = distinguishing_parameters(values, ids)
    metrics, units = _metrics(store, ids)
    rows = tuple(
        RunRow(
            run_id=row["run_id"],
            backend=row["backend"],
            status=row["status"],
            sanity=row["sanity"],
            started_at=row["started_at"],
            parameters={name: values[name][row["run_id"]] for name in names if row["run_id"] in values[name]},
            metrics=metrics.get(row["run_id"], {}),
        )
        for row in shown
    )
    return RunTable(names, _ordered_metrics(units, definitions), rows, len(runs))


def read_parameters(
    store: StoreReader, run_ids: Sequence[str], full: bool = False
) -> dict[str, dict[str, str]]:
    """Return the parameters that tell settings apart (seeds don't): short or full name, then run → value as text."""
    found = _parameter_values(store, run_ids)
    values = {name: by_run for name, by_run in found.items() if name.split(".")[-1] not in REPEAT_LEAVES}
    names = distinguishing_parameters(values, run_ids)
    short = {name: name for name in names} if full else short_names(names)
    return {short[name]: values[name] for name in names}


def _parameter_values(store: StoreReader, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return {parameter: {run_id: text}} of the parameters that differ between the runs."""
    found = store.query(
        "WITH mine AS (SELECT run_id, name, coalesce(value, 'null') AS value FROM params"
        " WHERE run_id IN (SELECT unnest(?::VARCHAR[])) AND NOT list_contains(?, split_part(name, '.', 1)))"
        " SELECT run_id, name, value FROM mine WHERE name IN (SELECT name FROM mine GROUP BY name"
        " HAVING count(DISTINCT value) > 1 OR count(*) < ?) ORDER BY name, run_id",
        [list(run_ids), list(VOLATILE_KEYS), len(run_ids)],
    )
    values: dict[str, dict[str, str]] = defaultdict(dict)
    for row in found.to_pylist():
        values[row["name"]][row["run_id"]] = row["value"]
    return dict(values)


def distinguishing_parameters(
    values: Mapping[str, Mapping[str, str]], run_ids: Sequence[str]
) -> tuple[str, ...]:
    """Return the parameters worth a column.

    A model's layers, heads and hidden size follow from its name: `model.*` that `model.name` determines is
    left out. Of parameters that split the runs in the same way the plainest name is kept.
    """
    by_split: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, by_run in values.items():
        numbers: dict[str | None, int] = {}
        split = tuple(numbers.setdefault(by_run.get(run_id), len(numbers)) for run_id in run_ids)
        if len(numbers) > 1 and not _follows_from_name(name, values, run_ids):
            by_split[split].append(name)
    chosen = (min(names, key=_plainness) for names in by_split.values())
    return tuple(sorted(chosen, key=lambda name: (not name.endswith(".name"), name)))


def _follows_from_name(name: str, values: Mapping[str, Mapping[str, str]], run_ids: Sequence[str]) -> bool:
    group = name.split(".")[0]
    owner = f"{group}.name"
    if name == owner or owner not in values:
        return False
    pairs = {(values[owner].get(run_id), values[name].get(run_id)) for run_id in run_ids}
    return len(pairs) == len({owner_value for owner_value, _ in pairs})


def _plainness(name: str) -> tuple[bool, int, int, str]:
    return not name.endswith(".name"), name.count("."), len(name), name


def _metrics(
    store: StoreReader, run_ids: Sequence[str]
) -> tuple[dict[str, dict[str, MeasuredValue]], dict[str, str]]:
    found = store.query(
        "SELECT run_id, name, value, unit, reason, low, high FROM metrics"
        " WHERE run_id IN (SELECT unnest(?::VARCHAR[]))",
        [list(run_ids)],
    )
    metrics: dict[str, dict[str, MeasuredValue]] = defaultdict(dict)
    units: dict[str, str] = {}
    for row in found.to_pylist():
        metrics[row["run_id"]][row["name"]] = MeasuredValue(
            row["value"], row["reason"], row["low"], row["high"]
        )
        units[row["name"]] = units.get(row["name"]) or row["unit"] or ""
    return dict(metrics), units


def _ordered_metrics(
    units: Mapping[str, str], definitions: Mapping[str, MetricDefinition]
) -> tuple[MetricDefinition, ...]:
    """Defined metrics in the order of their definition, then the others by name."""
    defined = [definition for name, definition in definitions.items() if name in units]
    others = [MetricDefinition(name, units[name], "") for name in sorted(units.keys() - definitions.keys())]
    return (*defined, *others)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return for each dotted name its shortest ending that no other name shares.

    `backend.servers` becomes `servers`; `model.name` and `gpu.name` become `model` and `gpu`.
    """
    everything = list(names)
    endings = {name: _endings(name) for name in everything}
    shared: dict[str, int] = defaultdict(int)
    for candidates in endings.values():
        for ending in candidates:
            shared[ending] += 1
    return {
        name: next((ending for ending in candidates if shared[ending] == 1), name)
        for name, candidates in endings.items()
    }


def _endings(name: str) -> list[str]:
    parts = name.removesuffix(".name").split(".")
    return [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]
