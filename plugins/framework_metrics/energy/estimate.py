"""The energy of a window from a counter or from power samples, with bounds. Pure functions of arrays.

Both work on what was *seen*: the times at which a sensor was asked, and its answers. Bounds cover the timing (a
counter that ticks, power between samples, gaps), not the sensor's own accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framework_metrics.sampling.integral import MAX_UNSEEN_SHARE, NotCoveredError, integrate, require_cover
from framework_metrics.sampling.window import Window

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

MIN_UPDATES = 10
"""Updates of a sensor that a window should hold: fewer, and the value is flagged as short."""


class NoEnergyError(Exception):
    """The energy of the window can't be determined; the text is the reason."""


@dataclass(frozen=True)
class Energy:
    """Energy of a window.

    Attributes:
        energy_j: the estimate.
        low_j, high_j: bounds of what the timing of the sensor leaves open.
        source: where it came from.
        window_s: length of the window.
        updates: of the sensor within the window.
        cadence_s: time between two updates; None where fewer than two were seen.
        flags: what a reader must know of the value; empty for a sound one.
    """

    energy_j: float
    low_j: float
    high_j: float
    source: str
    window_s: float
    updates: int
    cadence_s: float | None
    flags: tuple[str, ...] = ()

    @property
    def mean_w(self) -> float:
        """Mean power over the window (W)."""
        return self.energy_j / self.window_s

    @property
    def minimum_window_s(self) -> float | None:
        """Length of a window that holds enough updates of this sensor."""
        return None if self.cadence_s is None else MIN_UPDATES * self.cadence_s


def counter_energy(t_s: Floats, joules: Floats, window: Window, source: str) -> Energy:
    """Return the energy of a window by a counter that was read at `t_s`.

    The counter holds still between ticks, so the energy at a time is between the tick before it and the tick after
    it (which may have been noticed one reading late); the estimate is linear between ticks.

    Args:
        t_s: shape (n,), when it was read, ascending.
        joules: shape (n,), what it said, wraps undone (see `unwrapped`).
        window: whose energy is asked, on the same clock.
        source: name of the sensor.

    Raises:
        NoEnergyError: a reset, two readings at one time, readings that do not reach over the window, fewer than two
            ticks in it.
    """
    if len(t_s) < 2:
        raise NoEnergyError(f"{source}: {len(t_s)} readings")
    if np.any(np.diff(t_s) <= 0):
        raise NoEnergyError(f"{source}: has two readings at one time")
    back = np.flatnonzero(np.diff(joules) < 0)
    if back.size:
        raise NoEnergyError(f"{source}: reset {t_s[back[0] + 1] - window.begin_s:.3g} s into the window")
    ticks = _Ticks.of(t_s, joules)
    updates = ticks.within(window)
    if updates < 2:
        raise NoEnergyError(f"{source}: was updated {updates} times in {window.length_s:.3g} s")
    try:
        require_cover(t_s, window, max(ticks.cadence_s, ticks.reading_s))
    except NotCoveredError as reason:
        raise NoEnergyError(f"{source}: {reason}") from None
    begin, end = ticks.energy_at(window.begin_s), ticks.energy_at(window.end_s)
    return Energy(
        energy_j=end.estimate_j - begin.estimate_j,
        low_j=max(0.0, end.low_j - begin.high_j),
        high_j=end.high_j - begin.low_j,
        source=source,
        window_s=window.length_s,
        updates=updates,
        cadence_s=ticks.cadence_s,
        flags=_short(updates, ticks.cadence_s, window),
    )


@dataclass(frozen=True)
class _Bounds:
    low_j: float
    estimate_j: float
    high_j: float


