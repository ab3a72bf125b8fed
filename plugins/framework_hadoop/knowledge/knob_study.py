"""What a sweep over knobs teaches at its end: predicted times on held-out runs, and cost against time."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from framework.analysis.choice import edge_of
from framework.analysis.prediction.features import Column, group_codes
from framework.analysis.prediction.logged_runs import LoggedRuns, logged_runs, plan_for
from framework.analysis.prediction.validation_schemes import validate, validation_table
from framework.contracts import ReportScope, StoreReader, TableBlock
from framework.errors import NotInStoreError

BENCHMARK = "workload.benchmark"
TIME = "exe_time_s"
_LEAST_RUNS = 10
_MOST_CANDIDATES = 20_000


@dataclass(frozen=True)
class BestSetting:
    """The setting of the varied knobs that is predicted to be fastest.

    Attributes:
        benchmark: what was run.
        settings: knobs by configuration key.
        predicted_s, low_s, high_s: predicted time with its interval.
        measured: whether it was run, or only follows from others.
        regret: its measured time over the best measured one, minus 1; None if it was not run.
        others: how many other combinations there are.
        overlapping: how many of them have an interval that begins below the end of this one's.
        second, second_s: the next fastest; empty, None where there is no other.
        edges: knobs of at least three values with the largest or the smallest of them, in words.
        run_ids: the benchmark's runs, which it is based on.
    """

    benchmark: str
    settings: Mapping[str, str]
    predicted_s: float
    low_s: float
    high_s: float
    measured: bool
    regret: float | None
    run_ids: tuple[str, ...]
    others: int
    overlapping: int
    second: Mapping[str, str]
    second_s: float | None
    edges: tuple[str, ...]


def knob_runs(store: StoreReader, run_ids: Sequence[str]) -> LoggedRuns | None:
    """Return the engine runs among these runs; None if they are too few, or none varies a knob."""
    chosen = ", ".join(f"'{run_id}'" for run_id in run_ids if run_id.replace("-", "").isalnum())
    try:
        runs = logged_runs(store, TIME, f"run_id IN ({chosen})") if chosen else None
    except NotInStoreError:  # no engine run among them has a time
        return None
    if (
        runs is None
        or len(runs) < _LEAST_RUNS
        or not knob_names(runs.columns)
        or BENCHMARK not in runs.columns
    ):
        return None
    names = knob_names(runs.columns)
    kept = {
        name: values
        for name, values in runs.columns.items()
        if name in names or not name.startswith("backend.")
    }
    return replace(runs, columns=kept)


def knob_names(columns: Mapping[str, Column]) -> list[str]:
    """Return the names of the knobs that differ between runs; of those that move together, the first."""
    names: list[str] = []
    seen: set[bytes] = set()
    for name in sorted(columns):
        if name.startswith("backend.") and name != "backend.name":
            _, first, code = np.unique(group_codes(columns, [name]), return_index=True, return_inverse=True)
            pattern = first[code].tobytes()
            if pattern not in seen:
                seen.add(pattern)
                names.append(name)
    return names


def best_settings(runs: LoggedRuns, level: float = 0.9) -> list[BestSetting]:
    """Predict every combination of the knobs' known values and return the fastest one of each benchmark.

    The median of repeats, never the luckiest run, is what a setting is judged by.
    """
    fitted = plan_for(runs, level).fit(runs.columns, runs.target)
    names = knob_names(runs.columns)
    found = []
    for benchmark in sorted({str(value) for value in runs.columns[BENCHMARK]}):
        own = np.flatnonzero(runs.columns[BENCHMARK] == benchmark)
        values = [_distinct(runs.columns[name][own]) for name in names]
        if math.prod(map(len, values)) > _MOST_CANDIDATES:
            continue
        grid = list(itertools.product(*values))
        columns = _grid_columns(runs, own, names, grid)
        prediction = fitted.predict(columns)
        best, *rest = np.argsort(prediction.predicted, kind="stable").tolist()
        setting = _named(names, grid[best])
        centre = _median_times(runs, own, names)
        measured = centre.get(tuple(setting.values()))
        found.append(
            BestSetting(
                benchmark,
                setting,
                float(prediction.predicted[best]),
                float(prediction.low[best]),
                float(prediction.high[best]),
                measured is not None,
                None if measured is None else measured / min(centre.values()) - 1,
                tuple(runs.run_ids[row] for row in own.tolist()),
                len(rest),
                int(sum(prediction.low[other] <= prediction.high[best] for other in rest)),
                _named(names, grid[rest[0]]) if rest else {},
                float(prediction.predicted[rest[0]]) if rest else None,
                tuple(_edges(names, grid[best], values)),
            )
        )
    return found


def _named(names: Sequence[str], values: Sequence[object]) -> dict[str, str]:
    return {name: _text(value) for name, value in zip(names, values, strict=True)}


def _edges(names: Sequence[str], best: Sequence[object], tried: Sequence[Sequence[object]]) -> Iterator[str]:
    for name, value, known in zip(names, best, tried, strict=True):
        numbers = [item for item in known if isinstance(item, float) and item == item]
        if isinstance(value, float) and len(numbers) >= 3 and (edge := edge_of(value, numbers)):
            yield f"{name}={value:g} is the {edge} that was run: beyond it may be better"


def _distinct(values: Column) -> list[object]:
    seen = {_text(value): value for value in values.tolist()}
    return [seen[text] for text in sorted(seen)]


def _text(value: object) -> str:
    if isinstance(value, float):
        return "null" if value != value else f"{value:g}"
    return "null" if value is None else str(value)


def _grid_columns(
    runs: LoggedRuns, own: np.ndarray, names: Sequence[str], grid: Sequence[tuple[object, ...]]
) -> dict[str, Column]:
    """Return the candidates as columns; what is not a knob is as in the benchmark's first run."""
    columns: dict[str, Column] = {}
    for name, values in runs.columns.items():
        chosen = [row[names.index(name)] for row in grid] if name in names else [values[own[0]]] * len(grid)
        columns[name] = _column(chosen, values.dtype == object)
    return columns


