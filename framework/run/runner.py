"""The life of one run: workload → key → skip or go → collectors → backend → derived → sanity → bundle.

A failed run is a row, not a gap: whatever stage fails, a bundle says so. Only errors in the configuration
itself are raised before anything is written.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from framework.configuration.components import build_component
from framework.configuration.study_config import VOLATILE_KEYS, describing_config, study_name, written_config
from framework.contracts import (
    Backend,
    Json,
    Progress,
    Result,
    RunContext,
    Workload,
    WorkloadTables,
)
from framework.errors import ConfigError, SetupError, StoreError, UserError, one_line
from framework.identity.run_key import new_run_id, run_key, utc_now, without_volatile
from framework.identity.versions import code_version, derivation_hash, execution_hash
from framework.processes import between_runs
from framework.run import collection
from framework.run.derivation import derive_again, derive_metrics, judge, worst
from framework.run.kept_files import LOG, KeptFiles, kept_files, logs_of
from framework.run.provenance import provenance
from framework.run.stages import StageError, failure_kind, failure_of, stage
from framework.run_record import Failure, RunOutcome, RunRecord

if TYPE_CHECKING:
    from framework.store.bundles.heartbeat import Heartbeat


def execute(config: DictConfig, progress: Progress = lambda fraction, text: None) -> RunOutcome:
    """Carry out one run and return its outcome.

    Args:
        config: the composed configuration.
        progress: shows how far the run is: what its backend reports, and the stages around it.

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
    try:
        progress(0.0, "building the workload")
        with stage("workload", passing=(UserError,)):
            workload = _built_workload(config, seed)
        progress(0.0, "checking that the backend can run it")
        with stage("validate", passing=(UserError,)):
            backend.check(workload)
    except StageError as error:
        return record_refusal(config, failure_of(error, None))
    executed = execution_hash(backend, collectors.instances)
    key = run_key(plain, workload.content_hash, executed, int(config.sweep.repeat))
    if config.resume:
        earlier = done_run(outputs, key)
        if earlier is not None:
            return _skipped(outputs, earlier)
    record = _new_record(config, plain, key, workload, backend, seed)
    record = replace(record, code_version=code_version(backend, executed))
    return _carry_out(record, outputs, backend, workload, collectors, progress, float(config.artifacts_mb))


def _skipped(outputs: str, run_id: str) -> RunOutcome:
    """Return the outcome of a run that was done before; metrics of an earlier definition are derived again."""
    from framework.store.lookup import outdated_runs

    again = derive_again(outputs, outdated_runs(outputs, [run_id], derivation_hash()))
    return RunOutcome(
        run_id, "done", skipped=True, rederived=bool(again.run_ids), outdated=again.refused.get(run_id)
    )


def execute_job(config: DictConfig, progress: Progress = lambda fraction, text: None) -> RunOutcome:
    """Carry out one job of a sweep; a combination that can't run is written as a failed run of stage `validate`.

    Raises:
        StoreError: nothing can be written, so that going on would lose every further run.
    """
    try:
        return execute(config, progress)
    except StoreError:
        raise
    except UserError as error:
        refused = record_refusal(config, Failure("validate", type(error).__name__, one_line(error)))
        return replace(refused, holds_for=error.keys if isinstance(error, SetupError) else None)


def record_refusal(config: DictConfig, failure: Failure) -> RunOutcome:
    """Write a run that never started as a failed one, so that it is a row and not a gap."""
    from framework.store.bundles.bundle import write_bundle

    record = refusal_record(config, failure, own_overrides())
    write_bundle(str(config.outputs_dir), record, {})
    return RunOutcome(record.run_id, "failed", failure=failure)


def refusal_record(config: DictConfig, failure: Failure, overrides: Sequence[str]) -> RunRecord:
    """Return the record of a run that never started; `overrides` are those its job was given."""
    try:
        plain = describing_config(config)
    except ConfigError:  # that can't be resolved: as it is written, so that the row says what was asked
        plain = written_config(config)
    position = config.sweep
    key = run_key(plain, "", "", int(position.repeat))
    return RunRecord(
        run_id=new_run_id(key),
        run_key=key,
        job_key=position.job_key,
        experiment=study_name(config),
        backend=_name_of(plain.get("backend"), ""),
        status="failed",
        started_at=utc_now(),
        finished_at=utc_now(),
        sweep_id=position.id,
        sweep_index=position.index,
        repeat=int(position.repeat),
        config=without_volatile(plain),
        varied=_varied(overrides),
        provenance=provenance(),
        failure=failure,
    )


def _name_of(group: Json, fallback: str) -> str:
    return str(group.get("name", fallback)) if isinstance(group, Mapping) else fallback


def _seed(plain: Mapping[str, Json]) -> int:
    workload = plain.get("workload")
    seed = workload.get("seed") if isinstance(workload, Mapping) else None
    try:
        return int(seed or 0)
    except (TypeError, ValueError):
        raise ConfigError(f"configuration key 'workload.seed': {seed!r} is not a whole number") from None


def _built_workload(config: DictConfig, seed: int) -> WorkloadTables:
    workload = build_component(config, "workload")
    if not isinstance(workload, Workload):
        raise ConfigError(f"configuration key 'workload._target_': {type(workload).__name__} has no build")
    tables = workload.build(seed)
    if not isinstance(tables, WorkloadTables):
        raise TypeError(f"{type(workload).__name__} built {type(tables).__name__} instead of WorkloadTables")
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
        experiment=study_name(config),
        backend=_name_of(plain.get("backend"), type(backend).__name__),
        status="running",
        started_at=utc_now(),
        sweep_id=position.id,
        sweep_index=position.index,
        repeat=int(position.repeat),
        seed=seed,
        workload_hash=workload.content_hash,
        config=without_volatile(plain),
        varied=_varied(own_overrides()),
        facts={"workload": dict(workload.facts)},
        provenance={**provenance(), "options": _chosen_options()},
    )


