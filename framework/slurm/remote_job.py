"""What a job of the cluster runs: Hydra's job, restored from what the launcher left on the shared file system."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from framework.configuration.search_path import CONFIG_DIR
from framework.errors import TimeLimitError


class RemoteJob:
    """Picklable callable of one sweep. The launcher's state is in one file, not in the pickle of every job."""

    def __init__(self, shared: Path) -> None:
        self.shared = shared

    @staticmethod
    def share(folder: Path, hydra_job: Any, singletons: Any) -> RemoteJob:
        """Leave Hydra's job callable and Hydra's singletons in a file; return the job that restores them.

        The file has a name of its own: jobs of an earlier launch may still wait for theirs.
        """
        import cloudpickle  # type: ignore[import-untyped]

        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"launch-{time.time_ns()}.pkl"
        file.write_bytes(cloudpickle.dumps((hydra_job, singletons, os.environ.get(CONFIG_DIR))))
        return RemoteJob(file)

    def __call__(self, overrides: Sequence[str], number: int) -> Any:
        """Carry out one job and return Hydra's `JobReturn`."""
        import pickle

        hydra_job, singletons, config_dir = pickle.loads(self.shared.read_bytes())
        if config_dir is not None:  # a cluster may start jobs without the environment of their launcher
            os.environ[CONFIG_DIR] = config_dir
        with _time_limit_raises():
            return hydra_job(list(overrides), "hydra.sweep.dir", number, f"job_{number}", singletons)

    def checkpoint(self, *args: Any) -> Any:
        """Return what submitit submits again when the job is preempted: the same job from its start."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *args)


@contextmanager
def _time_limit_raises() -> Iterator[None]:
    """Turn submitit's refusal to requeue a job at its time limit into an error that names the reason.

    Slurm signals some time before the limit (`signal_delay_s`); submitit's handler requeues a preempted job and
    raises for one that has used its time up. Raised inside the run, the error becomes its failed bundle.
    """
    from submitit.core.job_environment import JobEnvironment
    from submitit.core.utils import UncompletedJobError

    number = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
    of_submitit = signal.getsignal(number)
    if not callable(of_submitit):
        yield
        return

    def handler(signum: int, frame: FrameType | None) -> None:
        try:
            of_submitit(signum, frame)
        except UncompletedJobError:
            raise TimeLimitError("the job's time limit is reached") from None

    signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, of_submitit)