def _column(values: Sequence[object], words: bool) -> Column:
    return np.array(values, dtype=object) if words else np.array(values, dtype=np.float64)


def _median_times(runs: LoggedRuns, own: np.ndarray, names: Sequence[str]) -> dict[tuple[str, ...], float]:
    times: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for row in own.tolist():
        times[tuple(_text(runs.columns[name][row]) for name in names)].append(float(runs.target[row]))
    return {key: float(np.median(values)) for key, values in times.items()}


def sweep_tables(scope: ReportScope) -> list[TableBlock]:
    """Return the tables that end a sweep over knobs: prediction on held-out runs, best settings, fronts."""
    runs = knob_runs(scope.store, scope.run_ids)
    if runs is None:
        return []
    errors = validate(plan_for(runs, 0.9), runs.columns, runs.target)
    tables = [validation_table(errors, "Predicted execution time on held-out runs"), _best_table(runs)]
    for benchmark in sorted({str(value) for value in runs.columns[BENCHMARK]}):
        tables.extend(_front_table(scope, runs, benchmark))
    return tables


def _best_table(runs: LoggedRuns) -> TableBlock:
    rows = [
        (
            best.benchmark,
            " ".join(f"{key}={value}" for key, value in best.settings.items()),
            best.predicted_s,
            best.low_s,
            best.high_s,
            best.regret,
        )
        for best in best_settings(runs)
    ]
    columns = ("benchmark", "predicted to be fastest", "predicted_s", "low", "high", "regret")
    return TableBlock(
        "Best configurations",
        columns,
        rows,
        "regret: measured median of this configuration / best measured time, minus 1",
    )


def _front_table(scope: ReportScope, runs: LoggedRuns, benchmark: str) -> Iterator[TableBlock]:
    """Yield the settings that no other one is for certain both faster and cheaper than; none without a cost."""
    names = knob_names(runs.columns)
    place = {run_id: row for row, run_id in enumerate(runs.run_ids)}
    front = scope.store.query(
        "SELECT run_ids, repeats, time_s, time_low, time_high, 1e6 * cost_usd AS cost_micro_usd "
        "FROM cost_time_front(benchmark := ?, experiment := ?)",
        [benchmark, scope.experiment],
    )
    rows = []
    for run_ids, *figures in (row.values() for row in front.to_pylist()):
        of_scope = [place[run_id] for run_id in run_ids if run_id in place]
        if of_scope:
            rows.append((*(_text(runs.columns[name][of_scope[0]]) for name in names), *figures))
    if rows:
        knobs = (name.removeprefix("backend.") for name in names)
        yield TableBlock(
            f"{benchmark}: cost and time, configurations that are not certainly dominated",
            (*knobs, "repeats", TIME, "low", "high", "cost_micro_usd"),
            rows,
            "Medians of repeats, with intervals.",
        )
