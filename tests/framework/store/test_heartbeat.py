from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from framework.errors import StoreError
from framework.store.bundles.heartbeat import STALE_AFTER_BEATS, Heartbeat, read_marker, read_running
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.layout import running_folder
from tests.support.waiting import wait_for


def test_the_marker_is_there_while_the_run_goes_on_and_gone_after_its_bundle(outputs, add_run, record):
    with Heartbeat(outputs, record()):
        (run,) = read_running(outputs)
        assert (run.record.run_id, run.status, run.pid) == ("run-1", "running", os.getpid())
        add_run("run-1")
        assert read_running(outputs) == []
    assert os.listdir(running_folder(outputs)) == []


def test_a_heart_that_beats_keeps_the_run_from_going_stale(outputs, record):
    with Heartbeat(outputs, record(), period_s=0.01) as heart:
        os.utime(heart.path, (0, 0))
        wait_for(lambda: heart.path.stat().st_mtime)
        assert read_running(outputs)[0].status == "running"


def test_a_beat_writes_how_far_the_run_is_and_the_store_shows_it(outputs, record):
    with Heartbeat(outputs, record(), period_s=0.01) as heart:
        heart.progress(0.424, "loading weights")
        wait_for(lambda: read_running(outputs)[0].doing)
        (run,) = read_running(outputs)
        assert (run.fraction, run.doing) == (0.424, "loading weights")
        ingest(outputs)
        assert Store(outputs).rows("SELECT status, progress FROM runs")[1] == [
            ("running", "42 % loading weights")
        ]


def test_a_heartbeat_older_than_its_limit_is_stale(outputs, record):
    with Heartbeat(outputs, record(), period_s=100.0) as heart:
        beat = heart.path.stat().st_mtime
        limit = STALE_AFTER_BEATS * 100.0
        assert read_marker(heart.path, beat + limit - 1).status == "running"
        assert read_marker(heart.path, beat + limit + 1).status == "stale"


def test_a_run_whose_process_is_gone_from_this_host_is_stale_at_once(outputs, record):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    heart = Heartbeat(outputs, record())
    heart.start()
    document = json.loads(heart.path.read_text())
    heart.path.write_text(json.dumps({**document, "pid": process.pid}))
    assert read_marker(heart.path).status == "stale"
    heart.path.write_text(json.dumps({**document, "pid": process.pid, "host": "elsewhere"}))
    assert read_marker(heart.path).status == "running"
    heart.stop()


def test_a_run_that_ends_without_a_bundle_says_so(outputs, record):
    with pytest.raises(ValueError, match="boom"), Heartbeat(outputs, record()):
        raise ValueError("boom")
    (run,) = read_running(outputs)
    assert run.status == "stale"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"record": {}}', "null"])
def test_a_marker_that_is_none_is_no_run(outputs, text):
    running_folder(outputs).mkdir(parents=True)
    (running_folder(outputs) / "run-1.json").write_text(text)
    assert read_running(outputs) == []


def test_a_marker_that_cannot_be_written_is_one_clear_line(tmp_path, record):
    (tmp_path / "outputs").write_text("")
    with pytest.raises(
        StoreError, match=r"can't write .*running/run-1\.json: a part of the path is not a folder"
    ):
        Heartbeat(tmp_path / "outputs", record()).start()
