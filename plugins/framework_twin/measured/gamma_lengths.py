"""Token counts of ShareGPT-like requests with a given mean and standard deviation.

A gamma law, truncated as the clients truncate (prompt ≤ 1024 tokens, prompt + answer ≤ 2048). Truncation
and rounding shift the mean, so the sample is rescaled until its mean is the one asked for: the original
twin's clipped normal was 11 % off here (adapter_serving.md §3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LONGEST_PROMPT = 1024
LONGEST_REQUEST = 2048
LONGEST_ANSWER = 1100
SHORTEST_PROMPT = 4
_TABLE_SIZE = 2048
_ROUNDS = 12


@dataclass(frozen=True)
class LengthMoments:
    """Mean and standard deviation of prompt and answer lengths, tokens, and how the two go together.

    `correlation` is that of the normal scores of prompt and answer (a Gaussian copula).
    """

    input_mean: float
    input_std: float
    output_mean: float
    output_std: float
    correlation: float = 0.0


def sharegpt_lengths(moments: LengthMoments, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw `count` (prompt, answer) lengths whose sample means match `moments` to within one token in total.

    Lengths are stratified: the sample holds evenly spaced quantiles in random order, so that two seeds
    differ in order and pairing but hardly in their distribution.
    """
    inputs = _stratified(moments.input_mean, moments.input_std, SHORTEST_PROMPT, LONGEST_PROMPT, count, rng)
    outputs = _stratified(moments.output_mean, moments.output_std, 1, LONGEST_ANSWER, count, rng)
    if moments.correlation:
        inputs, outputs = _paired(inputs, outputs, moments.correlation, rng)
    prompts = _whole(inputs, moments.input_mean, np.full(count, float(LONGEST_PROMPT)))
    caps = np.asarray(LONGEST_REQUEST - prompts, dtype=np.float64)
    return prompts, _whole(np.minimum(outputs, caps), moments.output_mean, caps)


def _paired(
    inputs: Floats, outputs: Floats, correlation: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Reorder both samples so that their ranks follow correlated normal scores."""
    first = rng.standard_normal(len(inputs))
    second = correlation * first + np.sqrt(1.0 - correlation**2) * rng.standard_normal(len(inputs))
    return np.sort(inputs)[first.argsort().argsort()], np.sort(outputs)[second.argsort().argsort()]


def _stratified(
    mean: float, std: float, least: float, most: float, count: int, rng: np.random.Generator
) -> Floats:
    table = _quantiles(round(mean, 3), round(std, 3), least, most)
    places = (np.arange(count) + rng.random(count)) / count * (_TABLE_SIZE - 1)
    values = np.interp(places, np.arange(_TABLE_SIZE), table)
    rng.shuffle(values)
    return values


@lru_cache(maxsize=256)
def _quantiles(mean: float, std: float, least: float, most: float) -> Floats:
    """Evenly spaced quantiles of a gamma law clipped to [least, most] that keeps mean and, if it can, std."""
    rng = np.random.default_rng(20_240_223)
    spread, scale = max(std, 1e-3) / mean, 1.0
    values = np.full(_TABLE_SIZE, mean)
    for _ in range(_ROUNDS):
        shape = 1.0 / spread**2
        raw = np.sort(rng.standard_gamma(shape, _TABLE_SIZE * 8)).reshape(_TABLE_SIZE, 8).mean(axis=1) / shape
        for _ in range(_ROUNDS):
            values = np.clip(raw * mean * scale, least, most)
            scale *= mean / values.mean()
        spread = min(spread * std / values.std(), 4.0)
        if abs(values.std() / std - 1.0) < 0.005:
            break
    return values


def _whole(values: Floats, mean: float, caps: Floats) -> Ints:
    """Round to whole tokens so that the total is the mean times the count, respecting `caps`."""
    limit = np.floor(caps)
    for _ in range(_ROUNDS):
        error = mean / values.mean() - 1.0
        if abs(error) < 1e-6:
            break
        values = np.minimum(values * (1.0 + error), limit)
    whole = np.maximum(np.floor(values), 1).astype(np.int64)
    missing = round(mean * len(values)) - int(whole.sum())
    if missing > 0:
        order = np.argsort(np.floor(values) - values, kind="stable")
        order = order[whole[order] + 1 <= limit[order]][:missing]
        whole[order] += 1
    return whole
