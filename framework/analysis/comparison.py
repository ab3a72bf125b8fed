"""Two groups of runs side by side: what was configured differently, what came out, and is it beyond noise?

Runs are matched point by point: a point is what varies inside a group, so a sweep is compared with another
one batch size by batch size, and repeats of a point are averaged. What is constant inside both groups but
different between them is the configuration difference. Metric differences are judged against a noise band:
from the repeats of that point where there are some, else a stated floor, never silently zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import fmean, median, variance
from typing import Literal

from framework.contracts import Better, MetricDefinition

ComparisonVerdict = Literal["better", "worse", "same", "different"]
NoiseSource = Literal["repeats", "floor"]
Point = tuple[tuple[str, str], ...]

DEFAULT_NOISE_FLOOR = 0.04
"""Worst relative scatter of throughput between equal GPUs in the measured runs (median 0.5 %)."""

# 97.5 % quantile of Student's t for 1 … 30 degrees of freedom; beyond that the normal's 1.96 is close enough
_T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)

# repeats of a deterministic backend agree to the last bit; rounding is no difference
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ComparedRun:
    """One run of a group: its parameters as text, and the metrics that it has a value for."""

    run_id: str
    config: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class ConfigDifference:
    """A parameter whose values differ between the groups; empty where a group doesn't know it."""

    name: str
    in_a: tuple[str, ...]
    in_b: tuple[str, ...]


@dataclass(frozen=True)
class MetricDifference:
    """One metric at one point that both groups ran.

    Attributes:
        metric, unit, better: as defined.
        point: the parameters that name the point, sorted; empty when nothing varies.
        mean_a, mean_b: means over repeats, in the metric's unit.
        runs_a, runs_b: repeats behind the means.
        change: mean_b / mean_a - 1; None when mean_a is zero.
        noise: half width of the band, relative to mean_a, inside which the difference is no news; None when
            mean_a is zero.
        noise_source: where the band comes from.
        verdict: B seen from A. `different` where no direction is better.
    """

    metric: str
    unit: str
    better: Better
    point: Point
    mean_a: float
    mean_b: float
    runs_a: int
    runs_b: int
    change: float | None
    noise: float | None
    noise_source: NoiseSource
    verdict: ComparisonVerdict


@dataclass(frozen=True)
class Comparison:
    """Group B seen from group A; points and metrics that only one has are counted, not guessed."""

    config: tuple[ConfigDifference, ...]
    differences: tuple[MetricDifference, ...]
    matched_points: int
    points_only_in_a: int
    points_only_in_b: int
    metrics_only_in_a: tuple[str, ...]
    metrics_only_in_b: tuple[str, ...]


@dataclass(frozen=True)
class MetricSummary:
    """One metric over all matched points: median relative change, and how many points got better or worse."""

    metric: str
    unit: str
    points: int
    median_change: float | None
    better: int
    worse: int
    same: int
    different: int


def is_irrelevant(parameter: str) -> bool:
    """Say whether a parameter numbers repeats (a seed) or says how a study is carried out, not what it measures."""
    from framework.configuration.study_config import VOLATILE_KEYS

    return parameter.rpartition(".")[2] == "seed" or parameter.partition(".")[0] in VOLATILE_KEYS


def compare_groups(
    a: Sequence[ComparedRun],
    b: Sequence[ComparedRun],
    definitions: Mapping[str, MetricDefinition],
    noise_floor: float = DEFAULT_NOISE_FLOOR,
    irrelevant: Callable[[str], bool] = is_irrelevant,
) -> Comparison:
    """Compare B with A.

    Args:
        a: runs of the first group, the one to be compared with.
        b: runs of the second group.
        definitions: unit and orientation by metric name; a metric that isn't defined has no better direction.
        noise_floor: relative band for points that lack repeats.
        irrelevant: says which parameters are no difference in configuration.
    """
    a, b = _relevant(a, irrelevant), _relevant(b, irrelevant)
    names = _point_parameters(a, b)
    points_a, points_b = _by_point(a, names), _by_point(b, names)
    shared = sorted(points_a.keys() & points_b.keys(), key=_natural_order)
    metrics_a, metrics_b = _metric_names(a), _metric_names(b)
    differences = [
        _difference(
            definitions.get(metric, MetricDefinition(metric, "", "")), point, values_a, values_b, noise_floor
        )
        for metric in _in_defined_order(metrics_a & metrics_b, definitions)
        for point in shared
        if (values_a := _values(points_a[point], metric)) and (values_b := _values(points_b[point], metric))
    ]
    return Comparison(
        config=_config_differences(a, b, names),
        differences=tuple(differences),
        matched_points=len(shared),
        points_only_in_a=len(points_a.keys() - points_b.keys()),
        points_only_in_b=len(points_b.keys() - points_a.keys()),
        metrics_only_in_a=tuple(sorted(metrics_a - metrics_b)),
        metrics_only_in_b=tuple(sorted(metrics_b - metrics_a)),
    )


