from __future__ import annotations

from collections.abc import Iterator

import pytest

from framework.run_record import RunOutcome
from framework.sweep import session as sessions
from framework.sweep.grid import Point
from framework.sweep.session import SweepSession


@pytest.fixture
def session() -> SweepSession:
    session = SweepSession("study-1", "study", "outputs")
    session.plan([Point(index, (f"a={index}",)) for index in range(4)])
    return session


@pytest.fixture
def _no_sweep() -> Iterator[None]:
    sessions.forget()
    yield
    sessions.forget()


def test_an_outcome_is_shown_once_however_often_it_is_reported(session: SweepSession) -> None:
    shown: list[int] = []
    session.on_outcome = lambda point, outcome: shown.append(point.index)
    session.add((1, 0), RunOutcome("run-1", "done"))
    session.add((1, 0), RunOutcome("run-1", "done"))
    assert shown == [1]


def test_an_outcome_of_no_point_of_the_sweep_is_ignored(session: SweepSession) -> None:
    session.add((9, 0), RunOutcome("run-9", "done"))
    assert session.outcomes == {}


def test_a_run_found_done_by_its_key_counts_as_skipped(session: SweepSession) -> None:
    session.add((2, 0), RunOutcome("earlier", "done", skipped=True))
    assert session.outcomes == {}
    assert session.skipped == {(2, 0): "earlier"}


def test_runs_are_listed_in_the_order_of_points_with_those_done_before(session: SweepSession) -> None:
    session.skipped[(1, 0)] = "earlier"
    session.add((2, 0), RunOutcome("second", "done"))
    session.add((0, 0), RunOutcome("first", "failed"))
    session.add((3, 0), RunOutcome("", "failed"))
    assert session.run_ids == ["first", "earlier", "second"]


def test_what_is_not_done_has_failed(session: SweepSession) -> None:
    session.add((0, 0), RunOutcome("a", "done"))
    session.add((1, 0), RunOutcome("b", "failed"))
    session.add((2, 0), RunOutcome("c", "stale"))
    assert list(session.failed) == [(1, 0), (2, 0)]


@pytest.mark.usefixtures("_no_sweep")
def test_a_process_has_one_sweep_the_last_that_began(session: SweepSession) -> None:
    assert sessions.current() is None
    sessions.begin(SweepSession("study-0", "study", "outputs"))
    assert sessions.begin(session) is sessions.current()