@dataclass(frozen=True)
class _Ticks:
    """Where a counter was seen to move: `at_s[0]` is its first reading, of unknown age.

    Attributes:
        at_s, total_j: shape (ticks + 1,).
        cadence_s: median time between two ticks.
        reading_s: median time between two readings.
        peak_w: largest mean power between two ticks.
    """

    at_s: Floats
    total_j: Floats
    cadence_s: float
    reading_s: float
    peak_w: float

    @classmethod
    def of(cls, t_s: Floats, joules: Floats) -> _Ticks:
        places = np.concatenate([[0], np.flatnonzero(np.diff(joules) > 0) + 1])
        at_s, total_j = t_s[places], joules[places]
        # the time to the first tick says nothing of the cadence: the first reading was somewhere between two
        gaps_s, steps_j = np.diff(at_s)[1:], np.diff(total_j)[1:]
        cadence_s = float(np.median(gaps_s)) if len(gaps_s) else 0.0
        peak_w = float(np.max(steps_j / gaps_s)) if len(gaps_s) else 0.0
        return cls(at_s, total_j, cadence_s, float(np.median(np.diff(t_s))), peak_w)

    def within(self, window: Window) -> int:
        """Return how many ticks fell into a window."""
        return int(np.count_nonzero((self.at_s[1:] > window.begin_s) & (self.at_s[1:] <= window.end_s)))

    def energy_at(self, time_s: float) -> _Bounds:
        """Return the energy at a time (J on the counter's scale), from the ticks around it."""
        at_s, total_j = self.at_s, self.total_j
        late_j = self.peak_w * self.reading_s
        before = int(np.searchsorted(at_s, time_s, side="right")) - 1
        if before < 0:
            earlier_j = self.peak_w * (at_s[0] - time_s)
            return _Bounds(total_j[0] - earlier_j, total_j[0] - 0.5 * earlier_j, total_j[0] + late_j)
        if before + 1 < len(at_s):
            share = (time_s - at_s[before]) / (at_s[before + 1] - at_s[before])
            estimate_j = total_j[before] + share * (total_j[before + 1] - total_j[before])
            return _Bounds(total_j[before], estimate_j, total_j[before + 1] + late_j)
        since_s = time_s - at_s[-1]
        mean_w = (total_j[-1] - total_j[1]) / (at_s[-1] - at_s[1])
        return _Bounds(
            total_j[-1], total_j[-1] + mean_w * since_s, total_j[-1] + self.peak_w * since_s + late_j
        )


def unwrapped(values: Floats, wrap_at: float) -> Floats:
    """Return a counter without its wraps: it restarts at 0 after `wrap_at` (RAPL's `max_energy_range_uj`).

    A fall of less than half the range is not a wrap; it stays, as the reset that it is.
    """
    wraps = np.cumsum(np.diff(values) < -0.5 * wrap_at)
    return np.asarray(values + wrap_at * np.concatenate([[0], wraps]))


def integrated_energy(t_s: Floats, watts: Floats, window: Window, source: str) -> Energy:
    """Return the energy of a window by the trapezoid over power samples; a single sample is held over the window.

    Args:
        t_s: shape (n,), ascending.
        watts: shape (n,).
        window: whose energy is asked, on the same clock.
        source: name of the sensor.

    Raises:
        NoEnergyError: no sample, or samples that do not reach over the window.
    """
    if len(t_s) == 1 and window.begin_s <= t_s[0] <= window.end_s and window.length_s > 0:
        held_j = float(watts[0]) * window.length_s
        return Energy(
            held_j, 0.0, 2 * held_j, f"{source} × duration", window.length_s, 1, None, _short(1, None, window)
        )
    try:
        found = integrate(t_s, watts, window)
    except NotCoveredError as reason:
        raise NoEnergyError(f"{source}: {reason}") from None
    flags = _short(found.samples, found.period_s, window)
    if found.gaps_s > MAX_UNSEEN_SHARE * window.length_s:
        flags += (f"gaps: no samples in {found.gaps_s:.3g} s of {window.length_s:.3g} s",)
    return Energy(
        energy_j=found.value,
        low_j=found.low,
        high_j=found.high,
        source=f"{source}, trapezoid",
        window_s=window.length_s,
        updates=found.samples,
        cadence_s=found.period_s or None,
        flags=flags,
    )


def _short(updates: int, cadence_s: float | None, window: Window) -> tuple[str, ...]:
    if updates >= MIN_UPDATES:
        return ()
    needed = f" ({MIN_UPDATES * cadence_s:.3g} s would be sufficient)" if cadence_s else ""
    return (f"short: {updates} sensor updates in {window.length_s:.3g} s{needed}",)


def sum_of(parts: Sequence[Energy]) -> Energy:
    """Return the energy of several devices together: bounds add up, the fewest updates and every flag count."""
    if len(parts) == 1:
        return parts[0]
    sources = list(dict.fromkeys(part.source for part in parts))
    cadences = [part.cadence_s for part in parts if part.cadence_s is not None]
    return Energy(
        energy_j=sum(part.energy_j for part in parts),
        low_j=sum(part.low_j for part in parts),
        high_j=sum(part.high_j for part in parts),
        source=f"{' and '.join(sources)}, sum of {len(parts)}",
        window_s=parts[0].window_s,
        updates=min(part.updates for part in parts),
        cadence_s=max(cadences, default=None),
        flags=tuple(dict.fromkeys(flag for part in parts for flag in part.flags)),
    )
