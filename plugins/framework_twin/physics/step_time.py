"""The law of one engine step: what a batch costs, in seconds, by component.

The kernel calls `step_seconds` once per change of the batch. The law is affine in the context that decoding
requests attend to, so a run of steps with an unchanged batch sums in closed form:

    step = Σ components + per_context_token_s · K,   K = Σ over decoding requests of tokens attended to.

Terms (docs/twin_physics.md derives them and says what fixes each):

- host: the engine's serial work, a constant and a part per sequence;
- weights: streaming all weights once, whatever the batch;
- compute: matrix products beyond the streaming time. With n tokens in the step the products take
  (weights² + (compute_per_token · n)²)^½, which bends from memory-bound to compute-bound near the GPU's
  ridge point; plus elementwise and sampling kernels, a constant and a part per sequence;
- prefill: attention inside prompts, and what the GPU waits for in a step without CUDA graphs (one with
  prompt tokens): launching the kernels one by one and handling the previous step's tokens, where these
  take longer than the kernels themselves;
- lora: grid of the adapter kernels over the configured slots and all tokens of the step, one pass per distinct
  adapter, extra work per prompt token; where slots are configured, buffers as wide as the slots' rank per token;
- scheduler: scan over waiting requests while every slot is taken.

Where the physics is known as tables instead of coefficients (`step_tables`), they stand behind the parameters: the
products over the tokens of a step, and decode attention over the decoding requests, take their place in `weights`,
`compute` and the slope. Layers with a sliding window of W tokens read min(context, W).

Replicas that share a GPU hide their host time behind each other's kernels: the step lasts as long as the
longer of one replica's own step and the kernels of all replicas.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt

from framework_twin.kernel.compiled.jit import compiled, inlined

REFERENCE_RANK = 16.0
"""Slot rank at which the adapter coefficients are stated."""

LARGE_STEP_TOKENS = 128
"""Tokens from which on vLLM's adapter kernels of V1 split their sums in 8 instead of 64 (`lora_shrink`,
`SPLIT_K`)."""

COMPONENTS = ("host", "weights", "compute", "prefill", "lora", "scheduler")
"""Names of the seconds that `step_seconds` returns, in order; the slope comes after them."""

PARAMETERS = (
    "host_s",
    "host_per_seq_s",
    "weights_s",
    "compute_per_token_s",
    "kernel_s",
    "kernel_per_seq_s",
    "per_context_token_s",
    "prefill_step_s",
    "launch_s",
    "hidden_host_per_seq_s",
    "prefill_per_attention_s",
    "lora_s",
    "lora_per_slot_s",
    "lora_per_adapter_s",
    "lora_per_prefill_token_s",
    "lora_per_slot_token_s",
    "lora_rank_share",
    "scheduler_per_waiting_s",
    "lora_per_rank_token_s",
    "lora_large_step_share",
    "decode_is_eager",
    "sharing_factor",
    "table_points",
)
"""Names of the entries of the parameter vector, in order.

All are non-negative seconds but four: `lora_rank_share` is the share of the adapter kernels that grows with the
slots' rank (their time at `REFERENCE_RANK` is 1), `lora_large_step_share` what an adapter costs in a step of
`LARGE_STEP_TOKENS` or more in relation to a smaller step (1 where it is left out), `decode_is_eager` is 1 where CUDA
graphs are off, and `sharing_factor` is what a replica's kernels cost when others share the GPU (1 under MPS, more
when the driver slices time). `table_points` is the number of rows of the tables that follow; 0: there are none.
"""
(
    _HOST,
    _HOST_SEQ,
    _WEIGHTS,
    _COMPUTE,
    _KERNEL,
    _KERNEL_SEQ,
    _CONTEXT,
    _PREFILL_STEP,
    _LAUNCH,
    _HIDDEN_SEQ,
    _ATTENTION,
    _LORA,
    _LORA_SLOT,
    _LORA_ADAPTER,
    _LORA_TOKEN,
    _LORA_SLOT_TOKEN,
    _LORA_RANK,
    _SCAN,
    _LORA_RANK_TOKEN,
    _LORA_LARGE,
    _EAGER,
    _SHARING,
    _POINTS,
) = range(len(PARAMETERS))


_WINDOW = len(PARAMETERS)
_WINDOW_PAIR = _WINDOW + 1
_TABLE = _WINDOW + 2
"""Behind the parameters: the window, seconds of one prompt pair in windowed layers, and five columns of
`table_points` numbers: tokens, seconds of the products, seconds of decode attention without context, its slopes
per token of context in layers without and with a window."""
_TOKENS_COLUMN, _PRODUCTS_COLUMN, _ATTEND_COLUMN, _SLOPE_COLUMN, _WINDOW_SLOPE_COLUMN = range(5)


@compiled
def _row_below(p: Sequence[float], points: int, tokens: float) -> int:
    """Return the last row of the table whose tokens are at most `tokens`, but not the very last row."""
    low, high = 0, points - 1
    while high - low > 1:
        middle = (low + high) // 2
        if p[_TABLE + middle] <= tokens:
            low = middle
        else:
            high = middle
    return low


@compiled
def _between(p: Sequence[float], points: int, column: int, row: int, tokens: float) -> float:
    """Return a column's value at `tokens`: linear between and beyond the rows, constant before the first."""
    left = p[_TABLE + row]
    start = _TABLE + column * points + row
    share = max(0.0, (tokens - left) / (p[_TABLE + row + 1] - left))
    return float(p[start] + share * (p[start + 1] - p[start]))


