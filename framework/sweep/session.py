"""What happened in the sweep of this process, for the callback that ends it and for the exit status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from framework.runner import RunOutcome
from framework.sweep.grid import Point


@dataclass
class SweepSession:
    """Outcomes of a sweep by index of its points.

    Attributes:
        skipped: index → run id of points that were done before.
        on_outcome: called as outcomes arrive (moves the progress display).
        unfinished: points whose job goes on elsewhere after this process ends (SLURM), or was interrupted.
    """

    sweep_id: str
    experiment: str
    outputs_dir: str
    points: list[Point]
    skipped: dict[int, str] = field(default_factory=dict)
    outcomes: dict[int, RunOutcome] = field(default_factory=dict)
    on_outcome: Callable[[Point, RunOutcome], None] = lambda point, outcome: None
    interrupted: bool = False

    def add(self, point: Point, outcome: RunOutcome) -> None:
        """Record an outcome and show it."""
        self.outcomes[point.index] = outcome
        self.on_outcome(point, outcome)

    @property
    def failed(self) -> dict[int, RunOutcome]:
        """Outcomes that are not done, by index."""
        return {index: out for index, out in self.outcomes.items() if out.status != "done"}

    @property
    def run_ids(self) -> list[str]:
        """Runs of this sweep in order of its points, those done before included."""
        known = {**self.skipped, **{index: out.run_id for index, out in self.outcomes.items()}}
        return [known[index] for index in sorted(known)]


_current: list[SweepSession] = []


def begin(session: SweepSession) -> SweepSession:
    """Make this the process's sweep."""
    _current[:] = [session]
    return session


def current() -> SweepSession | None:
    """Return the process's sweep, if one has begun."""
    return _current[-1] if _current else None
