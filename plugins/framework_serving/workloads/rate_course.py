"""A request rate over time: steps and ramps, and the arrivals that a process with mean rate 1 becomes under it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.configuration.plain_values import number, one_of
from framework.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]

SHAPES = ("step", "linear", "exponential")
_POINTS, _SHAPE = "workload.arrivals.rate_points", "workload.arrivals.rate_shape"


@dataclass(frozen=True, eq=False)
class RateCourse:
    """The rate at every time, from points; after the last one it stays.

    A process is drawn at a fixed `density` on an axis of *places*, and its places become times: at a fixed rate,
    places are seconds; otherwise they count the arrivals expected so far, so that gaps keep their law, stretched
    where the rate is low (the time-change of a renewal process).

    Attributes:
        times_s, rates_rps: the points; one of each for a fixed rate.
        shape: how the rate gets from one point to the next (`SHAPES`).
    """

    times_s: tuple[float, ...]
    rates_rps: tuple[float, ...]
    shape: str = "step"

    @classmethod
    def constant(cls, rate_rps: float) -> RateCourse:
        """Return a rate that never changes."""
        return cls((0.0,), (rate_rps,))

    @classmethod
    def of(cls, points: Sequence[Any], shape: str) -> RateCourse:
        """Return the course of `workload.arrivals.rate_points`. Raises `ConfigError` naming the key."""
        one_of(shape, _SHAPE, SHAPES)
        if not points:
            raise ConfigError(f"{_POINTS}: at least one [seconds, requests per second] is needed")
        if len(points) == 1 and shape != "step":
            raise ConfigError(f"{_SHAPE}: without effect with a single point in {_POINTS}")
        times, rates = [], []
        for place, point in enumerate(points):
            if not isinstance(point, Sequence) or isinstance(point, str) or len(point) != 2:
                raise ConfigError(
                    f"{_POINTS}: point {place} must be [seconds, requests per second], got {point!r}"
                )
            times.append(number(point[0], _POINTS, least=0))
            last = place == len(points) - 1
            bound = {"above": 0.0} if last or shape == "exponential" else {"least": 0.0}
            rates.append(number(point[1], _POINTS, **bound))
        if times[0] != 0 or any(b <= a for a, b in itertools.pairwise(times)):
            raise ConfigError(f"{_POINTS}: times must begin with 0 and rise, got {times}")
        return cls(tuple(times), tuple(rates), shape)

    @property
    def density(self) -> float:
        """Arrivals per unit of place: the rate where it is fixed, else 1."""
        return self.rates_rps[0] if self._fixed else 1.0

    def place(self, time_s: float) -> float:
        """Return the place of a time."""
        if self._fixed:
            return time_s
        import numpy as np

        segment = int(np.searchsorted(self.times_s, time_s, side="right")) - 1
        return float(self._knots()[segment] + self._arrivals(segment, time_s - self.times_s[segment]))

    def expected(self, time_s: float) -> float:
        """Return the arrivals expected up to a time."""
        return self.density * self.place(time_s)

    def times(self, places: FloatArray) -> FloatArray:
        """Return the times of places, seconds."""
        if self._fixed:
            return places
        import numpy as np

        knots = self._knots()
        segments = np.searchsorted(knots, places, side="right") - 1
        found = np.empty_like(places)
        for segment in np.unique(segments):
            inside = segments == segment
            found[inside] = self.times_s[segment] + self._durations(segment, places[inside] - knots[segment])
        if places.size:
            found[0] = 0.0  # also where the rate begins with 0: times count from the first arrival
        return found

    @property
    def _fixed(self) -> bool:
        return len(self.times_s) == 1

    def _knots(self) -> FloatArray:
        """Return the places of the points."""
        import numpy as np

        lengths = np.diff(self.times_s)
        return np.concatenate([[0.0], np.cumsum([self._arrivals(i, s) for i, s in enumerate(lengths)])])

    def _ends(self, segment: int) -> tuple[float, float, float]:
        """Return a segment's rate at its begin and end, and its length; the last one is endless and even."""
        first = self.rates_rps[segment]
        if segment == len(self.times_s) - 1 or self.shape == "step":
            return first, first, 1.0
        return first, self.rates_rps[segment + 1], self.times_s[segment + 1] - self.times_s[segment]

    def _arrivals(self, segment: int, seconds: float) -> float:
        """Return the arrivals expected within the first seconds of a segment."""
        import numpy as np

        first, last, length_s = self._ends(segment)
        if first == last:
            return first * seconds
        if self.shape == "linear":
            return first * seconds + 0.5 * (last - first) / length_s * seconds**2
        growth = np.log(last / first) / length_s
        return float(first * np.expm1(growth * seconds) / growth)

    def _durations(self, segment: int, arrivals: FloatArray) -> FloatArray:
        """Return after which time of a segment so many arrivals are expected: the inverse of `_arrivals`."""
        import numpy as np

        first, last, length_s = self._ends(segment)
        if first == last:
            return arrivals / first
        if self.shape == "linear":
            slope = (last - first) / length_s
            root = np.sqrt(np.maximum(first**2 + 2.0 * slope * arrivals, 0.0))
            return np.divide(2.0 * arrivals, first + root, out=np.zeros_like(arrivals), where=arrivals > 0)
        growth = np.log(last / first) / length_s
        durations: FloatArray = np.log1p(growth * arrivals / first) / growth
        return durations
