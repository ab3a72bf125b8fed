"""One job of a sweep: whatever goes wrong with it becomes a row, and the sweep goes on."""

from __future__ import annotations

from omegaconf import DictConfig

from framework.config import describing_config
from framework.errors import StoreError, UserError
from framework.provenance import provenance
from framework.run_key import new_run_id, run_key, utc_now
from framework.run_record import Failure, RunRecord
from framework.runner import RunOutcome, execute


def execute_job(config: DictConfig) -> RunOutcome:
    """Carry out a job; a combination that can't run is written as a failed run of stage `validate`.

    Raises:
        StoreError: nothing can be written, so that going on would lose every further run.
    """
    try:
        return execute(config)
    except StoreError:
        raise
    except UserError as error:
        return _refused(config, error)


def _refused(config: DictConfig, error: UserError) -> RunOutcome:
    from framework.store.bundle import write_bundle

    failure = Failure("validate", type(error).__name__, str(error).splitlines()[0])
    try:
        plain = describing_config(config)
    except UserError:
        plain = {}
    key = run_key(plain, "", "", int(config.sweep.repeat))
    record = RunRecord(
        run_id=new_run_id(key),
        run_key=key,
        job_key=config.sweep.job_key,
        experiment=str(config.experiment),
        backend=str(plain.get("backend", {}).get("name", "")),
        status="failed",
        started_at=utc_now(),
        finished_at=utc_now(),
        sweep_id=config.sweep.id,
        sweep_index=config.sweep.index,
        repeat=int(config.sweep.repeat),
        config=plain,
        provenance=provenance(),
        failure=failure,
    )
    write_bundle(str(config.outputs_dir), record, {})
    return RunOutcome(record.run_id, "failed", failure=failure)
