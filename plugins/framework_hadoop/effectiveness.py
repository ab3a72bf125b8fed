"""Cost against time: configurations with their repeats, the front between them, and what single settings do.

Never the luckiest run: a configuration stands for the median of its repeats, with a bootstrap interval where it was
run twice or more; one that was run once borrows the spread of those that were not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framework.analysis.pareto import noisy_front_mask
from framework.analysis.prediction.features import FloatArray, IntArray, group_codes
from framework.contracts import TableBlock
from framework_hadoop.executions import CONFIGURATION, Executions

_RESAMPLES = 400


@dataclass(frozen=True)
class Spread:
    """Median of some repeats with its interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class ConfigurationCost:
    """One configuration of a benchmark.

    Attributes:
        row: an execution that has it.
        repeats: executions behind the figures.
        time_s, cost_usd: their medians with intervals.
        on_front: whether no other configuration is for certain faster and cheaper.
    """

    row: int
    repeats: int
    time_s: Spread
    cost_usd: Spread
    on_front: bool


def cost_time_front(
    executions: Executions, costs_usd: FloatArray, benchmark: str, level: float = 0.9, seed: int = 0
) -> list[ConfigurationCost]:
    """Return the configurations of a benchmark, fastest first, and which of them are on the cost-time front.

    Args:
        executions: of any benchmarks; those without time or cost are left out.
        costs_usd: of each execution.
        benchmark: the one to look at; times of different benchmarks don't compare.
        level: of the intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: no priced execution of the benchmark.
    """
    of_benchmark = executions.columns["benchmark"] == benchmark
    rows = np.flatnonzero(of_benchmark & executions.finished & np.isfinite(costs_usd))
    if not len(rows):
        raise ValueError(f"no execution of '{benchmark}' has both a time and a price")
    codes = group_codes(executions.rows(rows).columns, CONFIGURATION)
    members = [rows[codes == code] for code in np.unique(codes)]
    noise = pooled_relative_spread([executions.time_s[part] for part in members])
    times = [median_spread(executions.time_s[part], noise, level, seed) for part in members]
    costs = [median_spread(costs_usd[part], noise, level, seed) for part in members]
    low = np.array([[t.low, c.low] for t, c in zip(times, costs, strict=True)])
    high = np.array([[t.high, c.high] for t, c in zip(times, costs, strict=True)])
    front = noisy_front_mask(low, high, ("lower", "lower"))
    found = [
        ConfigurationCost(int(part[0]), len(part), time, cost, bool(kept))
        for part, time, cost, kept in zip(members, times, costs, front, strict=True)
    ]
    return sorted(found, key=lambda item: item.time_s.median)


def pooled_relative_spread(repeats: Sequence[FloatArray]) -> float:
    """Return the typical relative deviation between repeats: median over configurations run twice or more."""
    spreads = [float(np.std(np.log(part), ddof=1)) for part in repeats if len(part) > 1]
    return float(np.median(spreads)) if spreads else 0.0


def median_spread(values: FloatArray, noise: float, level: float = 0.9, seed: int = 0) -> Spread:
    """Return the median with its bootstrap interval; a single value gets ±1.64 pooled deviations (at 90 %)."""
    middle, tail = float(np.median(values)), (1.0 - level) / 2.0
    if len(values) == 1:
        reach = float(np.exp(1.645 * noise))
        return Spread(middle, middle / reach, middle * reach)
    draws = np.random.default_rng(seed).integers(0, len(values), (_RESAMPLES, len(values)))
    medians = np.median(values[draws], axis=1)
    return Spread(middle, float(np.quantile(medians, tail)), float(np.quantile(medians, 1.0 - tail)))


@dataclass(frozen=True)
class Effect:
    """What changing one setting does while all others stay.

    Attributes:
        setting: our name of it.
        base, value: from which to which value.
        ratio: time at `value` over time at `base`: median over the configurations that were run at both.
        low, high: bootstrap interval of that median.
        pairs: configurations behind it.
    """

    setting: str
    base: str
    value: str
    ratio: float
    low: float
    high: float
    pairs: int


