"""`framework dashboard` as a person starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.framework.report.sample_study import store_of, study

pytestmark = pytest.mark.slow


def started(outputs: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    command = [
        sys.executable,
        "-m",
        "framework",
        "dashboard",
        "--port",
        "0",
        "--outputs",
        str(outputs),
        *options,
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = re.match(r"(http://\S+)", server.stdout.readline())
    assert address is not None
    return server, address.group(1)


def test_it_prints_its_address_answers_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    store_of(tmp_path, study())
    server, address = started(tmp_path)
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{address}sql?q=SELECT%2041%2B1") as answer:
        assert b'<td class="n">42</td>' in answer.read()
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    server.send_signal(signal.SIGINT)
    assert server.wait(30) == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_on_any_other_address_the_printed_one_holds_a_token(tmp_path: Path) -> None:
    store_of(tmp_path, study())
    server, address = started(tmp_path, "--host", "0.0.0.0")
    try:
        here = address.replace("0.0.0.0", "127.0.0.1")
        assert re.search(r"\?token=[\w-]{24,}$", address)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"17 runs" in opener.open(here).read() or b"16 runs" in opener.open(here).read()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(here.partition("?")[0])
    finally:
        os.kill(server.pid, signal.SIGTERM)
        server.wait(30)


def test_without_a_store_or_with_a_port_in_use_it_says_so_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "framework", "dashboard", "--outputs", str(tmp_path / "nothing")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no runs yet")
    assert len(done.stderr.splitlines()) == 1
