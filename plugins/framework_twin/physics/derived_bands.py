"""Bands of metrics that were not held against measurements themselves: from those that they are made of.

A band is a pair of factors on the value. A metric with a band of its own keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping

Band = tuple[float, float]

_SHARES = ("p50", "p90", "p95", "p99")
_RISES_WITH: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("itl_median_ms", ("itl_p50_ms",)),
    (
        "tpot_mean_ms",
        (
            *("itl_mean_ms", "itl_p50_ms", "e2e_mean_ms", "steady_tpot_mean_ms", "running_mean"),
            *(f"{name}_{share}_ms" for name in ("tpot", "e2e") for share in _SHARES),
        ),
    ),
    (
        "ttft_mean_ms",
        (
            *("ttft_censored_ms", "steady_ttft_mean_ms", "waiting_peak"),
            *(f"ttft_{share}_ms" for share in _SHARES),
        ),
    ),
    ("itl_p99_ms", ("itl_p95_ms",)),
    ("running_mean", ("steady_running_mean", "adapters_running_mean", "kv_usage_peak")),
    ("kv_usage_peak", ("running_peak",)),
    ("output_tok_s", ("output_tok_s_per_gpu", "steady_output_tok_s")),
    ("power_mean_w", ("power_steady_w",)),
    ("energy_j_per_output_token", ("energy_j", "energy_j_per_token", "energy_j_per_request")),
)
"""Metric to those that share its error: latencies of one kind; by Little's law requests in the engine with the time
they stay and requests that wait with their waiting; the cache with the requests in it. The longest gaps between
tokens err by far more than the mean gap, so they take no band from it."""
_FALLS_WITH: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "tpot_mean_ms",
        ("total_tok_s", "output_tok_s", "requests_s", "output_tok_s_per_user", "output_tok_s_peak"),
    ),
    ("output_tok_s", ("duration_s",)),
    ("energy_j_per_output_token", ("tok_s_per_w",)),
)
"""Metric to those that fall as it rises."""


def with_derived(known: Mapping[str, Band]) -> dict[str, Band]:
    """Return the bands known, and those of all metrics that follow from them."""
    bands = dict(known)
    _spread(bands, *_FALLS_WITH[0], falls=True)
    power, speed = bands.get("power_mean_w"), bands.get("output_tok_s")
    if power and speed:
        bands.setdefault("energy_j_per_output_token", (power[0] / speed[1], power[1] / speed[0]))
    for of, alike in _RISES_WITH:
        _spread(bands, of, alike, falls=False)
    for of, opposed in _FALLS_WITH[1:]:
        _spread(bands, of, opposed, falls=True)
    slow, dear = bands.get("e2e_mean_ms"), bands.get("energy_j_per_output_token")
    if slow and dear:
        bands.setdefault("energy_delay_js", (slow[0] * dear[0], slow[1] * dear[1]))
    return bands


def _spread(bands: dict[str, Band], of: str, metrics: tuple[str, ...], *, falls: bool) -> None:
    if of in bands:
        low, high = bands[of]
        for metric in metrics:
            bands.setdefault(metric, (1.0 / high, 1.0 / low) if falls else (low, high))
