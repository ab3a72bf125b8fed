"""The typed configuration of `hydra/launcher=joblib`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ParallelLauncherConf:
    """`hydra.launcher` on one machine.

    Attributes:
        n_jobs: processes at once; -1: one a core, -2: all cores but one.
        batch_size: runs handed to a process at a time (`auto`: more of those that take no time).
        verbose: 1 to 50; what joblib itself says.
    """

    _target_: str = "hydra_plugins.framework_hydra.joblib_launcher.ParallelLauncher"
    n_jobs: int = -1
    batch_size: str = "auto"
    verbose: int = 0
