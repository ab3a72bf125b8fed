"""Two processes that run one sweep share its points."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from framework.errors import RunFailedError
from framework.store.bundles.bundle import read_manifest, write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.sweep import study as studies
from framework.sweep.sharing.claims_of_points import HeldElsewhereError, claimed, is_free

SUPPORT = Path(__file__).parents[3] / "support"


def test_a_point_has_one_holder_at_a_time(tmp_path: Path) -> None:
    with claimed(tmp_path, "key"):
        assert not is_free(tmp_path, "key")
        assert is_free(tmp_path, "other")
        with pytest.raises(HeldElsewhereError), claimed(tmp_path, "key"):
            pass
    assert is_free(tmp_path, "key")


@pytest.mark.slow
def test_a_point_that_fails_elsewhere_after_the_clock_was_set_back_is_not_run_again(
    study: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = ("backend.speed=1", "workload.size=4", "backend.fail=run")
    with pytest.raises(RunFailedError, match="1 of 1"):
        study(*sweep)
    (first,) = (Path("outputs") / "runs").iterdir()
    record = read_manifest(first).record
    assert record.job_key is not None
    elsewhere = ExitStack()
    elsewhere.enter_context(claimed("outputs", record.job_key))

    def failed_meanwhile(outputs: Path | str, job_key: str) -> bool:
        at = "1971-01-01T00:00:00.000000+00:00"
        write_bundle(outputs, replace(record, run_id="elsewhere", started_at=at, finished_at=at), {})
        elsewhere.close()
        return is_free(outputs, job_key)

    monkeypatch.setattr(studies, "is_free", failed_meanwhile)
    with pytest.raises(RunFailedError, match="1 of 1"):
        study(*sweep)
    assert {bundle.name for bundle in (Path("outputs") / "runs").iterdir()} == {first.name, "elsewhere"}


@pytest.mark.slow
@pytest.mark.parametrize("fail", [False, True], ids=["done", "one of them fails"])
def test_two_terminals_share_one_sweep(toy: Path, tmp_path: Path, fail: bool) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(toy), str(SUPPORT)])}
    kinds = "null,run" if fail else "null"
    sweep = [
        "+experiment=toy_single",
        "-m",
        "workload.size=1,2,3,4,5,6",
        "backend.steps=3",
        f"backend.fail={kinds}",
    ]
    command = [sys.executable, "-m", "framework", *sweep]
    terminals = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(2)
    ]
    said = [terminal.communicate(timeout=120)[0].decode() for terminal in terminals]
    assert [terminal.returncode for terminal in terminals] == [1 if fail else 0] * 2, said
    ingest(tmp_path / "outputs")
    runs = Store(tmp_path / "outputs").rows("SELECT sweep_index, status FROM runs ORDER BY 1")[1]
    assert {index for index, _ in runs} == set(range(12 if fail else 6))
    done = [index for index, status in runs if status == "done"]
    assert len(done) == len(set(done)) == 6
    # a point that failed before the other terminal began runs again there, as it does for any later command
    failed = [index for index, status in runs if status == "failed"]
    assert all(failed.count(index) <= 2 for index in failed)
    assert any("being run by another process" in text or "skipped" in text for text in said)
