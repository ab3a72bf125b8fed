"""A copy of this process does something: how it ended is known, and the next one begins with what it imported."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from framework.processes.warm_copy import OVERDUE, in_warm_copy


def test_the_end_of_a_copy_is_told_in_words() -> None:
    assert in_warm_copy(lambda: None, 60.0) is None
    assert in_warm_copy(lambda: os.kill(os.getpid(), signal.SIGKILL), 60.0) == "SIGKILL"
    assert in_warm_copy(lambda: sys.exit(7), 60.0) == "status 7"
    assert in_warm_copy(lambda: signal.pause(), 0.05) == OVERDUE


def test_what_a_copy_imports_the_next_one_begins_with_and_nothing_else_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_a_copy.py").write_text("seen = []\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def carry() -> None:
        import of_a_copy  # type: ignore[import-not-found]

        of_a_copy.seen.append(1)

    try:
        assert in_warm_copy(carry, 60.0) is None
        assert sys.modules["of_a_copy"].seen == []
    finally:
        sys.modules.pop("of_a_copy", None)
