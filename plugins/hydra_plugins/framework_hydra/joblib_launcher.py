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
        """Carry out jobs in processes of their own and return the result of each."""
        returns: Sequence[JobReturn] = self._hydra.launch(job_overrides, initial_job_idx)
        return returns
