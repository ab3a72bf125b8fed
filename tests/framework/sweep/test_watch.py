from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from framework.contracts import Metric
from framework.identity.run_key import utc_now
from framework.run_record import Failure, RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.bundles.heartbeat import Heartbeat
from framework.sweep import watch
from framework.sweep.grid import Point
from framework.sweep.session import SweepSession
from tests.support.waiting import wait_for


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepSession:
    monkeypatch.setattr(watch, "POLL_S", 0.01)
    session = SweepSession("study-1", "study", str(tmp_path))
    session.plan([Point(0, ("a=0",)), Point(1, ("a=1",))])
    return session


def _land(
    session: SweepSession, run_id: str, index: int | None, sweep: str = "study-1", failed: bool = False
) -> None:
    """Write a bundle as a job in another process would."""
    record = RunRecord(
        run_id=run_id,
        run_key=run_id,
        experiment="study",
        backend="toy",
        status="failed" if failed else "done",
        started_at="2026-01-01T00:00:00.000000+00:00",
        sweep_id=sweep,
        sweep_index=index,
        metrics=[Metric("speed", 2.0)],
        failure=Failure("backend", "OSError", "gone") if failed else None,
    )
    write_bundle(session.outputs_dir, record, {})


def test_runs_that_land_from_other_processes_are_seen(session: SweepSession) -> None:
    with watch.watching_bundles(session):
        _land(session, "run-0", 0)
        _land(session, "run-1", 1, failed=True)
        wait_for(lambda: len(session.outcomes) == 2)
    assert session.outcomes[(0, 0)].metrics == {"speed": 2.0}
    assert session.failed[(1, 0)].failure == Failure("backend", "OSError", "gone")


def test_runs_of_other_sweeps_earlier_runs_and_debris_are_not(session: SweepSession, tmp_path: Path) -> None:
    _land(session, "earlier", 0)
    session.known_bundles.update(watch.bundle_names(session.outputs_dir))  # as planning does
    with watch.watching_bundles(session):
        _land(session, "other", 0, sweep="study-2")
        _land(session, "single", None)
        (tmp_path / "runs" / "torn").mkdir()
        (tmp_path / "runs" / "torn" / "run.json").write_text("{")
        (tmp_path / "runs" / ".tmp-x").mkdir()
        _land(session, "mine", 1)
        wait_for(lambda: len(session.outcomes) == 1)
    assert [outcome.run_id for outcome in session.outcomes.values()] == ["mine"]


def test_watching_ends_with_the_body_even_when_it_fails(session: SweepSession) -> None:
    with pytest.raises(KeyboardInterrupt), watch.watching_bundles(session):
        raise KeyboardInterrupt
    _land(session, "late", 0)
    time.sleep(0.05)
    assert session.outcomes == {}


def test_how_far_a_run_of_another_process_is_is_read_from_its_marker(session: SweepSession) -> None:
    shown: list[tuple[int, float, str]] = []
    session.on_progress = lambda point, fraction, text: shown.append((point.index, fraction, text))
    for run_id, index, sweep in (("a", 0, "study-1"), ("b", 1, "study-2"), ("c", None, None)):
        record = RunRecord(
            run_id, run_id, "study", "toy", "running", utc_now(), sweep_id=sweep, sweep_index=index
        )
        heart = Heartbeat(session.outputs_dir, record)
        heart.progress(0.25, "loading weights")
        heart.start()
        of_another_process = json.loads(heart.path.read_text()) | {"pid": os.getppid()}
        heart.path.write_text(json.dumps(of_another_process))
    with watch.watching_bundles(session):
        wait_for(lambda: shown)
    assert set(shown) == {(0, 0.25, "loading weights")}
