"""`hydra/launcher=joblib`: the points of a study on all cores of one machine, through hydra-joblib-launcher.

Its configuration is `framework.configuration.parallel_conf`; Hydra imports this module on every study command.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ParallelLauncher(Launcher):
    """Hydra's joblib launcher with a clear word when it is not installed; its keys are `joblib.Parallel`'s."""

    def __init__(self, n_jobs: int = -1, **parallel: Any) -> None:
        from framework.errors import ConfigError

        if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
            raise ConfigError(
                f"configuration key 'hydra.launcher.n_jobs': {n_jobs!r} is not a number of processes"
            )
        try:
            from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
        except ImportError as error:
            raise ConfigError("hydra/launcher=joblib needs: pip install 'framework-lab[parallel]'") from error
        self._hydra = JoblibLauncher(n_jobs=n_jobs, **parallel)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hand on what Hydra hands over."""
        self._hydra.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Carry out jobs in processes of their own and return the result of each.

        Raises `UserError` when a process is lost: joblib then ends the others.
        """
        from joblib.externals.loky.process_executor import BrokenProcessPool

        from framework.errors import UserError

        try:
            returns: Sequence[JobReturn] = self._hydra.launch(job_overrides, initial_job_idx)
            return returns
        except BrokenProcessPool as error:
            raise UserError(
                f"hydra/launcher=joblib: {_why(error)}; finished runs are kept, "
                "and the same command carries out the others"
            ) from error


def _why(error: BaseException) -> str:
    """Return why joblib lost a process: what was raised as it began, or that it was killed."""
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    if isinstance(error, TerminatedWorkerError):
        return "a process was killed, by the kernel if memory ran out (hydra.launcher.n_jobs=N starts fewer)"
    raised = str(error.__cause__ or error).replace('"""', "").strip().splitlines()
    return f"a process could not begin: {raised[-1].strip()}"
