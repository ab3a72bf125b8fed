"""Finished runs of the store as columns to learn from: their parameters, and one metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from framework.analysis.prediction.features import Column, FloatArray, group_codes
from framework.analysis.prediction.novelty import Group
from framework.analysis.prediction.predictor import RunPredictor
from framework.contracts import StoreReader
from framework.errors import NotInStoreError, did_you_mean

# Parameters that number repeats or say where a run happened: no cause of a metric.
_NOT_CAUSES = frozenset({"seed", "repeat", "repeats", "outputs_dir", "experiment"})

_METRIC_OF_RUNS = """
SELECT m.run_id, m.value, m.unit, r.backend
FROM metrics m JOIN observations r USING (run_id)
WHERE m.name = ? AND m.value IS NOT NULL AND r.sanity IS DISTINCT FROM 'fail'{where}
ORDER BY m.run_id
"""
_PARAMS_OF_RUNS = """
SELECT p.run_id, p.name, p.value, p.number FROM params p
WHERE p.run_id IN (SELECT m.run_id FROM metrics m WHERE m.name = ? AND m.value IS NOT NULL)
"""


@dataclass(frozen=True)
class LoggedRuns:
    """Runs that have a metric.

    Attributes:
        run_ids: of the runs, sorted.
        metric, unit: what was measured.
        target: its value in each run.
        columns: the parameters that differ between the runs, by dotted name.
        constants: the parameters that are the same in all runs, as text; "" for null.
        backends: what made each run.
    """

    run_ids: tuple[str, ...]
    metric: str
    unit: str
    target: FloatArray
    columns: Mapping[str, Column]
    constants: Mapping[str, str] = field(default_factory=dict)
    backends: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.run_ids)


def logged_runs(store: StoreReader, metric: str, where: str | None = None) -> LoggedRuns:
    """Return the finished runs that have a metric.

    Args:
        store: read access.
        metric: its name.
        where: a condition on view `results` (`backend = 'twin' AND model LIKE 'opt%'`).

    Raises:
        NotInStoreError: no run has the metric, or none matches the condition.
        StoreError: the condition is not SQL.
    """
    clause = f" AND m.run_id IN (SELECT run_id FROM results WHERE {where})" if where else ""
    found = store.query(_METRIC_OF_RUNS.format(where=clause), [metric])
    if found.num_rows == 0:
        names = store.query("SELECT DISTINCT name FROM metrics WHERE value IS NOT NULL").column(0).to_pylist()
        if metric not in names:
            raise NotInStoreError(f"no finished run has the metric '{metric}'{did_you_mean(metric, names)}")
        raise NotInStoreError(f"no finished run with metric '{metric}' matches --where {where}")
    run_ids = found.column("run_id").to_pylist()
    params = store.query(_PARAMS_OF_RUNS, [metric])
    return LoggedRuns(
        tuple(run_ids),
        metric,
        next((unit for unit in found.column("unit").to_pylist() if unit), ""),
        np.asarray(found.column("value").to_numpy(), dtype=np.float64),
        *_varying_and_constant(run_ids, params),
        backends=tuple(found.column("backend").to_pylist()),
    )


def _varying_and_constant(run_ids: list[str], params: object) -> tuple[dict[str, Column], dict[str, str]]:
    """Return a column for each parameter that differs (numbers where every value is one), and the other ones."""
    place = {run_id: row for row, run_id in enumerate(run_ids)}
    texts: dict[str, Column] = {}
    numbers: dict[str, FloatArray] = {}
    rows = zip(*(params.column(i).to_pylist() for i in range(4)), strict=True)  # type: ignore[attr-defined]
    for run_id, name, value, number in rows:
        row = place.get(run_id)
        if row is None or name.rpartition(".")[2] in _NOT_CAUSES:
            continue
        if name not in texts:
            texts[name] = np.full(len(run_ids), None, dtype=object)
            numbers[name] = np.full(len(run_ids), np.nan)
        texts[name][row] = value
        numbers[name][row] = np.nan if number is None else number
    columns: dict[str, Column] = {}
    constants: dict[str, str] = {}
    for name in sorted(texts):
        given = np.array([value is not None for value in texts[name].tolist()])
        if len(set(texts[name].tolist())) < 2:
            constants[name] = "" if texts[name][0] is None else str(texts[name][0])
        else:
            columns[name] = numbers[name] if np.all(np.isfinite(numbers[name][given])) else texts[name]
    return columns, constants


def plan_for(runs: LoggedRuns, level: float) -> RunPredictor:
    """Return how to learn from runs.

    Each configuration group that has a name (`model.name`, `gpu.name` …) is a unit that a row may be new in. A row is
    of a known unit if everything that follows from the name (layers, memory …) is as in some run, whatever its name;
    where nothing follows from the name, the name is all that says what a unit is.
    """
    return RunPredictor(
        groups=tuple(_unit_of(name, runs) for name in runs.columns if _names_a_unit(name)), level=level
    )


def _unit_of(name: str, runs: LoggedRuns) -> Group:
    """Return the unit of a name: what describes it is its key, and a row may contradict what is known of the name."""
    prefix = name.rpartition(".")[0] + "."
    facts = tuple(other for other in runs.columns if other.startswith(prefix) and other != name)
    identity = naming_columns(name, runs.columns)
    key = described_by(name, runs.columns)
    return Group(name.partition(".")[0], key, identity, facts, (name,))


def described_by(name: str, columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Return the columns that say what a unit is: those that have one value for each of its names; else the name."""
    group = name.rpartition(".")[0]
    naming = {name, *naming_columns(name, columns)}
    if (
        group == "workload"
    ):  # what it is made of are settings: a rate between two that were run is no newcomer
        return (name,)
    unit = group_codes(columns, [name])
    found = []
    for other in columns:
        if other.startswith(f"{group}.") and other not in naming:
            both = group_codes(columns, [name, other])
            if len(np.unique(both)) == len(np.unique(unit)):
                found.append(other)
    return tuple(found) or (name,)


