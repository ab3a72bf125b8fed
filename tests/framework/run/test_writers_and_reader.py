"""Whatever a code path writes of a run, its own reader takes, and a failure is shown in `failures`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from framework.jobs.job_ledger import SubmittedJob
from framework.jobs.lost_job import lost_record, reason_in_log, write_lost
from framework.jobs.slurm_queue import job_state
from framework.run.runner import execute_job, record_refusal
from framework.run_record import Failure
from framework.store.bundles.sources import bundle_sources
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store

Make = Callable[..., DictConfig]
STATES = [
    "TIMEOUT",
    "CANCELLED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "OUT_OF_ME",
    "FAILED",
    "COMPLETED",
    "UNKNOWN",
    "PREEMPTED",
]
TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
LEAF = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), TEXT.filter(lambda t: "$" not in t)
)


def _shown(outputs: Path) -> list[tuple[Any, ...]]:
    report = ingest(outputs)
    assert report.quarantined == []
    bundles = sum(len(source.names()) for source in bundle_sources(outputs))
    rows = Store(outputs).rows("SELECT stage, kind, message FROM failures")[1]
    assert len(rows) == bundles
    return rows


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stage=st.sampled_from(["validate", "launcher"]), kind=TEXT, message=TEXT, log=TEXT, value=LEAF, name=LEAF
)
def test_a_run_that_never_started_is_a_row(
    toy_config: Make, tmp_path: Path, stage: str, kind: str, message: str, log: str, value: Any, name: Any
) -> None:
    outputs = tmp_path / f"o{len(list(tmp_path.iterdir()))}"
    config = toy_config(outputs_dir=str(outputs), workload__seed=0)
    OmegaConf.update(config, "backend.odd", value, force_add=True)
    OmegaConf.update(config, "backend.name", name, force_add=True)
    record_refusal(config, Failure(stage, kind, message, log))
    (row,) = _shown(outputs)
    assert row[0] == stage


@pytest.mark.parametrize("broken", ["${nothing.there}", "???"])
def test_a_configuration_that_can_not_be_resolved_is_a_row_too(
    toy_config: Make, tmp_path: Path, broken: str
) -> None:
    config = toy_config(backend__speed=broken)
    record_refusal(config, Failure("validate", "ConfigError", "no such key"))
    assert _shown(tmp_path / "outputs") == [("validate", "ConfigError", "no such key")]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("resolvable", [True, False])
def test_a_job_that_ended_without_a_bundle_is_a_row(
    toy_config: Make, tmp_path: Path, state: str, resolvable: bool
) -> None:
    config = toy_config(**({} if resolvable else {"backend__speed": "${nothing.there}"}))
    job = SubmittedJob("job-key", "36_2", 2, 0, 1_800_000_000.25)
    log = tmp_path / "36_2_0_log.err"
    log.write_text("slurmstepd: error: Exceeded job memory limit\n\x00\ufffd")
    found = job_state("36_2", state, "n1", "debug", "")
    kind, said = reason_in_log(log.read_text(), found.failure_kind)
    failure = Failure("launcher", kind, f"ended as {state}{said}", log.read_text())
    record = lost_record(str(tmp_path / "outputs"), job, found, failure, config, ["backend.speed=1"])
    write_lost(str(tmp_path / "outputs"), record, [log])
    write_lost(str(tmp_path / "outputs"), record, [log])
    (row,) = _shown(tmp_path / "outputs")
    assert row[:2] == ("launcher", kind)
    assert kind != "lost" or state == "UNKNOWN"


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"backend__fail": fail}
            for fail in ("check", "check_crash", "run", "nothing", "derive", "sanity", "table", "twice")
        ),
        *({"workload__fail": fail} for fail in ("input", "crash", "wrong")),
        {"backend__speed": -1.0},
        {"backend__speed": math.nan, "backend__fail": "run"},
        {"workload__size": "many"},
        {"backend__name": None, "backend__fail": "run"},
        {"experiment": "", "backend__fail": "run"},
    ],
)
def test_every_way_in_which_a_job_of_a_sweep_fails_is_a_row(
    toy_config: Make, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = toy_config(**changes)
    outcome = execute_job(config)
    assert outcome.status == "failed"
    (row,) = _shown(tmp_path / "outputs")
    assert outcome.failure is not None
    assert row == (outcome.failure.stage, outcome.failure.kind, outcome.failure.message)
