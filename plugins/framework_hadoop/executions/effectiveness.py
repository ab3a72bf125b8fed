"""Cost against time and what single settings do, as values and tables; made by the statements of `execution_sql`.

Never the luckiest run: a configuration is represented by the median of its repeats with an interval; one that was
run once borrows the spread of those that were not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from framework.contracts import TableBlock
from framework.store.views.results_view import literal
from framework_hadoop.executions.execution_table import Executions

Query = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
"""Returns the rows of a SQL statement with `?` placeholders."""


@dataclass(frozen=True)
class Spread:
    """Median of some repeats with its interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Effect:
    """What changing one setting does while all others stay.

    Attributes:
        setting: our name of it.
        base, value: from which to which value.
        ratio: time at `value` over time at `base`: median over the configurations that were run at both.
        low, high: its 90 % interval; None for fewer than five pairs.
        pairs: configurations behind it.
    """

    setting: str
    base: str
    value: str
    ratio: float
    low: float | None
    high: float | None
    pairs: int


def effects_sql(
    settings: Sequence[str],
    benchmark: str | None = None,
    experiment: str | None = None,
    ignoring: Sequence[str] = (),
    least_pairs: int = 5,
) -> str:
    """Return the SELECT behind `setting_effects`, which has the same arguments, for any number of settings."""
    options = f"ignoring := [{', '.join(map(literal, ignoring))}]::VARCHAR[], least_pairs := {least_pairs:d}"
    for name, value in (("benchmark", benchmark), ("experiment", experiment)):
        options += f", {name} := {literal(value)}" if value is not None else ""
    return " UNION ALL ".join(
        "SELECT setting, from_value, to_value, time_ratio, low, high, configurations "
        f"FROM setting_effects({literal(name)}, {options})"
        for name in settings
    )


def setting_effects(
    query: Query,
    settings: Sequence[str],
    benchmark: str | None = None,
    experiment: str | None = None,
    ignoring: Sequence[str] = (),
    least_pairs: int = 5,
) -> list[Effect]:
    """Return the effect of each value of each setting against its commonest one, by the macro `setting_effects`.

    Args:
        query: reads a store, or a file (`file_query`).
        settings: dotted parameter names.
        benchmark, experiment: the only one to look at; None for all.
        ignoring: settings that may differ, because they follow from others.
        least_pairs: configurations that must have been run at both values.
    """
    rows = [
        row
        for name in settings
        for row in query(effects_sql([name], benchmark, experiment, ignoring, least_pairs), [])
    ]
    return [Effect(str(row[0]).rpartition(".")[2], *row[1:]) for row in rows]


def effects_table(effects: Sequence[Effect], title: str) -> TableBlock:
    """Return effects as a table."""
    rows = [(e.setting, e.base, e.value, e.ratio, e.low, e.high, e.pairs) for e in effects]
    return TableBlock(
        title,
        ("setting", "from", "to", "time_ratio", "low", "high", "configurations"),
        rows,
        "time_ratio below 1 is faster; median over pairs of configurations that are equal in everything else, with a "
        "90 % interval where there are at least five",
    )


def front_table(query: Query, executions: Executions, benchmark: str) -> TableBlock:
    """Return the front of a benchmark as a table, fastest first, by the macro `cost_time_front`.

    Raises:
        ValueError: no priced execution of the benchmark.
    """
    counted = "SELECT count(*) FROM cost_effectiveness WHERE benchmark = ? AND cost_usd IS NOT NULL"
    ((configurations,),) = query(counted, [benchmark])
    if not configurations:
        raise ValueError(f"no execution of '{benchmark}' has both a time and a price")
    figures = (
        "repeats",
        "time_s",
        "time_low",
        "time_high",
        "cost_usd",
        "cost_low",
        "cost_high",
        "cost_leaves_out",
    )
    front = query(f"SELECT run_id, {', '.join(figures)} FROM cost_time_front(benchmark := ?)", [benchmark])
    settings = ("cluster", "disk", "network", "map_slots", "codec")
    rows = [(*(executions.columns[name][int(run_id)] for name in settings), *own) for run_id, *own in front]
    return TableBlock(
        f"{benchmark}: configurations for which no other is certainly both faster and cheaper",
        (*settings, *figures),
        rows,
        f"{len(rows)} of {configurations} configurations; medians of repeats with intervals",
    )
