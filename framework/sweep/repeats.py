"""How often a point must be run until its mean is known: repeats until a confidence width is reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from omegaconf import DictConfig

from framework.configuration.study_config import RepeatUntil
from framework.contracts import StoreReader
from framework.errors import ConfigError
from framework.quantity import student_t_975
from framework.sweep.grid import Point
from framework.sweep.session import SweepSession


def relative_half_width(values: Sequence[float]) -> float:
    """Return the half-width of the mean's 95 % confidence interval over the mean (Student's t).

    Infinite with fewer than two values; 0 if all are equal; NaN never.
    """
    if len(values) < 2:
        return math.inf
    spread = stdev(values)
    if spread == 0:
        return 0.0
    mean = abs(fmean(values))
    return student_t_975(len(values) - 1) * spread / math.sqrt(len(values)) / mean if mean > 0 else math.inf


def check_rule(rule: RepeatUntil) -> None:
    """Raise `ConfigError` for a rule that can't end, or for the parts of one without its metric."""
    if rule.metric is None:
        if (rule.half_width, rule.max_repeats) != (RepeatUntil.half_width, RepeatUntil.max_repeats):
            raise ConfigError(
                "configuration key 'repeat_until': has no effect without repeat_until.metric=NAME"
            )
        return
    if not 0 < rule.half_width < 1:
        raise ConfigError(
            f"configuration key 'repeat_until.half_width': {rule.half_width} is not between 0 and 1"
        )
    if rule.max_repeats < 2:
        raise ConfigError(f"configuration key 'repeat_until.max_repeats': {rule.max_repeats} is below 2")


def check_repeats(config: DictConfig) -> int:
    """Return how often each point is to be run. Raises `ConfigError` for less than once, and as `check_rule`."""
    repeats = int(config.repeats)
    if repeats < 1:
        raise ConfigError(f"configuration key 'repeats': must be at least 1, got {repeats}")
    check_rule(config.repeat_until)
    if config.max_failures is not None and config.max_failures < 1:
        raise ConfigError(
            f"configuration key 'max_failures': must be null or at least 1, got {config.max_failures}"
        )
    return repeats


def next_round(session: SweepSession, store: StoreReader, rule: RepeatUntil) -> list[Point]:
    """Return one more repeat of every point whose mean is not known well enough yet.

    A point with a failed repeat, or whose runs lack the metric, is not repeated: more of it won't help.
    """
    if rule.metric is None:
        return []
    recorded = _recorded(session, store, rule.metric)
    by_index: dict[int, list[Point]] = {}
    for point in session.points.values():
        by_index.setdefault(point.index, []).append(point)
    more = []
    for index, repeats in sorted(by_index.items()):
        values = [recorded[point.key] for point in repeats if point.key in recorded]
        complete = len(values) == len(repeats) < rule.max_repeats
        if complete and relative_half_width(values) > rule.half_width:
            more.append(Point(index, repeats[0].overrides, len(repeats)))
    return more


def _recorded(session: SweepSession, store: StoreReader, metric: str) -> dict[tuple[int, int], float]:
    ran: Mapping[tuple[int, int], float | None] = {
        key: outcome.metrics.get(metric)
        for key, outcome in session.outcomes.items()
        if outcome.status == "done"
    }
    values = {key: value for key, value in ran.items() if value is not None}
    if session.skipped:
        earlier = store.query(
            "SELECT run_id, value FROM metrics WHERE name = ? AND value IS NOT NULL", [metric]
        )
        known = dict(zip(earlier["run_id"].to_pylist(), earlier["value"].to_pylist(), strict=True))
        values |= {key: known[run_id] for key, run_id in session.skipped.items() if run_id in known}
    return values
