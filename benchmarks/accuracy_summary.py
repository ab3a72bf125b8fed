"""What users ask first: errors of dense models and of mixtures of experts on NVIDIA, by quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from framework_twin.measured.published_prediction import shows_images
from framework_twin.measured.published_table import PublishedSetup

Held = Mapping[tuple[str, str, str], float]
"""Scheme of what was left out, run and metric → predicted value."""


class Item(NamedTuple):
    """One measured number beside its prediction; `tpot_ms` is the measured time per token of the same run."""

    setup: PublishedSetup
    provider: str
    hardware: str
    metric: str
    measured: float
    predicted: float
    inside: bool
    tpot_ms: float = 0.0

    @property
    def error(self) -> float:
        """Relative error of the prediction, percent."""
        return 100.0 * (self.predicted / self.measured - 1.0)


_NVIDIA = ("ampere", "ada", "hopper", "blackwell")
SUMMARY = """## NVIDIA, text

Runs on NVIDIA GPUs without images, at loads that the server keeps up with for times to first token (below a quarter
of the time that the answer takes). The band is the one with the run's own group left out.
"""
_QUANTITIES = {
    "duration or mean time per token": ("duration_s", "tpot_mean_ms"),
    "median time between tokens": ("itl_p50_ms",),
    "output tok/s of a steady state": ("output_tok_s",),
    "time to first token": ("ttft_mean_ms",),
    "watts": ("power_mean_w",),
    "J per output token": ("energy_j_per_output_token",),
}


def summary(items: Sequence[Item], held: Held) -> list[str]:
    """Return a Markdown table of errors by kind of model and quantity, in-sample and left out."""
    lines = [
        "| models | quantity | runs | in-sample | model left out | group left out | in the band % |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in ("dense", "moe"):
        for quantity, metrics in _QUANTITIES.items():
            members = [i for i in items if i.metric in metrics and _of_kind(i, kind) and _keeps_up(i)]
            if not members:
                continue
            cells = [both([item.error for item in members])]
            for scheme in ("model", "group"):
                left = [
                    item._replace(
                        predicted=held.get((scheme, item.setup.run_id, item.metric), item.predicted)
                    )
                    for item in members
                ]
                cells.append(both([item.error for item in left]) if held else "–")
            inside = 100 * np.mean([item.inside for item in members])
            lines.append(f"| {kind} | {quantity} | {len(members)} | {' | '.join(cells)} | {inside:.0f} |")
    return [*lines, ""]


def _of_kind(item: Item, kind: str) -> bool:
    generation, _, models = item.hardware.partition(" ")
    return generation.startswith(_NVIDIA) and models == kind and not shows_images(item.setup)


def _keeps_up(item: Item) -> bool:
    if item.metric != "ttft_mean_ms":
        return True
    answer_ms = item.setup.output_tokens * item.tpot_ms
    return item.measured < 0.25 * answer_ms


def both(errors: Sequence[float]) -> str:
    """Return median and 90th percentile of the sizes of errors."""
    sizes = np.abs(errors)
    return f"{np.median(sizes):.1f} / {np.quantile(sizes, 0.9):.1f}"
