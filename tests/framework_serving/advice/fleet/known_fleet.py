"""A model of known capacity and populations that need several GPUs."""

from __future__ import annotations

from typing import Any

import numpy as np

from framework_serving.advice.capacity.adapter_sums import Adapters
from framework_serving.advice.capacity.capacity_features import CapacityRows
from framework_serving.advice.fleet.gpu_types import GpuType, Packer
from tests.framework_serving.advice.capacity.known_engine import ENGINE


class KnownModel:
    """Eight tenths of the rough estimate."""

    def capacity_tok_s(self, rows: CapacityRows) -> np.ndarray:
        return 0.8 * rows.estimate_tok_s


MODEL: Any = KnownModel()
PACKER = Packer(MODEL, (0.0, 0.0), {})
KIND = GpuType("gpu", 1.0, ENGINE)


def adapters(rates: list[float] | np.ndarray, ranks: list[int] | np.ndarray) -> Adapters:
    rates = np.asarray(rates, dtype=np.float64)
    one = np.ones(len(rates))
    return Adapters(
        rates, np.asarray(ranks, dtype=np.float64), 222 * one, 240 * one, 198 * one, 200 * one, 0 * one
    )


def drawn(seed: int, n: int, mean: float) -> Adapters:
    rng = np.random.default_rng(seed)
    rates = mean * np.exp(rng.normal(0.0, rng.uniform(0.0, 1.2), n))
    return adapters(np.minimum(rates, 8.0), rng.choice([8, 16, 32], n))
