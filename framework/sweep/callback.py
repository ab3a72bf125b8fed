"""Hydra's view of a study: what happens when a job ends and when the sweep ends."""

from __future__ import annotations

from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from framework.processes.end_signals import not_lost
from framework.run_record import RunOutcome
from framework.sweep import session as sessions


class StudyCallback(Callback):
    """Named in `conf/config.yaml` under `hydra.callbacks`."""

    def on_job_start(self, config: DictConfig, *, task_function: Any, **kwargs: Any) -> None:
        """Show which point is being run now, where jobs run in this process."""
        session = sessions.current()
        position = config.sweep
        if session is not None and position.index is not None:
            session.on_start(session.points[position.index, position.repeat])

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Show an outcome as soon as its job ends, where the job ran in this process.

        Hydra keeps both configurations of every job until the sweep ends: half a megabyte each. The bundle has
        them already, so they are let go.
        """
        job_return.cfg = job_return.hydra_cfg = None
        session = sessions.current()
        position = config.sweep
        if session is None or position.index is None or job_return.status != JobStatus.COMPLETED:
            return
        outcome = job_return.return_value
        if isinstance(outcome, RunOutcome):
            session.add((position.index, position.repeat), outcome)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Bring the runs into the store, ask the advisors, print the tables.

        Hydra makes a warning of whatever a callback raises, and ends well; so it is kept for the exit status.
        """
        from framework.sweep.ending import end_sweep

        session = sessions.current()
        if session is None or session.dry:
            return
        try:
            with not_lost():
                end_sweep(config, session)
        except Exception as error:
            session.end_error = error
