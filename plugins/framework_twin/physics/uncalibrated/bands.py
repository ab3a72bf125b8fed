"""Bands of uncalibrated predictions: how far measured values lay from them, whole models left out."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape

BANDS_FILE = Path(__file__).with_name("bands.json")
_WIDE = (0.55, 1.8)
"""Where nothing comparable was ever measured."""


def hardware_class(gpu: GpuSpec, shape: ModelShape) -> str:
    """Return the class that errors are kept apart by: chip generation and kind of model."""
    kind = "moe" if shape.experts else "hybrid" if shape.linear_layers else "dense"
    return f"{gpu.architecture or 'other'} {kind}"


def factors(provider: str, hardware: str, load: str, metric: str) -> tuple[float, float]:
    """Return (low, high) factors on a prediction, an 80 % band; of the closest group that was measured."""
    known = _known()
    _architecture, _, kind = hardware.partition(" ")
    for key in (
        f"{provider}|{hardware}|{load}|{metric}",
        f"*|{hardware}|{load}|{metric}",
        f"*|* {kind}|{load}|{metric}",
        f"*|{hardware}|*|{metric}",
        f"*|* {kind}|*|{metric}",
        f"*|*|*|{metric}",
    ):
        if key in known:
            return known[key]
    return _WIDE


def band(provider: str, hardware: str, load: str, metric: str, value: float) -> tuple[float, float]:
    """Return (low, high) around a predicted value."""
    low, high = factors(provider, hardware, load, metric)
    return value * low, value * high


_SHARES = ("p50", "p90", "p95", "p99")
_SAME_ERROR = {
    "tpot_mean_ms": (
        *("duration_s", "tpot_mean_ms", "itl_mean_ms", "e2e_mean_ms", "steady_tpot_mean_ms"),
        *(f"{name}_{share}_ms" for name in ("tpot", "itl", "e2e") for share in _SHARES),
    ),
    "ttft_mean_ms": (
        *("ttft_mean_ms", "ttft_censored_ms", "steady_ttft_mean_ms"),
        *(f"ttft_{share}_ms" for share in _SHARES),
    ),
    "power_mean_w": ("power_mean_w", "power_steady_w"),
    "energy_j_per_output_token": (
        *("energy_j", "energy_j_per_token", "energy_j_per_output_token", "energy_j_per_request"),
    ),
}
"""Metric that was measured widely to the metrics of a run that share its error, or are made of it."""
_INVERSE = {
    "tpot_mean_ms": (
        *("total_tok_s", "output_tok_s", "requests_s", "steady_output_tok_s"),
        *(f"output_tok_s_{of}" for of in ("per_gpu", "per_user", "peak")),
    ),
    "energy_j_per_output_token": ("tok_s_per_w",),
}
"""Metrics that fall as that one rises."""


def run_bands(provider: str, hardware: str) -> dict[str, tuple[float, float]]:
    """Return metric → (low, high) factors for a simulated run of any load."""
    bands = {}
    for measured, alike in _SAME_ERROR.items():
        limits = factors(provider, hardware, "closed_loop", measured)
        bands.update(dict.fromkeys(alike, limits))
    for measured, opposed in _INVERSE.items():
        low, high = bands[measured]
        bands.update(dict.fromkeys(opposed, (1.0 / high, 1.0 / low)))
    slow, dear = bands["tpot_mean_ms"], bands["energy_j_per_output_token"]
    bands["energy_delay_js"] = slow[0] * dear[0], slow[1] * dear[1]
    return bands


def evidence(provider: str, hardware: str) -> dict[str, Any]:
    """Return what is behind a provider's predictions of a class of hardware: runs, models, sources, median errors."""
    found: dict[str, Any] = _content().get("evidence", {}).get(f"{provider}|{hardware}", {})
    return found


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(BANDS_FILE.read_text(encoding="utf-8"))
    return content


@cache
def _known() -> dict[str, tuple[float, float]]:
    return {key: (low, high) for key, (low, high) in _content()["factors"].items()}
