from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from framework.errors import StoreError
from framework.processes.file_lock import locked

HOLD = """
import sys, time
from pathlib import Path
from framework.processes.file_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_waits_and_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        told = rf"^the plan is being written by process {holder.pid} on .* since"
        with pytest.raises(StoreError, match=told), locked(path, 0.1, "the plan"):
            pass
        holder.kill()
    with locked(path, 5.0):  # it went with its process
        pass


def test_without_a_limit_the_lock_is_waited_for(tmp_path: Path) -> None:
    entered: list[str] = []

    def second() -> None:
        with locked(tmp_path / "a.lock"):
            entered.append("second")

    with locked(tmp_path / "a.lock"):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.1)
        entered.append("first")
    waiting.join()
    assert entered == ["first", "second"]
