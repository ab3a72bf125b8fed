"""The typed configuration of launchers that hand runs to a queue: `hydra/launcher=slurm`, `background`, a plugin's.

It is separate from the launcher: Hydra executes a plugin's module twice, and a class that exists twice can't be
pickled.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class QueueLauncherConf:
    """`hydra.launcher` of any queue. Further keys of an option's schema are the queue's own.

    Attributes:
        queue: name of the queue (`framework.jobs.known_queues`).
        name: what the names of the jobs begin with.
        timeout_min: time limit of one run, in minutes.
        runs_per_job: how many runs one job carries out, one after another, each in a process of its own: less
            waiting and fewer jobs when runs are short. The job's limit is that of all its runs.
        array_parallelism: how many jobs may run at once.
        signal_delay_s: how long before its limit a run is told to end, so that it can stop its servers and report
            why; at most a quarter of the limit, and a queue may be half a minute early.
        max_num_timeout: how often a job that has used its time up is put back into the queue.
        setup: lines of bash before the run: `module load`, `source .../activate`, `export`.
        python: how Python is started, e.g. `apptainer exec --nv lab.sif python`; null: this interpreter.
    """

    _target_: str = "hydra_plugins.framework_hydra.queue_launcher.QueueLauncher"
    queue: str = "???"
    name: str = "framework"
    timeout_min: int = 60
    runs_per_job: int = 1
    array_parallelism: int = 256
    signal_delay_s: int = 60
    max_num_timeout: int = 0
    setup: list[str] | None = None
    python: str | None = None


@dataclass
class BackgroundLauncherConf(QueueLauncherConf):
    """`hydra/launcher=background`: runs go on in the background of this machine, whatever becomes of the terminal."""

    queue: str = "background"
    array_parallelism: int = 1


@dataclass
class SlurmLauncherConf(QueueLauncherConf):
    """`hydra/launcher=slurm`; names are those of hydra-submitit-launcher, null leaves Slurm's default.

    Attributes:
        submit_via: words in front of Slurm's client commands where this machine has none: `ssh login1`.
        partition, account, qos, constraint, exclude, gres, comment: as sbatch takes them.
        nodes, tasks_per_node, cpus_per_task, gpus_per_node: what one job gets.
        mem_gb: memory a node, in GB.
        additional_parameters: any other sbatch option, e.g. `{mail-type: FAIL}`.
    """

    queue: str = "slurm"
    submit_via: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    comment: str | None = None
    nodes: int = 1
    tasks_per_node: int = 1
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    mem_gb: float | None = None
    additional_parameters: dict[str, Any] = field(default_factory=dict)


OF_ANY_QUEUE = frozenset(key.name for key in fields(QueueLauncherConf)) - {"queue"}
"""Keys that the launcher itself understands; the others are the queue's."""