def setting_effects(
    executions: Executions, setting: str, least_pairs: int = 5, level: float = 0.9, seed: int = 0
) -> list[Effect]:
    """Return the effect of each value of a setting against its commonest one, by matched pairs.

    Only configurations that differ in nothing else are compared, so that no other setting, benchmark or cluster
    leaks into the effect (a speed-up against the mean of other runs does let it).
    """
    known = executions.rows(np.flatnonzero(executions.finished))
    others = group_codes(known.columns, [name for name in CONFIGURATION if name != setting])
    texts = np.array(
        ["" if value is None or value != value else f"{value}" for value in known.columns[setting]]
    )
    values, counts = np.unique(texts, return_counts=True)
    base = str(values[np.argmax(counts)])
    centre = _medians(others, texts, np.log(known.time_s))
    effects = []
    for value in values:
        ratios = [
            centre[code, str(value)] - centre[code, base]
            for code in np.unique(others).tolist()
            if (code, str(value)) in centre and (code, base) in centre
        ]
        if value == base or len(ratios) < least_pairs:
            continue
        spread = median_spread(np.exp(np.array(ratios)), 0.0, level, seed)
        effects.append(Effect(setting, base, str(value), spread.median, spread.low, spread.high, len(ratios)))
    return effects


def _medians(codes: IntArray, texts: np.ndarray, log_time: FloatArray) -> dict[tuple[int, str], float]:
    groups: dict[tuple[int, str], list[float]] = {}
    for code, text, value in zip(codes.tolist(), texts.tolist(), log_time.tolist(), strict=True):
        groups.setdefault((code, text), []).append(value)
    return {key: float(np.median(values)) for key, values in groups.items()}


def scalability(executions: Executions, benchmark: str, resource: str = "data_nodes") -> list[Effect]:
    """Return what more of a resource does to a benchmark's time, all else equal (see `setting_effects`)."""
    chosen = executions.rows(np.flatnonzero(executions.columns["benchmark"] == benchmark))
    without_cluster = {**chosen.columns}
    for name in ("cluster", "vm_size", "provider"):
        without_cluster[name] = np.full(
            len(chosen), None, dtype=object
        )  # more nodes is another cluster's name
    return setting_effects(Executions(without_cluster, chosen.source), resource, least_pairs=2)


def effects_table(effects: Sequence[Effect], title: str) -> TableBlock:
    """Return effects as a table."""
    rows = [(e.setting, e.base, e.value, e.ratio, e.low, e.high, e.pairs) for e in effects]
    return TableBlock(
        title,
        ("setting", "from", "to", "time_ratio", "low", "high", "configurations"),
        rows,
        "time_ratio below 1 is faster; median over configurations that differ in nothing else",
    )


def front_table(executions: Executions, found: Sequence[ConfigurationCost], benchmark: str) -> TableBlock:
    """Return the front as a table, fastest first."""
    columns = executions.columns
    rows = [
        (
            columns["cluster"][item.row],
            columns["disk"][item.row],
            columns["network"][item.row],
            columns["map_slots"][item.row],
            columns["codec"][item.row],
            item.repeats,
            item.time_s.median,
            item.time_s.low,
            item.time_s.high,
            item.cost_usd.median,
            item.cost_usd.low,
            item.cost_usd.high,
        )
        for item in found
        if item.on_front
    ]
    headings = ("cluster", "disk", "network", "map_slots", "codec", "repeats", "time_s", "low", "high")
    return TableBlock(
        f"{benchmark}: configurations that no other is for certain faster and cheaper than",
        (*headings, "cost_usd", "cost_low", "cost_high"),
        rows,
        f"{len(rows)} of {len(found)} configurations; medians of repeats with intervals",
    )