def own_overrides() -> Sequence[str]:
    """Return the overrides of the job that is being carried out, from Hydra's own record."""
    from hydra.core.hydra_config import HydraConfig

    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def _chosen_options() -> dict[str, Json]:
    """Return the option that was chosen of each group, as a command line names it; a `name` inside may be another."""
    from hydra.core.hydra_config import HydraConfig

    chosen = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    kept = {str(group): option for group, option in chosen.items() if isinstance(option, str)}
    return {group: option for group, option in kept.items() if "/" not in group and group != "experiment"}


def _varied(overrides: Sequence[str]) -> list[str]:
    """Return the keys that a sweep gave to its job."""
    keys = [text.lstrip("+~").partition("=")[0] for text in overrides]
    return [key for key in keys if key.partition(".")[0] not in (*VOLATILE_KEYS, "experiment")]


def _carry_out(
    record: RunRecord,
    outputs: str,
    backend: Backend,
    workload: WorkloadTables,
    collectors: collection.Collectors,
    progress: Progress,
    artifacts_mb: float,
) -> RunOutcome:
    from framework.store.bundles.heartbeat import Heartbeat

    scratch = Path(tempfile.mkdtemp(prefix="framework-run-"))
    heartbeat = Heartbeat(outputs, record, scratch=scratch)

    def reported(fraction: float, text: str) -> None:
        fraction = min(max(float(fraction), 0.0), 1.0)
        heartbeat.progress(fraction, str(text))
        with suppress(OSError):  # a terminal that has gone costs no run
            progress(fraction, str(text))

    keeper = between_runs.current()
    if keeper is not None:
        keeper.begin(record.backend)
    context = RunContext(
        record.run_id,
        record.config,
        record.seed,
        scratch,
        reported,
        command_prefix=collectors.command_prefix,
        between_runs=keeper,
    )
    try:
        not_begun = _not_begun(heartbeat, outputs, record)
        if not_begun is not None:
            return not_begun
        try:
            result = Result()
            try:
                result = _measure(record, backend, workload, collectors, context)
                _judge(record, workload, result, context)
                checks = list(result.checks)
                record = replace(
                    record,
                    status="done",
                    metrics=result.metrics,
                    checks=checks,
                    sanity=worst(checks),
                    derivation_hash=derivation_hash(),
                    facts={**record.facts, **result.facts},
                )
            except StageError as error:
                # what was measured is kept, whatever a plugin makes of it
                result = Result(tables=result.tables, facts=result.facts, artifacts=result.artifacts)
                facts = {**record.facts, **result.facts}
                record = replace(record, status="failed", failure=failure_of(error, scratch), facts=facts)
            context.progress(1.0, "writing the run into the store")
            record = _kept(outputs, replace(record, finished_at=utc_now()), result, scratch, artifacts_mb)
        finally:
            heartbeat.stop()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    metrics = {metric.name: metric.value for metric in record.metrics}
    return RunOutcome(
        record.run_id,
        record.status,
        metrics=metrics,
        failure=record.failure,
        bands={
            metric.name: (metric.low, metric.high)
            for metric in record.metrics
            if metric.low is not None and metric.high is not None
        },
        findings=tuple(
            f"{check.verdict}: {check.name}: {check.detail}"
            for check in record.checks
            if check.verdict != "pass"
        ),
    )


def _not_begun(heartbeat: Heartbeat, outputs: str, record: RunRecord) -> RunOutcome | None:
    """Start the heartbeat; return the outcome of a run whose marker can't be written: its row may find room.

    Raises `StoreError` if that finds none either.
    """
    from framework.store.bundles.bundle import write_bundle

    try:
        heartbeat.start()
        return None
    except StoreError as error:
        failure = Failure("bundle", failure_kind(error), one_line(error))
        write_bundle(
            outputs, replace(record, status="failed", finished_at=utc_now(), failure=failure, metrics=()), {}
        )
        return RunOutcome(record.run_id, "failed", failure=failure)


def _kept(outputs: str, record: RunRecord, result: Result, scratch: Path, artifacts_mb: float) -> RunRecord:
    """Write the run's bundle; results that can't be stored make it a failed run of stage `bundle`."""
    from framework.store.bundles.bundle import write_bundle

    kept = KeptFiles()
    try:
        named = [(LOG, logs_of(scratch)), *result.artifacts.items()]
        kept = kept_files(named, scratch / ".shortened", artifacts_mb)
        write_bundle(outputs, replace(record, artifact_notes=kept.notes), result.tables, kept.files)
    except Exception as error:  # a plugin's table may hold anything
        failure = record.failure or Failure("bundle", failure_kind(error), one_line(error))
        record = replace(record, status="failed", metrics=(), failure=failure, artifact_notes=kept.notes)
        write_bundle(outputs, record, {}, kept.files)
    return record


def _measure(
    record: RunRecord,
    backend: Backend,
    workload: WorkloadTables,
    collectors: collection.Collectors,
    context: RunContext,
) -> Result:
    with collectors.running(context), stage("backend"):
        context.progress(0.0, str(record.backend))
        result = backend.run(workload, context)
        if not isinstance(result, Result):
            name = type(backend).__name__
            raise TypeError(f"{name} returned {type(result).__name__} instead of a Result")
    with stage("collectors"):
        collectors.merge_into(result)
    return result


def _judge(record: RunRecord, workload: WorkloadTables, result: Result, context: RunContext) -> None:
    context.progress(1.0, "deriving metrics")
    with stage("derive"):
        derive_metrics(record.config, workload, result)
    with stage("sanity"):
        judge(record.config, workload, result)
