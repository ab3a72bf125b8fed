"""Populations to learn from: the published grid of rates and ranks, and what lies beyond it.

Beyond: ranks to 64, popularity by Zipf's law and uniform, bursts that all adapters share, tenants that pause, gaps
that are not Poisson's, popularity that moves, other laws of lengths.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from framework.contracts import Json

RATES = (3.2, 1.6, 0.8, 0.4, 0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125)
RANKS = ((8, 8, 8), (8, 8, 16), (8, 8, 32), (8, 16, 32), (16, 16, 16), (16, 16, 32), (32, 32, 32))
"""Rates and rank sets of arXiv 2508.08343; all sets of three rates."""
_BEYOND = ((64,), (8, 64), (16, 32, 64), (8,), (16,), (32,))
_LENGTHS: dict[str, Json] = {
    "kind": "gamma",
    **{"input_tokens": 222.6, "input_std": 246.5, "input_min": 4, "input_max": 1024},
    **{"output_tokens": 198.6, "output_std": 206.0, "output_max": 2044, "total_max": 2048},
}
KINDS = ("published", "zipf", "uniform", "scattered")
VARIATIONS = ("steady", "bursts", "pauses", "gamma", "drift")


def draw(index: int, seed: int = 0, duration_s: float = 3600.0) -> dict[str, Any]:
    """Return the keys of a workload of adapters, without their number; the same index is the same population.

    One in two is of the published grid with published lengths; one in three does not arrive by Poisson's law.
    """
    rng = np.random.default_rng([seed, index])
    kind = str(rng.choice(KINDS, p=(0.5, 0.2, 0.1, 0.2)))
    variation = str(rng.choice(VARIATIONS, p=(0.66, 0.1, 0.1, 0.1, 0.04)))
    workload: dict[str, Any] = {
        "name": f"{kind}-{variation}-{index}",
        "seed": int(rng.integers(1_000_000)),
        "duration_s": duration_s,
        "lengths": dict(_LENGTHS),
        "rates_rps": [],
    }
    if kind == "published":
        triples = list(combinations(RATES, 3))
        workload["rates_rps"] = list(triples[int(rng.integers(len(triples)))])
        workload["ranks"] = list(RANKS[int(rng.integers(len(RANKS)))])
    else:
        choices = (*RANKS, *_BEYOND)
        workload["ranks"] = list(choices[int(rng.integers(len(choices)))])
        mean = round(float(np.exp(rng.uniform(np.log(0.01), np.log(1.5)))), 5)
        if kind == "zipf":
            exponent = round(float(rng.uniform(0.3, 1.2)), 3)
            workload["popularity"] = {"kind": "zipf", "mean_rps": mean, "exponent": exponent}
        elif kind == "uniform":
            spread = round(float(rng.uniform(0.0, 0.95)), 3)
            workload["popularity"] = {"kind": "uniform", "mean_rps": mean, "spread": spread}
        else:
            factors = np.exp(rng.normal(0.0, 1.0, int(rng.integers(1, 8))))
            workload["rates_rps"] = [round(float(max(mean * item, 0.003)), 5) for item in factors]
        if rng.random() < 0.6:
            _other_lengths(workload["lengths"], rng)
    _vary(workload, variation, rng)
    return workload


def _other_lengths(lengths: dict[str, Json], rng: np.random.Generator) -> None:
    inputs = float(np.exp(rng.uniform(np.log(40), np.log(400))))
    outputs = float(np.exp(rng.uniform(np.log(30), np.log(350))))
    lengths["input_tokens"] = round(inputs, 1)
    lengths["input_std"] = round(inputs * rng.uniform(0.2, 0.9), 1)
    lengths["output_tokens"] = round(outputs, 1)
    lengths["output_std"] = round(outputs * rng.uniform(0.2, 0.9), 1)
    lengths["output_max"], lengths["total_max"] = 1000, None  # no pair exceeds 2,048 tokens


def _vary(workload: dict[str, Any], variation: str, rng: np.random.Generator) -> None:
    if variation == "bursts":
        every = float(np.exp(rng.uniform(np.log(60), np.log(900))))
        workload["bursts"] = {
            "every_s": round(every, 1),
            "length_s": round(every * rng.uniform(0.05, 0.4), 1),
            "factor": round(float(rng.uniform(2, 8)), 2),
        }
    elif variation == "pauses":
        workload["activity"] = {
            "on_s": round(float(np.exp(rng.uniform(np.log(20), np.log(600)))), 1),
            "off_s": round(float(np.exp(rng.uniform(np.log(20), np.log(600)))), 1),
        }
    elif variation == "gamma":
        workload["arrivals"] = {"kind": "gamma", "cv": round(float(rng.uniform(1.5, 5.0)), 2)}
    elif variation == "drift" and "popularity" in workload:
        workload["popularity"]["drift_s"] = round(float(rng.uniform(120, 1200)), 0)
    elif variation == "drift":
        workload["popularity"] = {"kind": "list", "drift_s": round(float(rng.uniform(120, 1200)), 0)}
