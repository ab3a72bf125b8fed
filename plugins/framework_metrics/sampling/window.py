"""The stretch of time that a measurement is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework.contracts import RunWindow
from framework_metrics.sampling.recording import Recording

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FIRST_READING_S = 0.1
"""The sampler's first reading, which is made while the collector starts, counts as its begin if it is not older."""


@dataclass(frozen=True)
class Window:
    """From `begin_s` to `end_s` on the clock of the samples.

    Attributes:
        of_run: the backend said when the run began and ended; else it is from the collector's start to its stop.
    """

    begin_s: float
    end_s: float
    of_run: bool = False

    @property
    def length_s(self) -> float:
        """Its length."""
        return self.end_s - self.begin_s

    def holds(self, t_s: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return which times lie in it, its begin and its end included."""
        return (t_s >= self.begin_s) & (t_s <= self.end_s)


def measured_window(stated: RunWindow, recording: Recording, started_s: float, stopped_s: float) -> Window:
    """Return the run's own window where the backend stated one, else the time that was, or should have been, sampled.

    Args:
        stated: by the backend.
        recording: what the sampler saw.
        started_s: when the collector's start was over.
        stopped_s: when it was asked to stop; the sampler's last reading follows at once, unless it was dead by then.
    """
    if stated.begin_s is None or stated.end_s is None or stated.end_s <= stated.begin_s:
        seen = recording.t_s
        begin_s = started_s if not seen.size or seen[0] < started_s - FIRST_READING_S else float(seen[0])
        in_order = seen.size > 0 and recording.ended_early is None
        return Window(begin_s, float(seen[-1]) if in_order else stopped_s)
    return Window(stated.begin_s, stated.end_s, of_run=True)
