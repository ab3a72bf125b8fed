"""The typed configuration of `hydra/launcher=slurm`.

It is separate from the launcher: Hydra executes a plugin's module twice, and a class that exists twice can't be
pickled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class SlurmLauncherConf:
    """`hydra.launcher` on a cluster; names are those of hydra-submitit-launcher, null leaves Slurm's default.

    Attributes:
        partition, account, qos, constraint, exclude, gres: as sbatch takes them.
        timeout_min: time limit of one run, in minutes.
        nodes, tasks_per_node, cpus_per_task, gpus_per_node: what one run gets.
        mem_gb: memory a node, in GB.
        array_parallelism: how many runs may run at once.
        signal_delay_s: how long before the limit a run gets a signal, so that it can stop its servers and report why;
            at most a quarter of the limit, and Slurm may be half a minute early.
        max_num_timeout: how often submitit submits a run again that has used its time up.
        setup: shell lines before the run: `module load`, `source .../activate`, `export`.
        python: how Python is started, e.g. `apptainer exec --nv lab.sif python`; null: this interpreter.
        additional_parameters: any other sbatch option, e.g. `{mail-type: FAIL}`.
    """

    _target_: str = "hydra_plugins.framework_hydra.slurm_launcher.SlurmLauncher"
    name: str = "framework"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    comment: str | None = None
    timeout_min: int = 60
    nodes: int = 1
    tasks_per_node: int = 1
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    mem_gb: float | None = None
    array_parallelism: int = 256
    signal_delay_s: int = 60
    max_num_timeout: int = 0
    setup: list[str] | None = None
    python: str | None = None
    additional_parameters: dict[str, Any] = field(default_factory=dict)
