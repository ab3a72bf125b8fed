"""`hydra/launcher=slurm`: the points of a study as jobs of Slurm, through hydra-submitit-launcher.

Hydra imports this module on every study command: submitit is imported when something is launched.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from framework.slurm.launcher_conf import SlurmLauncherConf

ConfigStore.instance().store(
    group="hydra/launcher", name="slurm_schema", node=SlurmLauncherConf, provider="framework"
)
# what submitit's AutoExecutor knows without naming the cluster
_COMMON = frozenset(
    ["name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node"]
)


class SlurmLauncher(Launcher):
    """Submits the points of a study to Slurm and stays to watch them."""

    def __init__(self, **params: Any) -> None:
        from omegaconf import OmegaConf

        plain = {k: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for k, v in params.items()}
        self.params: dict[str, Any] = {key: value for key, value in plain.items() if value is not None}
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Carry out jobs on the cluster and return the result of each.

        Raises:
            ConfigError: submitit is not installed, or refuses a parameter.
            SlurmError: no Slurm here, or it refuses the jobs.
        """
        from framework.configuration.study_config import without_hydra
        from framework.errors import ConfigError
        from framework.slurm.queue import largest_array
        from framework.slurm.submission import SlurmSweep, SweepJob
        from framework.store.layout import sweeps_folder
        from framework.sweep import session as sessions

        session = sessions.current()
        context, config = self.hydra_context, self.config
        assert context is not None
        assert config is not None
        if session is None:
            raise ConfigError("hydra/launcher=slurm needs hydra/sweeper=study: it keeps account of the jobs")
        folder = sweeps_folder(session.outputs_dir).resolve() / f"{session.sweep_id}.slurm"
        arrays = self._arrays(folder)
        sweep = SlurmSweep(
            session,
            folder,
            submit=arrays,
            largest_array=largest_array(),
            compose=lambda overrides: without_hydra(
                context.config_loader.load_sweep_config(config, list(overrides))
            ),
        )
        outcomes = sweep.run([SweepJob.of(overrides) for overrides in job_overrides])
        returns = []
        for outcome in outcomes:
            returns.append(JobReturn(status=JobStatus.COMPLETED))
            returns[-1].return_value = outcome
        return returns

    def _arrays(self, folder: Path) -> Callable[[Sequence[Any]], list[str]]:
        """Return what submits jobs as one array and returns their ids."""
        from hydra.core.singleton import Singleton

        from framework.errors import ConfigError
        from framework.slurm.queue import SlurmError
        from framework.slurm.remote_job import RemoteJob

        try:
            from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as HydraLauncher
            from submitit.core.utils import FailedJobError, FailedSubmissionError
        except ImportError as error:
            raise ConfigError("hydra/launcher=slurm needs: pip install 'framework-lab[slurm]'") from error
        hydra_job = HydraLauncher(submitit_folder=str(folder))
        hydra_job.setup(
            hydra_context=self.hydra_context, task_function=self.task_function, config=self.config
        )
        executor = self._executor(folder)
        remote = RemoteJob.share(folder, hydra_job, Singleton.get_state())

        def submit(jobs: Sequence[Any]) -> list[str]:
            overrides, numbers = [list(job.overrides) for job in jobs], [job.index for job in jobs]
            try:
                with redirect_stderr(StringIO()):  # submitit repeats there what it raises
                    submitted = executor.map_array(remote, overrides, numbers)
            except (FailedJobError, FailedSubmissionError) as error:
                raise SlurmError(f"sbatch: {_reason(error)}") from error
            return [str(job.job_id) for job in submitted]

        return submit

    def _executor(self, folder: Path) -> Any:
        import submitit

        from framework.errors import ConfigError
        from framework.slurm.queue import SlurmError

        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise SlurmError("no 'sbatch' here: hydra/launcher=slurm runs on a machine with Slurm's clients")
        params = dict(self.params)
        if {"timeout_min", "signal_delay_s"} <= set(params):
            # Slurm signals up to half a minute early: a short run would get the signal before it has begun
            params["signal_delay_s"] = min(params["signal_delay_s"], 15 * params["timeout_min"])
        made_with = {
            f"slurm_{key}": params.pop(key) for key in ("max_num_timeout", "python") if key in params
        }
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster="slurm", **made_with)
            executor.update_parameters(
                **{key if key in _COMMON else f"slurm_{key}": value for key, value in params.items()}
            )
        except (TypeError, ValueError, NameError, RuntimeError) as error:
            raise ConfigError(f"configuration key 'hydra.launcher': {_reason(error)}") from error
        return executor


def _reason(error: Exception) -> str:
    """Return the line of sbatch's complaint among submitit's words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    complaints = [line.partition("error:")[2].strip() for line in lines if "error:" in line]
    return (complaints or lines or [type(error).__name__])[0]
