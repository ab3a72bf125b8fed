"""What one point found to be missing, others need not find again."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from framework.run_record import Failure, RunOutcome
from framework.sweep.sharing.missing import MissingThings

LACKING = ("model=large", "backend.python=a", "workload.size=1")


def failed(holds_for: tuple[str, ...] | None) -> RunOutcome:
    failure = Failure("validate", "SetupError", "no such model")
    return RunOutcome("run", "failed", failure=failure, holds_for=holds_for)


def test_points_that_need_what_another_lacked_are_known_by_their_overrides(tmp_path: Path) -> None:
    missing = MissingThings(tmp_path, "sweep")
    missing.learn(LACKING, failed(None))
    assert not missing.cannot_run(LACKING)
    missing.learn(LACKING, failed(("model", "backend.python")))
    elsewhere = MissingThings(tmp_path, "sweep")  # another process
    assert elsewhere.cannot_run(("workload.size=2", "model=large", "backend.python=a"))
    assert not elsewhere.cannot_run(("model=small", "backend.python=a"))
    assert not elsewhere.cannot_run(("model=large", "model.layers=2", "backend.python=a"))
    assert not elsewhere.cannot_run(("model=large", "backend=twin"))
    assert not MissingThings(tmp_path, "other").cannot_run(LACKING)
    missing.learn(LACKING, failed(()))
    assert elsewhere.cannot_run(("model=small",))
    elsewhere.forget()
    assert not missing.cannot_run(LACKING)
    assert missing.known() == []


def test_what_no_other_setting_of_a_group_can_give_is_missing_to_all_that_choose_this_option(
    tmp_path: Path,
) -> None:
    missing = MissingThings(tmp_path, "sweep")
    missing.learn(("backend=twin", "backend.max_num_seqs=8"), failed(("gpu", "backend._target_")))
    assert missing.cannot_run(("backend=twin", "backend.max_num_seqs=16"))
    assert not missing.cannot_run(("backend=vllm", "backend.max_num_seqs=16"))
    assert not missing.cannot_run(("backend=twin", "backend.max_num_seqs=16", "gpu=h100"))


def test_one_machine_of_several_that_lacks_it_says_nothing_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = MissingThings(tmp_path, "sweep")
    for host, known_here in (("node-1", False), ("node-1", False), ("node-2", True)):
        with monkeypatch.context() as patch:
            patch.setattr(socket, "gethostname", lambda host=host: host)
            missing.learn(LACKING, failed(("model",)))
            assert missing.cannot_run(LACKING)
        assert missing.cannot_run(LACKING) is known_here
