"""Rules that models of an engine apply too, not only the metrics.

They are a module of their own: what a model imports is part of what it executes, so that a change here runs it again,
while a change of any other metric only derives the metrics again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from framework.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

STARVED_BELOW = 0.9
"""A run, or an adapter, is starved when less than this share of what was asked for is served (arXiv 2508.08343)."""


def censored_ttft(
    finished_ttft_s: npt.NDArray[np.float64],
    unfinished: float,
    requests: int,
    duration_s: float,
    source: str = "requests",
) -> Metric:
    """Return the adapter study's mean TTFT: an unfinished request counts with the whole duration.

    Args:
        finished_ttft_s: TTFT of each finished request.
        unfinished: requests that arrived and did not finish; a model may give the number expected.
        requests: all that arrived.
    """
    total_s = finished_ttft_s.sum() + unfinished * duration_s
    return Metric("ttft_censored_ms", float(1e3 * total_s / requests), "ms", source)


def with_intervals(metrics: Iterable[Metric], factors: Mapping[str, Sequence[float]]) -> list[Metric]:
    """Give metrics the interval that a model states as (low, high) factors on their values."""
    return [
        replace(
            metric, low=metric.value * factors[metric.name][0], high=metric.value * factors[metric.name][1]
        )
        if metric.value is not None and metric.name in factors
        else metric
        for metric in metrics
    ]
