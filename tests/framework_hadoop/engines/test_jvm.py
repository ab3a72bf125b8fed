"""Child processes: ended with everything they started, their end explained."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from framework_hadoop.engines.jvm import Ended, Usage, cause_of_failure, root_cause, run_jvm


def shell(script: str, log: Path, timeout_s: float = 30.0) -> Ended:
    return run_jvm(["sh", "-c", script], {"MARK": "seen"}, log, timeout_s, 0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_output_and_environment_go_where_they_should(tmp_path: Path) -> None:
    ended = shell("echo $MARK; echo bad >&2; exit 3", tmp_path / "x.log")
    assert (ended.status, ended.timed_out) == (3, False)
    assert (tmp_path / "x.log").read_text().split() == ["seen", "bad"]


def test_a_process_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    ended = shell(f"sleep 60 & echo $! > {tmp_path}/child; sleep 60", tmp_path / "x.log", timeout_s=0.3)
    assert ended.timed_out
    assert not alive(int((tmp_path / "child").read_text()))


def test_a_child_left_behind_by_a_process_that_ended_is_ended_too(tmp_path: Path) -> None:
    ended = shell(f"sleep 60 & echo $! > {tmp_path}/child", tmp_path / "x.log")
    assert ended.status == 0
    assert not alive(int((tmp_path / "child").read_text()))


def test_processor_time_of_the_whole_life_is_counted(tmp_path: Path) -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass"
    ended = run_jvm([sys.executable, "-c", code], {}, tmp_path / "x.log", 30, 0.05)
    assert 0.25 <= ended.usage.cpu_s < 5
    assert ended.usage.rss_peak_bytes > 1_000_000


def test_a_kill_by_somebody_else_is_told_by_its_signal(tmp_path: Path) -> None:
    def kill() -> None:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            time.sleep(0.01)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    ended = shell(f"echo $$ > {tmp_path}/pid; exec sleep 60", tmp_path / "x.log")
    killer.join()
    kind, text = cause_of_failure(ended, "", 30, "")
    assert kind == "killed"
    assert "SIGKILL" in text


def test_processor_time_of_children_that_have_ended_is_counted(tmp_path: Path) -> None:
    burn = f'{sys.executable} -c "import time\nwhile time.process_time() < 0.3: pass"'
    ended = shell(f"{burn}; {burn} & wait", tmp_path / "x.log")
    assert 0.55 <= ended.usage.cpu_s < 10
    times = [cpu_s for _, cpu_s, _ in ended.usage.samples]
    assert times == sorted(times)


def test_it_ends_with_its_children_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    script = f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/pid; wait; sleep 60"
    code = f"""
from pathlib import Path
from framework_hadoop.engines import jvm
jvm._GRACE_S = 0.2
jvm.run_jvm(["sh", "-c", {script!r}], {{}}, Path({str(tmp_path / "x.log")!r}), 60, 0.05)
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.02)
        assert parent.poll() is None
    pids = [int((tmp_path / name).read_text()) for name in ("pid", "child")]
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, pids))


def ended_with(status: int, timed_out: bool = False) -> Ended:
    return Ended(status, 1.0, timed_out, Usage())


def test_an_exhausted_heap_is_named_with_the_knob_that_sets_it() -> None:
    log = "Terminating due to java.lang.OutOfMemoryError: Java heap space\n"
    kind, text = cause_of_failure(ended_with(3), log, 60, "backend.heap_mb=16")
    assert kind == "out_of_memory"
    assert text == "the JVM ran out of memory (backend.heap_mb=16): Java heap space"


def test_a_timeout_names_the_key_that_sets_it() -> None:
    kind, text = cause_of_failure(ended_with(-15, timed_out=True), "", 60, "")
    assert kind == "timeout"
    assert "60 s (backend.timeout_s)" in text


def test_the_root_cause_of_a_stack_trace_is_its_last_exception_not_a_frame() -> None:
    log = (
        "10:00:00 WARN LocalJobRunner: job_local1_0001\n"
        "java.lang.Exception: java.lang.RuntimeException: outer\n"
        "\tat org.apache.hadoop.mapred.LocalJobRunner.throwableOf(SomeException.java:1)\n"
        "Caused by: java.io.IOException: Spill failed: disk full\n"
        "\tat org.apache.hadoop.mapred.MapTask.flush(MapTask.java:2)\n"
        "validate failed\n"
    )
    assert root_cause(log) == "IOException: Spill failed: disk full"
    assert root_cause("all is well\n") is None


def test_a_process_that_wrote_nothing_still_has_a_cause() -> None:
    assert cause_of_failure(ended_with(1), "", 60, "")[1] == "the JVM ended with status 1: it wrote no log"
