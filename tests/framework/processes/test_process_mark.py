"""A process is told from others by its mark, not by the clock."""

from __future__ import annotations

import os
import subprocess
import sys

from framework.processes.process_mark import lives, own_age_s, process_mark


def test_a_process_lives_until_it_ends_and_another_one_of_its_number_is_another() -> None:
    assert lives(os.getpid(), process_mark(os.getpid()))
    assert not lives(os.getpid(), "of the process that had this number before")
    assert not lives(os.getpid(), None)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        mark = process_mark(child.pid)
        assert lives(child.pid, mark)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is not reaped yet
        assert process_mark(child.pid) is None
    assert not lives(child.pid, mark)


def test_a_process_knows_how_old_it_is() -> None:
    younger = own_age_s()
    older = own_age_s()
    assert younger is not None
    assert older is not None
    assert 0 < younger <= older
