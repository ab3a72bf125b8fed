"""The life of one run: workload → key → skip or go → collectors → backend → derived → sanity → bundle.

A failed run is a row, not a gap: whatever stage fails, a bundle says so. Only errors in the configuration
itself are raised before anything is written.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from framework import collection
from framework.components import build_component
from framework.config import describing_config
from framework.contracts import (
    Backend,
    Json,
    Metric,
    Result,
    RunContext,
    SanityCheck,
    Verdict,
    WorkloadTables,
)
from framework.errors import ConfigError, UserError
from framework.plugins import plugin_manager
from framework.provenance import provenance
from framework.run_key import new_run_id, run_key, utc_now
from framework.run_record import Failure, RunRecord, Status
from framework.versions import code_version

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOG_TAIL_LINES = 40


@dataclass(frozen=True)
class RunOutcome:
    """What a sweep needs to know of a run: small, picklable, complete.

    Attributes:
        skipped: the run was done before; `run_id` names the earlier one.
    """

    run_id: str
    status: Status
    skipped: bool = False
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    failure: Failure | None = None


class _StageError(Exception):
    """Carries which stage of the run failed; the cause is the original exception."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


@contextmanager
def _stage(name: str) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except _StageError:
        raise
    except BaseException as error:
        raise _StageError(name) from error


def execute(config: DictConfig, progress: Callable[[float, str], None] | None = None) -> RunOutcome:
    """Carry out one run and return its outcome.

    Raises:
        ConfigError: the configuration can't describe a run; nothing was started or written.
        StoreError: the bundle could not be written.
    """
    from framework.store.lookup import done_run

    plain = describing_config(config)
    outputs = str(config.outputs_dir)
    seed = _seed(plain) + int(config.sweep.repeat)
    backend = build_component(config, "backend")
    if not isinstance(backend, Backend):
        name = type(backend).__name__
        raise ConfigError(f"configuration key 'backend._target_': {name} has no check and run")
    collectors = collection.build_collectors(config)
    workload = _built_workload(config, seed)
    backend.check(workload)
    key = run_key(plain, workload.content_hash, code_version(backend), int(config.sweep.repeat))
    if config.resume:
        earlier = done_run(outputs, key)
        if earlier is not None:
            return RunOutcome(earlier, "done", skipped=True)
    record = _new_record(config, plain, key, workload, backend, seed)
    return _carry_out(record, outputs, backend, workload, collectors, progress)


def _seed(plain: Mapping[str, Json]) -> int:
    workload = plain.get("workload")
    seed = workload.get("seed", 0) if isinstance(workload, Mapping) else 0
    return int(seed or 0)


def _built_workload(config: DictConfig, seed: int) -> WorkloadTables:
    workload = build_component(config, "workload")
    tables = workload.build(seed)
    assert isinstance(tables, WorkloadTables)
    return tables


def _new_record(
    config: DictConfig,
    plain: dict[str, Json],
    key: str,
    workload: WorkloadTables,
    backend: Backend,
    seed: int,
) -> RunRecord:
    position = config.sweep
    return RunRecord(
        run_id=new_run_id(key),
        run_key=key,
        job_key=position.job_key,
        experiment=str(config.experiment),
        backend=str(plain.get("backend", {}).get("name", type(backend).__name__)),
        status="running",
        started_at=utc_now(),
        sweep_id=position.id,
        sweep_index=position.index,
        repeat=int(position.repeat),
        seed=seed,
        workload_hash=workload.content_hash,
        code_version=code_version(backend),
        config=plain,
        varied=_varied(),
        facts={"workload": dict(workload.facts)},
        provenance=provenance(),
    )


def _varied() -> list[str]:
    """Return the keys this job was given by its sweep, from Hydra's own record of overrides."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return []
    keys = [text.lstrip("+~").partition("=")[0] for text in HydraConfig.get().overrides.task]
    return [key for key in keys if not key.startswith(("sweep.", "experiment"))]


def _carry_out(
    record: RunRecord,
    outputs: str,
    backend: Backend,
    workload: WorkloadTables,
    collectors: collection.Collectors,
    progress: Callable[[float, str], None] | None,
) -> RunOutcome:
    from framework.store.bundle import write_bundle
    from framework.store.heartbeat import heartbeat

    scratch = Path(tempfile.mkdtemp(prefix="framework-run-"))
    context = RunContext(record.run_id, record.config, record.seed, scratch)
    if progress is not None:
        context = replace(context, progress=progress)
    try:
        with heartbeat(outputs, record):
            try:
                result = _measure(record, backend, workload, collectors, context)
                checks = list(result.checks)
                record = replace(
                    record,
                    status="done",
                    metrics=result.metrics,
                    checks=checks,
                    sanity=_worst(checks),
                    facts={**record.facts, **result.facts},
                )
            except _StageError as error:
                result = Result()
                record = replace(record, status="failed", failure=_failure(error, scratch))
            record = replace(record, finished_at=utc_now())
            write_bundle(outputs, record, result.tables)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    metrics = {metric.name: metric.value for metric in record.metrics}
    return RunOutcome(record.run_id, record.status, metrics=metrics, failure=record.failure)


def _measure(
    record: RunRecord,
    backend: Backend,
    workload: WorkloadTables,
    collectors: collection.Collectors,
    context: RunContext,
) -> Result:
    with collectors.running(context), _stage("backend"):
        result = backend.run(workload, context)
    with _stage("collectors"):
        collectors.merge_into(result)
    hook = plugin_manager().hook
    with _stage("derive"):
        known = {metric.name for metric in result.metrics}
        for derived in hook.derived_metrics(config=record.config, workload=workload, result=result):
            for metric in derived:
                if metric.name not in known:
                    known.add(metric.name)
                    result.metrics.append(metric)
    with _stage("sanity"):
        for found in hook.sanity_checks(config=record.config, workload=workload, result=result):
            result.checks.extend(found)
        result.checks.extend(_finite_metrics(result.metrics))
    return result


def _finite_metrics(metrics: list[Metric]) -> list[SanityCheck]:
    """Return a failed check for every metric that is NaN or infinite: a defect, not a result."""
    return [
        SanityCheck("finite_metrics", "fail", f"{metric.name} is {metric.value}")
        for metric in metrics
        if metric.value is not None and (metric.value != metric.value or abs(metric.value) == float("inf"))
    ]


def _worst(checks: list[SanityCheck]) -> Verdict:
    verdicts = {check.verdict for check in checks}
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "pass"


def _failure(error: _StageError, scratch: Path) -> Failure:
    cause = error.__cause__
    assert cause is not None
    message = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    if os.environ.get("FRAMEWORK_DEBUG") == "1":
        traceback.print_exception(cause, file=sys.stderr)
    return Failure(error.stage, type(cause).__name__, message, _log_tail(cause, scratch))


def _log_tail(cause: BaseException, scratch: Path) -> str:
    """Return the ends of the logs a backend left in its scratch folder, then the end of the traceback."""
    parts = []
    for log in sorted(scratch.rglob("*.log")):
        lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        parts.append("\n".join([f"== {log.name}", *lines]))
    if not isinstance(cause, UserError):
        parts.append("".join(traceback.format_exception(cause)[-8:]))
    return "\n".join(parts)
