"""One job of a sweep: whatever goes wrong with it becomes a row, and the sweep goes on."""

from __future__ import annotations

from omegaconf import DictConfig

from framework.errors import StoreError, UserError
from framework.run.runner import RunOutcome, execute, record_refusal
from framework.run_record import Failure


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
        failure = Failure("validate", type(error).__name__, str(error).splitlines()[0])
        return record_refusal(config, failure)
