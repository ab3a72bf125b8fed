"""Bands of uncalibrated predictions: how far measured values lay from them, whole models left out."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_twin.physics.derived_bands import Band, with_derived

BANDS_FILE = Path(__file__).with_name("bands.json")
WIDE = (0.55, 1.8)
"""Where nothing comparable was ever measured."""
WITH_IMAGES = " with images"
"""End of the word for a load with images or videos: their encoder isn't modelled, so its errors are kept apart."""


def hardware_class(gpu: GpuSpec, shape: ModelShape) -> str:
    """Return the class that errors are kept apart by: chip generation and kind of model."""
    kind = "moe" if shape.experts else "hybrid" if shape.linear_layers else "dense"
    return f"{gpu.architecture or 'other'} {kind}"


def group_keys(provider: str, hardware: str, load: str, metric: str) -> tuple[str, ...]:
    """Return the groups of runs that a band may come from, the closest first."""
    kind = hardware.partition(" ")[2]
    any_load = f"*{WITH_IMAGES}" if load.endswith(WITH_IMAGES) else "*"
    return (
        f"{provider}|{hardware}|{load}|{metric}",
        f"*|{hardware}|{load}|{metric}",
        f"*|* {kind}|{load}|{metric}",
        f"*|{hardware}|{any_load}|{metric}",
        f"*|* {kind}|{any_load}|{metric}",
        f"*|*|{any_load}|{metric}",
    )


def factors(provider: str, hardware: str, load: str, metric: str) -> tuple[float, float]:
    """Return (low, high) factors on a prediction, an 80 % band; of the closest group that was measured."""
    known = _known()
    return next((known[key] for key in group_keys(provider, hardware, load, metric) if key in known), WIDE)


def band(provider: str, hardware: str, load: str, metric: str, value: float) -> tuple[float, float]:
    """Return (low, high) around a predicted value."""
    low, high = factors(provider, hardware, load, metric)
    return value * low, value * high


_MEASURED = (
    *("tpot_mean_ms", "ttft_mean_ms", "power_mean_w", "energy_j_per_output_token"),
    *(f"itl_p{share}_ms" for share in (50, 90, 99)),
)
"""What was measured widely; the other metrics of a run follow from it."""


def run_bands(provider: str, hardware: str) -> dict[str, Band]:
    """Return metric → (low, high) factors for a simulated run of any load."""
    return with_derived({name: factors(provider, hardware, "closed_loop", name) for name in _MEASURED})


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