def parameter_vector(**values: float) -> npt.NDArray[np.float64]:
    """Build the vector that `step_seconds` reads; a name that is left out is 0 (1 for the two factors)."""
    unknown = sorted(set(values) - set(PARAMETERS))
    if unknown:
        raise KeyError(f"unknown step-time parameter {unknown[0]!r}; known: {', '.join(PARAMETERS)}")
    values = {"sharing_factor": 1.0, "lora_large_step_share": 1.0, **values}
    return np.array([values.get(name, 0.0) for name in PARAMETERS], dtype=np.float64)


@inlined
def step_seconds(
    p: Sequence[float],
    n_decode: int,
    n_prefill_seqs: int,
    prefill_tokens: int,
    prefill_attention: float,
    distinct_adapters: int,
    slots: int,
    max_rank: int,
    n_running: int,
    n_waiting: int,
    generation: int,
    replicas_on_gpu: int,
    decode_context: int = 0,
) -> tuple[float, float, float, float, float, float, float]:
    """Seconds of one step by component, then the slope per token of decode context.

    `prefill_attention` is Σ over prefill chunks of chunk · (context before it + chunk / 2); `generation` is
    0 for V0 and 1 for V1. A step is mixed when both `n_decode` and `n_prefill_seqs` are positive.
    `decode_context` is K at the first step of the span: it decides which of two overlapping activities is
    the longer one, and doesn't enter the affine part.
    """
    sequences = n_decode + n_prefill_seqs
    tokens = n_decode + prefill_tokens
    host = p[_HOST] + p[_HOST_SEQ] * sequences
    weights = p[_WEIGHTS]
    products = p[_COMPUTE] * tokens
    points = int(p[_POINTS])
    if points > 0:
        weights = p[_TABLE + points]
        row = _row_below(p, points, tokens)
        compute = max(0.0, _between(p, points, _PRODUCTS_COLUMN, row, tokens) - weights)
    else:
        compute = sqrt(weights * weights + products * products) - weights
    compute += p[_KERNEL] + p[_KERNEL_SEQ] * sequences
    prefill = 0.0
    if prefill_tokens > 0:
        host += p[_PREFILL_STEP]
        prefill = p[_ATTENTION] * prefill_attention
    lora = 0.0
    if slots > 0:
        lora = p[_LORA_RANK_TOKEN] * (max_rank / REFERENCE_RANK) * tokens
    if distinct_adapters > 0:
        wider = 1.0 + p[_LORA_RANK] * (max_rank / REFERENCE_RANK - 1.0)
        each = wider * p[_LORA_ADAPTER]
        if tokens >= LARGE_STEP_TOKENS:
            each *= p[_LORA_LARGE]
        lora += p[_LORA] + p[_LORA_SLOT] * slots + each * distinct_adapters
        lora += p[_LORA_TOKEN] * prefill_tokens + wider * p[_LORA_SLOT_TOKEN] * slots * tokens
    slope = p[_CONTEXT]
    if points > 0:
        if prefill_tokens > 0:
            reach = min(prefill_attention, p[_WINDOW] * prefill_tokens)
            prefill += p[_WINDOW_PAIR] * reach
        if n_decode > 0:
            row = _row_below(p, points, n_decode)
            compute += _between(p, points, _ATTEND_COLUMN, row, n_decode)
            slope += _between(p, points, _SLOPE_COLUMN, row, n_decode)
            near = _between(p, points, _WINDOW_SLOPE_COLUMN, row, n_decode)
            seen = p[_WINDOW] * n_decode
            if decode_context <= seen:
                slope += near
            else:
                compute += near * seen
    kernels = weights + compute + prefill + lora + slope * decode_context
    if prefill_tokens > 0 or p[_EAGER] > 0.0:
        prefill += max(0.0, p[_LAUNCH] + p[_HIDDEN_SEQ] * n_running - kernels)
    scheduler = 0.0
    if distinct_adapters >= slots > 0:
        scheduler = p[_SCAN] * n_waiting
    if replicas_on_gpu > 1:
        shared = replicas_on_gpu * p[_SHARING]
        if shared * kernels > kernels + host + scheduler:
            return (
                0.0,
                shared * weights,
                shared * compute,
                shared * prefill,
                shared * lora,
                0.0,
                shared * slope,
            )
    return host, weights, compute, prefill, lora, scheduler, slope
