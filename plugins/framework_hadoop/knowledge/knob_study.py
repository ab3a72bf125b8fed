"""What a sweep over knobs teaches at its end: predicted times on held-out runs, and cost against time."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from framework.analysis.pareto import noisy_front_mask
from framework.analysis.prediction.features import Column, group_codes
from framework.analysis.prediction.logged_runs import LoggedRuns, logged_runs, plan_for
from framework.analysis.prediction.validation_schemes import rows_of, validate, validation_table
from framework.contracts import StoreReader, TableBlock
from framework.errors import UserError
from framework_hadoop.executions.effectiveness import median_spread, pooled_relative_spread

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
        measured: whether it was run itself, or only follows from others.
        regret: its measured time over the best measured one, minus 1; None if it was not run.
        run_ids: the benchmark's runs, which it leans on.
    """

    benchmark: str
    settings: Mapping[str, str]
    predicted_s: float
    low_s: float
    high_s: float
    measured: bool
    regret: float | None
    run_ids: tuple[str, ...]


def knob_runs(store: StoreReader, run_ids: Sequence[str]) -> LoggedRuns | None:
    """Return the engine runs among these runs; None if they are too few, or none varies a knob."""
    chosen = ", ".join(f"'{run_id}'" for run_id in run_ids if run_id.replace("-", "").isalnum())
    try:
        runs = logged_runs(store, TIME, f"run_id IN ({chosen})") if chosen else None
    except UserError:
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
        best = int(np.argmin(prediction.predicted))
        setting = {name: _text(value) for name, value in zip(names, grid[best], strict=True)}
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
            )
        )
    return found


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
    """Return the candidates as columns; what is no knob is as in the benchmark's first run."""
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


def sweep_tables(store: StoreReader, run_ids: Sequence[str]) -> list[TableBlock]:
    """Return the tables that end a sweep over knobs: prediction on held-out runs, best settings, fronts."""
    runs = knob_runs(store, run_ids)
    if runs is None:
        return []
    errors = validate(plan_for(runs, 0.9), runs.columns, runs.target)
    tables = [validation_table(errors, "Predicted execution time on held-out runs"), _best_table(runs)]
    costs = logged_costs(store, runs)
    return tables if costs is None else [*tables, *_front_tables(runs, costs)]


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
    columns = ("benchmark", "fastest by prediction", "predicted_s", "low", "high", "regret")
    return TableBlock(
        "Best settings", columns, rows, "regret: its measured median over the best measured, minus 1"
    )


def logged_costs(store: StoreReader, runs: LoggedRuns) -> np.ndarray | None:
    """Return the cost of each run in US dollars (NaN where unknown); None if no run has one."""
    found = store.query("SELECT run_id, value FROM metrics WHERE name = 'cost_usd' AND value IS NOT NULL")
    by_run = dict(zip(found.column("run_id").to_pylist(), found.column("value").to_pylist(), strict=True))
    costs = np.array([by_run.get(run_id, np.nan) for run_id in runs.run_ids])
    return costs if np.isfinite(costs).any() else None


def _front_tables(runs: LoggedRuns, costs: np.ndarray) -> list[TableBlock]:
    return [
        _front_table(runs, costs, benchmark)
        for benchmark in sorted({str(value) for value in runs.columns[BENCHMARK]})
    ]


def _front_table(runs: LoggedRuns, costs: np.ndarray, benchmark: str) -> TableBlock:
    """Return the settings that no other one is for certain both faster and cheaper than."""
    names = knob_names(runs.columns)
    own = np.flatnonzero((runs.columns[BENCHMARK] == benchmark) & np.isfinite(costs))
    codes = group_codes(rows_of(runs.columns, own), names)
    members = [own[codes == code] for code in np.unique(codes)]
    noise = pooled_relative_spread([runs.target[part] for part in members])
    times = [median_spread(runs.target[part], noise) for part in members]
    prices = [median_spread(costs[part], noise) for part in members]
    low = np.array([[t.low, c.low] for t, c in zip(times, prices, strict=True)])
    high = np.array([[t.high, c.high] for t, c in zip(times, prices, strict=True)])
    front = noisy_front_mask(low, high, ("lower", "lower"))
    rows: list[tuple[object, ...]] = [
        (
            *(_text(runs.columns[name][part[0]]) for name in names),
            len(part),
            time.median,
            time.low,
            time.high,
            1e6 * cost.median,
        )
        for part, time, cost, kept in sorted(
            zip(members, times, prices, front.tolist(), strict=True), key=lambda item: item[1].median
        )
        if kept
    ]
    headings = (
        *(name.removeprefix("backend.") for name in names),
        "repeats",
        TIME,
        "low",
        "high",
        "cost_micro_usd",
    )
    caption = f"{len(rows)} of {len(members)} settings; medians of repeats with intervals"
    return TableBlock(
        f"{benchmark}: cost against time, settings not dominated for certain", headings, rows, caption
    )