def naming_columns(name: str, columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Return the columns of a group that only name its units: texts with a value of their own for each name."""
    group = name.rpartition(".")[0]
    units = len(np.unique(group_codes(columns, [name])))
    return tuple(
        other
        for other, values in columns.items()
        if other == name
        or (
            other.startswith(f"{group}.")
            and values.dtype.kind != "f"
            and len(np.unique(group_codes(columns, [other]))) == units
            and len(np.unique(group_codes(columns, [name, other]))) == units
        )
    )


def _names_a_unit(name: str) -> bool:
    group, _, leaf = name.rpartition(".")
    return leaf in ("name", group) and group != "backend"


def full_name(key: str, runs: LoggedRuns) -> str:
    """Return the dotted name of a parameter given in full, by its last part or by its group (`model`).

    Raises:
        NotInStoreError: no parameter is called so, or several are; names the nearest or all of them.
    """
    for names in (runs.columns, runs.constants):
        if key in names:
            return key
        matches = [name for name in names if name == param_of(key) or name.rpartition(".")[2] == key]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise NotInStoreError(f"'{key}' is ambiguous: {', '.join(sorted(matches))}")
    known = [*runs.columns, *(name.rpartition(".")[2] for name in runs.columns)]
    raise NotInStoreError(f"no run has a parameter '{key}'{did_you_mean(key, known)}")


def param_of(key: str) -> str:
    """Return the parameter that an override sets: `workload=sort` chooses a group's option, by its name."""
    return key if "." in key else f"{key}.name"


def known_value(text: str, values: Iterable[str]) -> str | None:
    """Return the value that a text means: numbers are compared as numbers, words without regard to case."""
    return next((value for value in values if _comparable(value) == _comparable(text)), None)


def _comparable(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text.lower()
