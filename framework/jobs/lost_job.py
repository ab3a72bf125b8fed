"""A job that ended without a bundle gets one from the launcher: a failed run is a row, not a gap.

Its run id follows from the job, so that it is written once however many launchers come to the same conclusion.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from omegaconf import DictConfig

from framework.configuration.study_config import StudyConfig
from framework.contracts import Json
from framework.errors import StoreError
from framework.identity.run_key import canonical_hash, utc_now
from framework.jobs.job_ledger import SubmittedJob
from framework.processes.job_queue import JobState
from framework.run.kept_files import LOG, kept_files
from framework.run.runner import refusal_record
from framework.run_record import Failure, RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.bundles.heartbeat import read_running, remove_marker
from framework.store.layout import running_folder, runs_folder


def lost_record(
    outputs: str,
    job: SubmittedJob,
    state: JobState,
    failure: Failure,
    config: DictConfig,
    varied: Sequence[str],
    queue: str = "slurm",
) -> RunRecord:
    """Return the failed run of a job that left no bundle.

    What the run itself had begun to record (its heartbeat's marker) is kept; otherwise the record is made from
    the job's configuration.
    """
    begun = _begun(outputs, job)
    if begun is not None:
        where = {**_known(begun, queue), **_facts(job, state)}
        record = replace(begun, provenance={**begun.provenance, queue: where})
    else:
        record = refusal_record(config, failure, varied)
        of_launcher = {key: value for key, value in record.provenance.items() if key not in ("host", "gpu")}
        record = replace(
            record,
            run_id=_run_id(job, record.run_key),
            started_at=_iso(job.submitted_at),
            provenance={**of_launcher, "job": job.job_id, queue: _facts(job, state)},
        )
    return replace(record, status="failed", finished_at=utc_now(), failure=failure, metrics=())


def write_lost(outputs: str, record: RunRecord, logs: Sequence[Path] = ()) -> None:
    """Write the bundle of a lost job with its logs, unless it is there, and end its run's heartbeat.

    Raises:
        StoreError: it can't be written.
    """
    bundle = runs_folder(outputs) / record.run_id
    try:
        if not bundle.exists():
            with tempfile.TemporaryDirectory(prefix="framework-lost-") as copies:
                kept = kept_files([(LOG, logs)], Path(copies), StudyConfig.artifacts_mb)
                write_bundle(outputs, replace(record, artifact_notes=kept.notes), {}, kept.files)
    except StoreError:
        if not bundle.exists():  # else another launcher was faster
            raise
    remove_marker(running_folder(outputs) / f"{record.run_id}.json")


_MEMORY = re.compile(
    r"^.*(?:exceeded (?:job|step) memory limit|oom[-_ ]?kill|out of memory|cannot allocate memory|MemoryError"
    r"|memory allocation .*failed|bad_alloc|failed to map segment).*$",
    re.IGNORECASE | re.MULTILINE,
)
_TIME = re.compile(r"^.*(?:DUE TO TIME LIMIT).*$", re.MULTILINE)
_CANCELLED = re.compile(r"^.*(?:CANCELLED AT ).*$", re.MULTILINE)
_FEWER = "hydra.launcher.array_parallelism=N runs fewer jobs at once"
_REMEDIES = {
    "out_of_memory": f"hydra.launcher.mem_gb=N asks Slurm for more memory, {_FEWER}",
    "killed": f"by the kernel if memory ran out: {_FEWER}",
    "timeout": "hydra.launcher.timeout_min=N asks for more time",
}


def reason_in_log(tail: str, kind: str) -> tuple[str, str]:
    """Return the kind of a failure and what to add to its message, as far as the end of the job's log knows better.

    Slurm calls a job that its own memory limit killed `FAILED`, and says why in the job's log alone; a library that
    gets no memory aborts the process.

    Args:
        tail: the ends of the job's logs.
        kind: what follows from the state that Slurm reports.
    """
    said = None
    for better, pattern in (("out_of_memory", _MEMORY), ("timeout", _TIME), ("cancelled", _CANCELLED)):
        said = pattern.search(tail)
        if said is not None and kind in ("job_failed", "killed", "no_result", "lost", better):
            kind = better
            break
    words = f": {said[0].strip()}" if said is not None else ""
    return kind, words + remedy(kind)


def remedy(kind: str) -> str:
    """Return what to add to a message of this kind of failure: what may help, or nothing."""
    return f"; {_REMEDIES[kind]}" if kind in _REMEDIES else ""


def is_of_job(record: RunRecord, job: SubmittedJob) -> bool:
    """Return whether a run is what this very job made of its point, and not an earlier or later one."""
    return record.job_key == job.job_key and record.provenance.get("job") == job.job_id


def _begun(outputs: str, job: SubmittedJob) -> RunRecord | None:
    for run in read_running(outputs):
        if is_of_job(run.record, job):
            return run.record
    return None


def _known(record: RunRecord, queue: str) -> Mapping[str, Json]:
    facts = record.provenance.get(queue)
    return facts if isinstance(facts, Mapping) else {}


def _facts(job: SubmittedJob, state: JobState) -> dict[str, Json]:
    array, _, task = job.job_id.rpartition("_") if "_" in job.job_id else (job.job_id, "", "")
    facts: dict[str, Json] = {"array_job_id": array, "array_task_id": task} if task else {"job_id": array}
    named = {
        "state": state.state,
        "nodename": state.node,
        "job_partition": state.partition,
        "reason": state.reason,
    }
    return {**facts, **{key: value for key, value in named.items() if value}}


def _run_id(job: SubmittedJob, run_key: str) -> str:
    at = datetime.fromtimestamp(job.submitted_at, UTC)
    tail = canonical_hash([job.job_id, job.submitted_at])[:6]
    return f"{at:%Y%m%dT%H%M%S}-{run_key[:8]}-{tail}"


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="microseconds")
