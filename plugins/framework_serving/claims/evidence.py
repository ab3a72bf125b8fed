"""What a computation of a claim may look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework.errors import NotEvaluatedError
from framework_serving.sweeps.sweep_points import Curve, SweepPoint, curves

if TYPE_CHECKING:
    from framework.contracts import StoreReader


@dataclass(frozen=True)
class Evidence:
    """What a computation may look at: the sweep's points, and the store for tables of single runs."""

    store: StoreReader
    points: Sequence[SweepPoint]

    def curve(
        self, model: str, workload: str, chunked_prefill: bool, output_tokens: float | None = None
    ) -> Curve:
        """Return the longest single-engine sweep over the batch ceiling of a model and workload."""
        alike = [
            curve
            for curve in curves(self.points)
            if (curve.first.model, curve.first.workload) == (model, workload)
            and (curve.first.chunked_prefill, curve.first.replicas) == (chunked_prefill, 1)
            and output_tokens in (None, curve.first.number("workload.lengths.output_tokens"))
            and len(curve.points) > 1
        ]
        if alike:
            return max(alike, key=lambda curve: len(curve.points))
        chunked = "with" if chunked_prefill else "without"
        raise NotEvaluatedError(f"no sweep over the batch of {model} on {workload} {chunked} chunked prefill")
