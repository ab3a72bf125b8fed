"""`hydra/launcher=slurm`, `background` and those of plugins: the points of a study as jobs of a queue.

Hydra imports this module on every study command: what launches is imported when something is launched.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from framework.jobs.launcher_conf import (
    OF_ANY_QUEUE,
    BackgroundLauncherConf,
    QueueLauncherConf,
    SlurmLauncherConf,
)

for _name, _conf in (
    ("queue_schema", QueueLauncherConf),
    ("slurm_schema", SlurmLauncherConf),
    ("background_schema", BackgroundLauncherConf),
):
    ConfigStore.instance().store(group="hydra/launcher", name=_name, node=_conf, provider="framework")


class QueueLauncher(Launcher):
    """Submits the points of a study to a queue and stays to watch them."""

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
        """Carry out jobs on the queue and return the result of each.

        Raises:
            ConfigError: a parameter is refused.
            QueueError: there is no queue, or it refuses the jobs.
        """
        from framework.configuration.study_config import without_hydra
        from framework.errors import ConfigError
        from framework.jobs.batch_folder import batches_folder
        from framework.jobs.known_queues import queue_named
        from framework.jobs.submission import QueuedSweep, QueueUse, SweepJob
        from framework.sweep import session as sessions

        session = sessions.current()
        context, config = self.hydra_context, self.config
        assert context is not None
        assert config is not None
        if session is None:
            raise ConfigError("jobs of a queue need hydra/sweeper=study: it keeps account of them")
        numbers = {key: self._number(key) for key in ("timeout_min", "runs_per_job", "array_parallelism")}
        room = batches_folder(session.outputs_dir, session.sweep_id)
        settings = {key: value for key, value in self.params.items() if key not in OF_ANY_QUEUE}
        # a notice of the end: the run's own affair, and an option of sbatch
        notice_s = min(self.params["signal_delay_s"], 15 * numbers["timeout_min"])
        if settings["queue"] == "slurm":
            settings["signal_delay_s"] = notice_s
        queue = queue_named(settings, room)
        use = QueueUse(
            queue,
            settings,
            room,
            self._new_batch(room, notice_s, list(getattr(queue, "requeue", ()))),
            numbers["runs_per_job"],
            60.0 * numbers["timeout_min"],
            numbers["array_parallelism"],
        )
        sweep = QueuedSweep(
            session,
            use,
            compose=lambda overrides: without_hydra(
                context.config_loader.load_sweep_config(config, list(overrides))
            ),
        )
        outcomes = sweep.run([SweepJob.of(overrides) for overrides in job_overrides])
        returns = []
        for outcome in outcomes:
            gave_up = isinstance(outcome, BaseException)
            returns.append(JobReturn(status=JobStatus.FAILED if gave_up else JobStatus.COMPLETED))
            returns[-1].return_value = outcome
        return returns

    def _new_batch(self, room: Path, notice_s: float, requeue: list[str]) -> Callable[[Any], Any]:
        """Return what makes the folder of a batch from the points of its tasks."""
        import shlex
        import sys

        from hydra.core.singleton import Singleton

        from framework.jobs.batch_folder import BatchFolder, TaskLimits
        from framework.jobs.task import HydraJob, pickled

        python = shlex.split(self.params["python"]) if "python" in self.params else [sys.executable]
        launch = pickled(
            HydraJob(self.hydra_context, self.task_function, self.config, Singleton.get_state(), sys.argv)
        )
        limits = TaskLimits(
            60.0 * self.params["timeout_min"], notice_s, self.params["max_num_timeout"], requeue
        )
        setup = self.params.get("setup", [])

        def new_batch(tasks: Any) -> BatchFolder:
            return BatchFolder.new(room, self.params["name"], tasks, limits, launch, python, setup)

        return new_batch

    def _number(self, key: str) -> int:
        from framework.errors import ConfigError

        value = self.params[key]
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"configuration key 'hydra.launcher.{key}': must be at least 1, got {value}")
        return value