def summarise_comparison(comparison: Comparison) -> tuple[MetricSummary, ...]:
    """Return one line a metric over all matched points, in the order of the comparison."""
    by_metric: dict[str, list[MetricDifference]] = defaultdict(list)
    for difference in comparison.differences:
        by_metric[difference.metric].append(difference)
    return tuple(_summary(metric, found) for metric, found in by_metric.items())


def _summary(metric: str, found: Sequence[MetricDifference]) -> MetricSummary:
    verdicts = [difference.verdict for difference in found]
    changes = [difference.change for difference in found if difference.change is not None]
    return MetricSummary(
        metric=metric,
        unit=found[0].unit,
        points=len(found),
        median_change=median(changes) if changes else None,
        better=verdicts.count("better"),
        worse=verdicts.count("worse"),
        same=verdicts.count("same"),
        different=verdicts.count("different"),
    )


def _difference(
    definition: MetricDefinition,
    point: Point,
    a: Sequence[float],
    b: Sequence[float],
    noise_floor: float,
) -> MetricDifference:
    mean_a, mean_b = fmean(a), fmean(b)
    band, source = _noise_band(a, b, noise_floor)
    return MetricDifference(
        metric=definition.name,
        unit=definition.unit,
        better=definition.better,
        point=point,
        mean_a=mean_a,
        mean_b=mean_b,
        runs_a=len(a),
        runs_b=len(b),
        change=mean_b / mean_a - 1.0 if mean_a else None,
        noise=band / abs(mean_a) if mean_a else None,
        noise_source=source,
        verdict=_verdict(mean_b - mean_a, band, definition.better),
    )


def _verdict(difference: float, band: float, better: Better) -> ComparisonVerdict:
    if abs(difference) <= band:
        return "same"
    if better == "none":
        return "different"
    return "better" if (difference > 0) == (better == "higher") else "worse"


def _noise_band(a: Sequence[float], b: Sequence[float], floor: float) -> tuple[float, NoiseSource]:
    """Return the half width of the 95 % interval of the difference of means, in the metric's unit.

    The variance is pooled over the repeats of both sides (Student's t with n_a + n_b - 2 degrees of freedom).
    Without a repeat on either side the floor stands in, as a share of the larger mean.
    """
    size = max(abs(fmean(a)), abs(fmean(b)))
    degrees = len(a) + len(b) - 2
    if degrees < 1:
        return floor * size, "floor"
    squares = sum((len(side) - 1) * variance(side) for side in (a, b) if len(side) > 1)
    quantile = _T_975[degrees - 1] if degrees <= len(_T_975) else 1.96
    half_width = quantile * sqrt(squares / degrees * (1 / len(a) + 1 / len(b)))
    return max(half_width, _ROUNDING * size), "repeats"


def _relevant(runs: Sequence[ComparedRun], irrelevant: Callable[[str], bool]) -> list[ComparedRun]:
    return [
        replace(run, config={name: value for name, value in run.config.items() if not irrelevant(name)})
        for run in runs
    ]


def _point_parameters(a: Sequence[ComparedRun], b: Sequence[ComparedRun]) -> tuple[str, ...]:
    """Parameters that both groups know and that vary inside one of them: they name the points to match."""
    in_a, in_b = _value_sets(a), _value_sets(b)
    varying = (name for name in in_a.keys() & in_b.keys() if len(in_a[name]) > 1 or len(in_b[name]) > 1)
    return tuple(sorted(varying))


def _config_differences(
    a: Sequence[ComparedRun], b: Sequence[ComparedRun], left_out: Collection[str]
) -> tuple[ConfigDifference, ...]:
    in_a, in_b = _value_sets(a), _value_sets(b)
    names = sorted((in_a.keys() | in_b.keys()) - set(left_out))
    return tuple(
        ConfigDifference(name, tuple(sorted(in_a.get(name, ()))), tuple(sorted(in_b.get(name, ()))))
        for name in names
        if in_a.get(name) != in_b.get(name)
    )


def _value_sets(runs: Sequence[ComparedRun]) -> dict[str, set[str]]:
    values: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        for name, value in run.config.items():
            values[name].add(value)
    return dict(values)


def _by_point(runs: Sequence[ComparedRun], names: Sequence[str]) -> dict[Point, list[ComparedRun]]:
    points: dict[Point, list[ComparedRun]] = defaultdict(list)
    for run in runs:
        points[tuple((name, run.config.get(name, "")) for name in names)].append(run)
    return dict(points)


def _natural_order(point: Point) -> tuple[tuple[int, float, str], ...]:
    return tuple(_number_or_text(value) for _, value in point)


def _number_or_text(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value


def _metric_names(runs: Sequence[ComparedRun]) -> set[str]:
    return {name for run in runs for name in run.metrics}


def _in_defined_order(names: Collection[str], definitions: Mapping[str, MetricDefinition]) -> list[str]:
    return [name for name in definitions if name in names] + sorted(set(names) - definitions.keys())


def _values(runs: Sequence[ComparedRun], metric: str) -> list[float]:
    return [run.metrics[metric] for run in runs if metric in run.metrics]
