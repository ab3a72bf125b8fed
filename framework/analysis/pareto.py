"""Pareto fronts over arrays: membership under noise, knee, hypervolume; the rule itself is the macro `front_of`.

Points are rows of an (n, k) array, one column an objective; `better` says for each column whether `higher`
or `lower` is better. A missing objective (NaN) is refused, since a point of unknown value can be neither kept nor
dropped honestly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from framework.store.views.front_macro import FRONT_MACROS

if TYPE_CHECKING:
    import duckdb

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Direction = Literal["higher", "lower"]


def front_mask(points: npt.ArrayLike, better: Sequence[Direction]) -> BoolArray:
    """Return which points no other point dominates; shape (n,).

    Raises:
        ValueError: a value is NaN, or the shape does not fit `better`.
    """
    gains = _gains(points, better)
    return _on_front(gains, gains)


def noisy_front_mask(low: npt.ArrayLike, high: npt.ArrayLike, better: Sequence[Direction]) -> BoolArray:
    """Return which points may be on the front, given an interval [low, high] around each value.

    A point is dropped only if another one certainly dominates it: the other's worst end is no worse than
    its best end in every objective, and better in one. So overlapping intervals never decide, and intervals
    of width zero give `front_mask`. Shapes (n, k); returns (n,).

    Raises:
        ValueError: a bound is NaN, low exceeds high, or the shapes do not fit.
    """
    low_values, high_values = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if low_values.shape != high_values.shape or np.any(low_values > high_values):
        raise ValueError("intervals need low <= high in equal shapes")
    at_low, at_high = _gains(low_values, better), _gains(high_values, better)
    return _on_front(np.minimum(at_low, at_high), np.maximum(at_low, at_high))


def front_membership(
    repeats: Sequence[npt.ArrayLike],
    better: Sequence[Direction],
    resamples: int = 1000,
    seed: int = 0,
    relative_noise: float = 0.0,
) -> FloatArray:
    """Return how often each configuration is on the front when its repeats are drawn again (bootstrap).

    Each resample draws, for each configuration, as many of its repeats as it has, with replacement and whole
    (objectives stay paired), and builds the front of the means.

    Args:
        repeats: for each configuration an array (r, k) of r ≥ 1 repeats.
        better: direction of each objective.
        resamples: number of bootstrap resamples.
        seed: seed of the draws; the same seed gives the same shares.
        relative_noise: standard deviation, as a share of the value, assumed for configurations that were
            measured once; 0 takes their value as exact.

    Returns:
        Shares between 0 and 1, shape (n,).

    Raises:
        ValueError: a configuration has no repeat, or a value is NaN.
    """
    groups = [_gains(group, better) for group in repeats]
    if not groups:
        return np.zeros(0)
    if any(len(group) == 0 for group in groups):
        raise ValueError("a configuration has no repeat")
    if len(groups) == 1:
        return np.ones(1)
    random = np.random.default_rng(seed)
    means = np.empty((resamples, len(groups), len(better)))
    for position, group in enumerate(groups):
        if len(group) == 1:
            noise = random.normal(0.0, relative_noise, (resamples, len(better)))
            means[:, position] = group[0] * (1.0 + noise)
        else:
            drawn = random.integers(len(group), size=(resamples, len(group)))
            means[:, position] = group[drawn].mean(axis=1)
    flat = means.reshape(-1, len(better))
    kept = _on_front(flat, flat, np.repeat(np.arange(resamples), len(groups)))
    shares: FloatArray = kept.reshape(resamples, len(groups)).mean(axis=0, dtype=np.float64)
    return shares


def knee_at_share(x: npt.ArrayLike, y: npt.ArrayLike, share: float = 0.95) -> int:
    """Return the index of the smallest x whose y reaches `share` of the largest y (y: higher is better).

    Raises:
        ValueError: there is no point, a value is not finite, or no y is positive.
    """
    x_values, y_values = _curve(x, y)
    if y_values.max() <= 0:
        raise ValueError("a knee needs a positive y")
    reached = np.flatnonzero(y_values >= share * y_values.max())
    return int(reached[np.argmin(x_values[reached])])


def knee_by_chord(x: npt.ArrayLike, y: npt.ArrayLike) -> int:
    """Return the index of the point farthest above the chord between the curve's two ends.

    Both axes, x in logarithm, are scaled to the unit square first, so the result does not depend on units. A
    curve that never rises above its chord has its knee at the end with the larger y.

    Raises:
        ValueError: there is no point, a value is not finite, or an x is not positive.
    """
    x_values, y_values = _curve(x, y)
    if x_values.min() <= 0:
        raise ValueError("a logarithmic x needs positive values")
    x_values = np.log(x_values)
    order = np.lexsort((y_values, x_values))
    first, last = order[0], order[-1]
    x_span, y_span = np.ptp(x_values), np.ptp(y_values)
    if x_span == 0 or y_span == 0:
        return int(order[np.argmax(y_values[order])])
    share = (x_values - x_values[first]) / x_span
    chord = y_values[first] + share * (y_values[last] - y_values[first])
    above = (y_values - chord) / y_span
    if above.max() <= 1e-12:
        return int(first if y_values[first] > y_values[last] else last)
    return int(order[np.argmax(above[order])])


def knee_of_front(points: npt.ArrayLike, better: Sequence[Direction]) -> int:
    """Return the index of the point farthest above the plane through the extremes of a front of any objectives.

    The objectives are scaled to the unit cube over the given points, so that the result does not depend on units;
    the distance from the plane is then the sum of the scaled gains (Das, On characterizing the "knee" of the Pareto
    curve, 1999). An objective with one value only decides nothing.

    Raises:
        ValueError: there is no point, a value is NaN, or the shapes do not fit.
    """
    gains = _gains(points, better)
    if len(gains) == 0:
        raise ValueError("a knee needs a point")
    spans = np.ptp(gains, axis=0)
    scaled = (gains - gains.min(axis=0)) / np.where(spans > 0, spans, 1.0)
    return int(np.argmax(scaled.sum(axis=1)))


def hypervolume(points: npt.ArrayLike, better: Sequence[Direction], reference: npt.ArrayLike) -> float:
    """Return the volume that the points dominate up to a reference point, in the product of their units.

    Exact, by slicing along the last objective; meant for fronts of up to a few hundred points. A point that
    is not better than the reference in every objective adds nothing.

    Raises:
        ValueError: a value is NaN or infinite, or the shapes do not fit.
    """
    costs, corner = -_gains(points, better), -_gains([reference], better)[0]
    if not (np.all(np.isfinite(costs)) and np.all(np.isfinite(corner))):
        raise ValueError("a hypervolume needs finite values")
    inside = costs[np.all(costs < corner, axis=1)]
    return _volume(np.unique(inside, axis=0), corner)


def _gains(points: npt.ArrayLike | Sequence[npt.ArrayLike], better: Sequence[Direction]) -> FloatArray:
    """Turn every objective into one to maximise; shape (n, k)."""
    values = np.asarray(points, dtype=np.float64)
    if values.size == 0 and values.ndim <= 2:
        values = values.reshape(0, len(better))
    if values.ndim != 2 or values.shape[1] != len(better) or not better:
        raise ValueError(f"points of shape {values.shape} do not fit {len(better)} objectives")
    unknown = sorted(set(better) - {"higher", "lower"})
    if unknown:
        raise ValueError(f"an objective is better 'higher' or 'lower', not {unknown[0]!r}")
    if np.any(np.isnan(values)):
        row, column = np.argwhere(np.isnan(values))[0]
        raise ValueError(f"point {row} has no value in objective {column} (NaN)")
    gains: FloatArray = values * np.array([1.0 if direction == "higher" else -1.0 for direction in better])
    return gains


def _on_front(worst: FloatArray, best: FloatArray, kind: IntArray | None = None) -> BoolArray:
    """Return which points are on the front of their kind, by the macro `front_of`; shape (n,)."""
    import pyarrow as pa

    rows = len(worst)
    if rows < 2:  # nothing to beat it; a report asks this of every load that was run once
        return np.ones(rows, dtype=np.bool_)
    starts = np.arange(0, worst.size + 1, worst.shape[1])
    points = {
        "kind": np.zeros(rows, dtype=np.int64) if kind is None else kind,
        "id": np.arange(rows),
        "worst": pa.ListArray.from_arrays(starts, worst.ravel()),
        "best": pa.ListArray.from_arrays(starts, best.ravel()),
    }
    connection = _engine().cursor()
    connection.register("points", pa.table(points))
    found = connection.execute("SELECT id FROM front_of((SELECT list(points) FROM points))").fetchnumpy()
    kept = np.zeros(rows, dtype=np.bool_)
    kept[found["id"]] = True
    return kept


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    for statement in FRONT_MACROS:
        connection.execute(statement)
    return connection


def _volume(costs: FloatArray, corner: FloatArray) -> float:
    if len(costs) == 0:
        return 0.0
    if costs.shape[1] == 1:
        return float(corner[0] - costs.min())
    by_last = costs[np.argsort(costs[:, -1], kind="stable")]
    heights = np.diff(np.append(by_last[:, -1], corner[-1]))
    return sum(
        float(height) * _volume(by_last[: count + 1, :-1], corner[:-1])
        for count, height in enumerate(heights)
        if height > 0
    )


def _curve(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    x_values, y_values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x_values.ndim != 1 or x_values.shape != y_values.shape or x_values.size == 0:
        raise ValueError("a curve needs as many x as y, and at least one")
    if not (np.all(np.isfinite(x_values)) and np.all(np.isfinite(y_values))):
        raise ValueError("a curve needs finite values")
    return x_values, y_values
