"""What a run is for its users and its GPUs: rates per GPU and per user, and the objectives that were met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.contracts import Metric, Result
from framework_serving.metrics.metric_definitions import UNITS
from framework_serving.metrics.request_times import RequestTimes

OBJECTIVES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
"""Keys of `workload.slo`."""


def per_gpu_and_user(run: RequestTimes, duration_s: float | None, result: Result) -> Iterator[Metric]:
    """Yield output tokens per second and GPU, and per second as a user sees them (the inverse of TPOT)."""
    import numpy as np

    served, gpus = run.served(), result.facts.get("gpus")
    if not duration_s:
        yield _absent("output_tok_s_per_gpu", "no token was produced")
    elif not isinstance(gpus, int | float) or gpus < 1:
        yield _absent("output_tok_s_per_gpu", "the backend did not report its number of GPUs")
    else:
        yield _value("output_tok_s_per_gpu", served.output_tokens.sum() / duration_s / gpus)
    tpot_s = served.tpot_s
    seen = tpot_s[np.isfinite(tpot_s) & (tpot_s > 0)]
    if seen.size:
        yield _value("output_tok_s_per_user", (1.0 / seen).mean())
    else:
        yield _absent("output_tok_s_per_user", "no finished request with more than one token")


def objectives(run: RequestTimes, duration_s: float | None, config: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield requests per second that met every objective, and their share of all that arrived.

    A request that failed, was refused or not finished has met none. Of one with a single token, the objectives on
    gaps count as met; the objective on ITL is on the mean gap of a request.
    """
    import numpy as np

    slo = (config.get("workload") or {}).get("slo") or {}
    limits = {key: float(slo[key]) for key in OBJECTIVES if slo.get(key) is not None}
    names = ("goodput_requests_s", "slo_share")
    if not limits or not duration_s:
        keys = ", ".join(f"workload.slo.{key}" for key in OBJECTIVES)
        for name in names:
            yield _absent(name, f"no SLO set ({keys})" if not limits else "no token was produced")
        return
    served = run.served()
    gap_s = np.nan_to_num(served.tpot_s)
    taken = {"ttft_ms": served.ttft_s, "tpot_ms": gap_s, "itl_ms": gap_s, "e2e_ms": served.e2e_s}
    good = np.ones(len(served.arrival_s), dtype=bool)
    for key, limit in limits.items():
        good &= 1e3 * taken[key] <= limit
    yield _value("goodput_requests_s", good.sum() / duration_s)
    yield _value("slo_share", good.sum() / len(run.arrival_s))


def _value(name: str, value: float) -> Metric:
    return Metric(name, float(value), UNITS[name], "requests")


def _absent(name: str, reason: str) -> Metric:
    return Metric.absent(name, reason, UNITS[name])
