"""Features of a GPU that holds adapters, and the rough estimate of its capacity that a model corrects.

Two things limit it. The batch: memory, step time, adapters in a step. The turns: with fewer slots than adapters, each
waits for its turn on a slot, and in a window of T seconds no more than a tenth may be left waiting, so that a round
may take T / 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from framework_serving.advice.capacity.adapter_sums import SUMS, Adapters, FloatArray
from framework_serving.advice.capacity.engine_probes import EngineProbe

WINDOW_S = 3600.0
_ROUND_SHARE = 0.2  # of the window: mean wait half a round, a tenth of what arrives unserved at the end
_SOFT = 2.0

FEATURES = (
    *("rate", "rate_cv", "active_5s", "active_60s", "input_tokens", "output_tokens", "input_cv", "output_cv"),
    *("max_rank", "mean_rank", "crowd_10s", "crowd_300s", "own_100s"),
    *("slots", "batch", "slot_load", "batch_limit", "turn_limit"),
)
"""Columns of `CapacityRows.features`: logarithms of sizes and ratios; variances as they are."""
MONOTONE = {"rate": 1, "max_rank": -1, "crowd_10s": -1, "crowd_300s": -1, "batch": 1}
"""Directions that physics demands of served tokens per second, all else equal: the busier each adapter, the fewer
share the GPU; ranks cost memory; what comes unevenly for all waits; a larger cache holds more. Requests that come
close together for one adapter (`own_100s`) have no direction: they share its turn on a slot, and they wait."""


@dataclass(frozen=True, eq=False)
class CapacityRows:
    """GPUs that hold adapters.

    Attributes:
        features: shape (rows, len(FEATURES)).
        estimate_tok_s: rough capacity, input and output tokens per second; 0 where the engine does not start.
        load_tok_s: what the adapters ask for.
    """

    features: FloatArray
    estimate_tok_s: FloatArray
    load_tok_s: FloatArray

    @classmethod
    def build(
        cls,
        sums: FloatArray,
        max_rank: FloatArray,
        crowd: tuple[float, float],
        slots: FloatArray,
        engine: EngineProbe,
    ) -> CapacityRows:
        """Return rows from sums of adapters.

        Args:
            sums: summed `Adapters.sums`, shape (rows, 11); every row has a rate above 0.
            max_rank: largest rank on each, shape (rows,).
            crowd: see `Adapters`.
            slots: adapter slots of each, shape (rows,).
            engine: what the GPU runs.
        """
        column = dict(zip(SUMS, sums.T, strict=True))
        n, rate = column["n"], np.maximum(column["rate"], 1e-12)
        mean_rate = rate / n
        inputs, outputs = np.maximum(column["input"] / rate, 1.0), np.maximum(column["output"] / rate, 1.0)
        output_cv = _cv(column["output2"] / rate, outputs)
        tokens = inputs + outputs
        kv_tokens = engine.cache(max_rank, slots)
        steps = engine.steps
        full = steps.saturated_tok_s(slots, np.maximum(kv_tokens, 1.0), inputs, outputs, mean_rate * tokens)
        waiting = np.maximum(mean_rate * _ROUND_SHARE * WINDOW_S, 1.0)
        longest = 1.0 + output_cv * np.sqrt(2.0 * np.log(waiting))
        together = slots * np.minimum(waiting, 5.0)
        step_s = steps.fixed_s + steps.per_request_s * together + steps.per_adapter_s * slots
        turns = slots * _ROUND_SHARE * WINDOW_S / (outputs * step_s * longest) * mean_rate * tokens
        estimate = (full**-_SOFT + turns**-_SOFT) ** (-1.0 / _SOFT)
        rows = np.ones(len(n))
        features = np.column_stack(
            [
                np.log(mean_rate),
                _cv(column["rate2"] / n, mean_rate),
                np.log(np.maximum(column["short"] / n, 1e-9)),
                np.log(np.maximum(column["long"] / n, 1e-9)),
                np.log(inputs),
                np.log(outputs),
                _cv(column["input2"] / rate, inputs),
                output_cv,
                np.log(max_rank),
                np.log(column["rank"] / n),
                crowd[0] * rows,
                crowd[1] * rows,
                column["own"] / rate,
                np.log(slots),
                np.log(np.clip(kv_tokens / (inputs + outputs / 2), 0.5, steps.max_seqs)),
                np.log(slots * mean_rate * tokens / full),
                np.log(full / engine.one_tok_s),
                np.log(turns / full),
            ]
        )
        return cls(features, np.where(kv_tokens > 0, estimate, 0.0), mean_rate * n * tokens)


def rows_of(adapters: Adapters, slots: FloatArray, engine: EngineProbe) -> CapacityRows:
    """Return one set of adapters on several numbers of slots."""
    sums = np.tile(adapters.sums().sum(axis=0), (len(slots), 1))
    rank = np.full(len(slots), float(adapters.rank.max()))
    return CapacityRows.build(sums, rank, adapters.crowd_variance, slots, engine)


def _cv(squares: FloatArray, mean: FloatArray) -> FloatArray:
    found: FloatArray = np.sqrt(np.maximum(squares / np.maximum(mean, 1e-12) ** 2 - 1.0, 0.0))
    return found
