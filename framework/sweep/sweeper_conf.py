"""The typed configuration of the study's sweeper.

It is separate from the sweeper: Hydra executes a plugin's module twice, and a class that exists twice can't be
pickled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class StudySweeperConf:
    """`hydra.sweeper` of a study.

    Attributes:
        params: axes common to all grids: key → Hydra's sweep syntax (`1,2,4`, `range(1,5)`, `choice(a,b)`) or a
            YAML list of the values.
        grids: named grids; the study is the union of their products. Empty: one grid of `params` alone.
    """

    _target_: str = "hydra_plugins.framework_hydra.study_sweeper.StudySweeper"
    params: dict[str, Any] | None = None
    grids: dict[str, Any] = field(default_factory=dict)
