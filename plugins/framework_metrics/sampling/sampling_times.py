"""When to sample: absolute deadlines, so that nothing drifts and a late sample is not made up for by a burst."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Schedule:
    """Deadlines at `begin_s + k · period_s`. One that has passed before its turn is counted as missed, and skipped.

    Attributes:
        begin_s: the first deadline, on any clock that does not jump.
        period_s: seconds between deadlines, above 0.
        missed: deadlines that passed while an earlier sample was still being read.
    """

    begin_s: float
    period_s: float
    missed: int = 0
    _last: int = 0

    def next_deadline_s(self, now_s: float) -> float:
        """Return the next deadline after `now_s`, later than every one returned before."""
        upcoming = max(self._last + 1, math.ceil((now_s - self.begin_s) / self.period_s))
        self.missed += upcoming - self._last - 1
        self._last = upcoming
        return self.begin_s + upcoming * self.period_s
