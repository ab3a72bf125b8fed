from __future__ import annotations

import os
from pathlib import Path

import pytest

from framework.errors import StoreError
from framework.jobs.cancelling import cancel_sweep
from framework.jobs.job_ledger import JobLedger, SubmittedJob, ledger_of, ledgers

FIRST = SubmittedJob("key-a", "12_0", 0, 0, 1700000000.0)


def test_jobs_are_found_again_by_another_process(tmp_path: Path) -> None:
    JobLedger(tmp_path, "study-1").add([FIRST])
    assert JobLedger(tmp_path, "study-1").jobs == {"key-a": FIRST}
    assert JobLedger(tmp_path, "study-2").jobs == {}


def test_a_point_has_its_latest_job(tmp_path: Path) -> None:
    ledger = JobLedger(tmp_path, "study-1")
    ledger.add([FIRST])
    again = SubmittedJob("key-a", "13", 0, 0, 1700000100.0)
    ledger.add([again])
    assert JobLedger(tmp_path, "study-1").jobs == {"key-a": again}


def test_a_second_launcher_sees_what_the_first_submitted_before_it_submits(tmp_path: Path) -> None:
    second = JobLedger(tmp_path, "study-1")
    with JobLedger(tmp_path, "study-1").submitting():
        JobLedger(tmp_path, "study-1").add([FIRST])
    with second.submitting():
        assert second.jobs == {"key-a": FIRST}


@pytest.mark.parametrize("text", ["{", "[]", '{"jobs": [{"job_key": "a"}]}'])
def test_a_torn_ledger_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sweeps" / "study-1.jobs.json"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(StoreError, match=r"study-1\.jobs\.json can't be read"):
        JobLedger(tmp_path, "study-1")


def test_ledgers_are_listed_latest_first_and_a_wrong_id_gets_a_hint(tmp_path: Path) -> None:
    for age, name in ((100, "study-1"), (0, "study-2")):
        ledger = JobLedger(tmp_path, name)
        ledger.add([FIRST])
        os.utime(ledger.path, (1700000000 - age, 1700000000 - age))
    assert [ledger.sweep_id for ledger in ledgers(tmp_path)] == ["study-2", "study-1"]
    with pytest.raises(StoreError, match="study"):
        ledger_of(tmp_path, "stud-2")


def test_cancelling_where_nothing_was_submitted_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing to cancel: no waiting or running jobs of any sweep"):
        cancel_sweep(None, str(tmp_path))
