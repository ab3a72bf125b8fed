from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.processes.child_process import ChildProcess

PYTHON = sys.executable


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def written_pids(file: Path, count: int) -> list[int]:
    assert until(lambda: file.exists() and len(file.read_text().split()) >= count)
    return [int(word) for word in file.read_text().split()]


FAMILY = """
import os, subprocess, sys, time
# a child in the group, and one that left it and lost its parent
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "a").write(f"{os.getpid()} ")
        time.sleep(60)
    os._exit(0)
open(sys.argv[1], "a").write(f"{os.getpid()} ")
time.sleep(60)
"""


def test_output_and_status_of_a_command_are_kept(tmp_path: Path) -> None:
    child = ChildProcess([PYTHON, "-c", "print('ready'); raise SystemExit(3)"], tmp_path / "a.log")
    assert child.wait(10) == 3
    assert child.ending == "ended with status 3"
    assert child.log_text() == "ready\n"


def test_a_command_that_is_not_there_ends_with_127_and_says_so(tmp_path: Path) -> None:
    child = ChildProcess([str(tmp_path / "nothing")], tmp_path / "a.log")
    assert child.wait(10) == 127
    assert "nothing: No such file or directory" in child.log_text()


def test_a_command_killed_by_a_signal_ends_by_that_signal(tmp_path: Path) -> None:
    child = ChildProcess([PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"], tmp_path / "a.log")
    assert child.wait(10) == -signal.SIGKILL
    assert child.ending == "was ended by SIGKILL"


def test_ending_it_ends_orphans_and_those_that_left_the_group(tmp_path: Path) -> None:
    child = ChildProcess([PYTHON, "-c", FAMILY, str(tmp_path / "pids")], tmp_path / "a.log")
    written_pids(tmp_path / "pids", 2)
    assert until(lambda: len(child.pids()) == 3)
    processes = child.pids()
    assert child.end() == -signal.SIGTERM
    assert not any(alive(pid) for pid in processes)
    assert child.pids() == []


def test_one_that_ignores_the_polite_signal_is_killed_after_the_grace(tmp_path: Path) -> None:
    ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    stubborn = f"{ignore} print('up', flush=True); time.sleep(60)"
    child = ChildProcess([PYTHON, "-c", stubborn], tmp_path / "a.log", grace_s=0.1)
    assert until(lambda: "up" in child.log_text())
    assert child.end() == -signal.SIGKILL


def test_descendants_end_when_the_command_itself_has_died(tmp_path: Path) -> None:
    child = ChildProcess([PYTHON, "-c", FAMILY, str(tmp_path / "pids")], tmp_path / "a.log")
    written_pids(tmp_path / "pids", 2)
    assert until(lambda: len(child.pids()) == 3)
    processes = child.pids()
    os.kill(min(processes), signal.SIGKILL)
    assert child.wait(10) == -signal.SIGKILL
    assert not any(alive(pid) for pid in processes)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path, number: int) -> None:
    parent = (
        "import sys, time; from pathlib import Path; from framework.processes.child_process import ChildProcess;"
        f"ChildProcess([sys.executable, '-c', sys.argv[1], r'{tmp_path}/pids'], Path(r'{tmp_path}/a.log'));"
        "time.sleep(60)"
    )
    process = subprocess.Popen([PYTHON, "-c", parent, FAMILY])
    pids = written_pids(tmp_path / "pids", 2)
    process.send_signal(number)
    process.wait()
    assert until(lambda: not any(alive(pid) for pid in pids))


def test_the_environment_is_ours_with_additions(tmp_path: Path) -> None:
    program = "import os; print(os.environ['PATH'] != '', os.environ['EXTRA'])"
    child = ChildProcess([PYTHON, "-c", program], tmp_path / "a.log", environment={"EXTRA": "yes"})
    assert child.wait(10) == 0
    assert child.log_text() == "True yes\n"


@pytest.mark.slow
def test_the_processor_time_of_ended_descendants_counts_and_stays_after_the_end(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    program = f"import subprocess, sys; [subprocess.run([sys.executable, '-c', {burn!r}]) for _ in '12']"
    child = ChildProcess([PYTHON, "-c", program], tmp_path / "a.log")
    seen = []
    while child.wait(0.05) is None:
        seen.append(child.usage())
    assert max(usage.rss_bytes for usage in seen) > 1_000_000
    rounding_s = 0.05  # the kernel rounds each process to ticks, and adds up what it has rounded
    assert child.usage().cpu_s >= max(0.4, *(usage.cpu_s for usage in seen)) - rounding_s
    assert child.usage().rss_bytes == 0


def test_a_forked_copy_of_ours_does_not_hold_up_its_end(tmp_path: Path) -> None:
    child = ChildProcess([PYTHON, "-c", "import time; time.sleep(60)"], tmp_path / "a.log", grace_s=1.0)
    copy = os.fork()  # has a copy of the pipe that the guard watches
    if copy == 0:
        time.sleep(60)
        os._exit(0)
    try:
        assert child.end() == -signal.SIGTERM
    finally:
        os.kill(copy, signal.SIGKILL)
        os.waitpid(copy, 0)


def test_a_command_inherits_the_descriptors_that_it_is_given(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    program = f"import os; os.write({theirs}, b'hello')"
    child = ChildProcess([PYTHON, "-c", program], tmp_path / "a.log", pass_fds=(theirs,))
    os.close(theirs)
    assert child.wait(10) == 0
    assert os.read(ours, 100) == b"hello"
    assert os.read(ours, 100) == b""
    os.close(ours)
