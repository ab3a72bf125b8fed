"""What happened in the sweep of this process, for the callback that ends it and for the exit status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from framework.run_record import RunOutcome
from framework.sweep.grid import Point, PointKey
from framework.sweep.sharing.missing import MissingThings


class GaveUpError(Exception):
    """A job that is not started, since too many others have failed; it has no outcome."""


@dataclass
class SweepSession:
    """Outcomes of a sweep by (index, repeat) of its points.

    Attributes:
        points: every job of the study; grows when repeats are added.
        skipped: run ids of points that were done before.
        outcomes: what ran now.
        rederived: runs among those skipped whose metrics were derived again under the present definitions.
        outdated: runs among those skipped that keep metrics of an earlier definition, and why.
        known_bundles: bundles that were there when the points were planned, and those looked at since.
        earlier: run ids that belong to an earlier attempt, though their bundles land now.
        on_outcome, on_start: called as outcomes arrive and as a job begins (move the progress display).
        on_progress: called with how far a job is (0–1) and what it is doing.
        interrupted: the user stopped it; what is done is kept.
        end_error: what went wrong after the last run: the store, a table, the terminal.
        dry: nothing is carried out: the study is only shown.
        max_failures: no further job is started once so many have failed; None: all are.
        detached: the jobs go on elsewhere (SLURM) and `ingest` will pick up what they finish.
    """

    sweep_id: str
    experiment: str
    outputs_dir: str
    points: dict[PointKey, Point] = field(default_factory=dict)
    skipped: dict[PointKey, str] = field(default_factory=dict)
    outcomes: dict[PointKey, RunOutcome] = field(default_factory=dict)
    rederived: set[str] = field(default_factory=set)
    outdated: dict[str, str] = field(default_factory=dict)
    known_bundles: set[str] = field(default_factory=set)
    earlier: set[str] = field(default_factory=set)
    on_outcome: Callable[[Point, RunOutcome], None] = lambda point, outcome: None
    on_start: Callable[[Point], None] = lambda point: None
    on_progress: Callable[[Point, float, str], None] = lambda point, fraction, text: None
    on_queue: Callable[[str], None] = lambda words: None
    announce: Callable[[str], None] = lambda text: None
    interrupted: bool = False
    dry: bool = False
    end_error: Exception | None = None
    max_failures: int | None = None
    detached: bool = False

    def plan(self, points: Sequence[Point]) -> None:
        """Add jobs to the study."""
        self.points.update({point.key: point for point in points})

    @property
    def missing(self) -> MissingThings:
        """What its points have found to be missing here."""
        return MissingThings(self.outputs_dir, self.sweep_id)

    def add(self, key: PointKey, outcome: RunOutcome) -> None:
        """Record an outcome and show it; a point that is known already is left alone."""
        if key not in self.points or key in self.outcomes or key in self.skipped:
            return
        if outcome.skipped:
            self.skipped[key] = outcome.run_id
            if outcome.rederived:
                self.rederived.add(outcome.run_id)
            if outcome.outdated:
                self.outdated[outcome.run_id] = outcome.outdated
        else:
            self.outcomes[key] = outcome
        self.on_outcome(self.points[key], outcome)

    @property
    def failed(self) -> dict[PointKey, RunOutcome]:
        """Outcomes that are not done."""
        return {key: outcome for key, outcome in self.outcomes.items() if outcome.status != "done"}

    @property
    def gave_up(self) -> bool:
        """Whether so many have failed that no further job is to be started."""
        return self.max_failures is not None and len(self.failed) >= self.max_failures

    @property
    def not_started(self) -> int:
        """How many jobs have neither an outcome nor were done before."""
        return len(self.points.keys() - self.outcomes.keys() - self.skipped.keys())

    @property
    def run_ids(self) -> list[str]:
        """Runs of this sweep in order of its points, those done before included."""
        known = {**self.skipped, **{key: outcome.run_id for key, outcome in self.outcomes.items()}}
        return [known[key] for key in sorted(known) if known[key]]


_current: list[SweepSession] = []


def begin(session: SweepSession) -> SweepSession:
    """Make this the process's sweep."""
    _current[:] = [session]
    return session


def forget() -> None:
    """Leave the process without a sweep, as before its first one."""
    _current.clear()


def current() -> SweepSession | None:
    """Return the process's sweep, if one has begun."""
    return _current[-1] if _current else None
