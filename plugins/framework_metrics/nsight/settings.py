"""What can be set of `metrics=nsight`: the keys under `metrics.nsight`."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING


@dataclass
class NsightSettings:
    """`metrics=nsight`.

    Attributes:
        recipe: what to ask: `timeline`, `gpu_metrics`, `graphs` (of Nsight Systems), `roofline`, `memory` (of Nsight
            Compute); see `recipes.yaml`.
        process: the backend's process to profile (`engine-0`); null: the first one it starts.
        nsys, ncu: programs; null: those that PATH finds.
        arguments: further arguments of the tool.
        delay_s, duration_s: collection of `nsys` after the start of the process; null: until it ends.
        keep: keep the tool's own report with the run (artifact `nsight_report`, within `artifacts_mb`); false: it is
            read and deleted.
    """

    _target_: str = MISSING
    recipe: str = "timeline"
    process: str | None = None
    nsys: str | None = None
    ncu: str | None = None
    arguments: list[str] = field(default_factory=list)
    delay_s: float = 0.0
    duration_s: float | None = None
    keep: bool = False
