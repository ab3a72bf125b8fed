"""From a run's setup to the requests that reached the engine."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from framework.contracts import WorkloadTables
from framework_serving import tables
from framework_serving.workloads.length_law import LengthLaw, moment_law, open_end, widest_std
from framework_serving.workloads.lengths import pair_within
from framework_twin.measured.measured_runs import RunSetup

# Moments that the tables leave open. `adapters` states 246.5 / 206 (README of the data). For memory_gap the
# spread of answers follows from the KV tokens a running request holds on average (time series of five
# runs): mean prompt + (mean + variance / mean) / 2 for answers; prompts are as skewed as ShareGPT's.
_PROMPT_SPREAD = 1.6
_ANSWER_SPREAD = {"opt": 0.92, "llama": 0.76}
_DEFAULT_ANSWER_SPREAD = 0.85
# In the adapter runs a full KV cache held 372 tokens a running request (five preempting runs of two models);
# the stated moments alone give 436. Long prompts get short answers: this correlation closes the gap.
_TWO_TURN_CORRELATION = -0.35
# The stated mean is that of the reference answers, where a request is cut; so much shorter are the answers of these
# models on average (output tokens of finished requests over 97 and 111 runs), since some end by themselves.
_ENDED_EARLIER = {"qwen": 0.958, "llama-3": 0.992}
# The clients of both cut ShareGPT so: prompt at most 1024 tokens, prompt and answer together at most 2048.
_SHORTEST_PROMPT, _LONGEST_PROMPT, _LONGEST_ANSWER, _LONGEST_REQUEST = 4, 1024, 1100, 2048
_OF_WIDEST = 0.97  # a law of the largest spread that a range allows is no longer shaped like a gamma

# What belongs to the server of a run and leaves its requests as they are.
_SERVER: dict[str, Any] = {
    "run_id": "",
    "row": 0,
    "family": "",
    "gpu": "",
    "generation": "",
    "engine": "",
    "attention_backend": "",
    "enforce_eager": False,
    "max_num_seqs": 1,
    "max_num_batched_tokens": 1,
    "chunked_prefill": False,
    "max_model_len": 1,
    "gpu_memory_utilization": 1.0,
    "kv_cache_tokens": None,
    "replicas": 1,
    "mps": False,
    "max_loras": 0,
    "max_cpu_loras": 0,
    "adapters_preloaded": False,
}


def load_of(setup: RunSetup) -> RunSetup:
    """Return the setup without its server: equal for runs whose requests are the same."""
    return replace(setup, **_SERVER)


def realise(setup: RunSetup, seed: int) -> WorkloadTables:
    """Return one realisation of the run's workload, its requests in order of arrival.

    A Poisson load is drawn conditional on its expected number of requests: that removes the largest part
    of the difference between seeds without favouring any arrival pattern.
    """
    rng = np.random.default_rng([seed, 7919])
    count = _request_count(setup)
    inputs, outputs = _lengths(setup, count, rng)
    if setup.arrival != "poisson":
        return _tables(setup, np.zeros(count), inputs, outputs, _dealt_adapters(setup, count))
    window_s = setup.duration_limit_s or count / setup.offered_rps
    arrivals = np.sort(rng.random(count)) * window_s
    return _tables(setup, arrivals, inputs, outputs, _drawn_adapters(setup, count, rng))


def _tables(
    setup: RunSetup, arrivals: np.ndarray, inputs: np.ndarray, outputs: np.ndarray, adapter: np.ndarray | None
) -> WorkloadTables:
    requests = pa.table(
        {
            "request_id": np.arange(len(arrivals)),
            "arrival_s": arrivals,
            "input_tokens": inputs,
            "output_tokens": outputs,
            "adapter_id": pa.nulls(len(arrivals), pa.int64())
            if adapter is None
            else adapter.astype(np.int64),
        },
        schema=tables.requests_in(),
    )
    ranks = setup.adapter_ranks or (setup.max_lora_rank,) * setup.n_adapters
    rates = setup.adapter_rates_rps if len(setup.adapter_rates_rps) == setup.n_adapters else None
    adapters = pa.table(
        {
            "adapter_id": np.arange(setup.n_adapters),
            "rank": pa.array(ranks, pa.int64()),
            "rate_rps": pa.nulls(setup.n_adapters, pa.float64()) if rates is None else rates,
        },
        schema=tables.adapters(),
    )
    facts = {"horizon_s": setup.duration_limit_s, "concurrency": setup.concurrency}
    return WorkloadTables({"requests": requests, "adapters": adapters}, "", facts)


def length_laws(setup: RunSetup) -> tuple[LengthLaw, LengthLaw]:
    """Return the laws of ShareGPT prompts and answers, inferring a spread that the table leaves open.

    Raises `ConfigError`, which names the table's column, for stated moments that no such law has.
    """
    families = (spread for family, spread in _ANSWER_SPREAD.items() if setup.model.startswith(family))
    answer_spread = next(families, _DEFAULT_ANSWER_SPREAD)
    longest_prompt, longest_answer = (_LONGEST_PROMPT, _LONGEST_ANSWER) if _is_cut(setup) else (None, None)
    prompt = (setup.input_mean, setup.input_std, _PROMPT_SPREAD, _SHORTEST_PROMPT, longest_prompt)
    answer = (setup.output_mean, setup.output_std, answer_spread, 1, longest_answer)
    return _law(*prompt, "input_tokens"), _law(*answer, "output_tokens")


def _law(mean: float, std: float, spread: float, low: int, high: int | None, column: str) -> LengthLaw:
    """Return the law of a length; where its deviation is not stated, `spread` means, as far as the range allows."""
    if math.isnan(std):
        std, low = spread * mean, min(low, max(1, math.floor(mean)))
        top = open_end(mean, std) if high is None else high
        if low <= mean <= top:
            std = min(std, _OF_WIDEST * widest_std("gamma", mean, low, top))
    return moment_law("gamma", mean, std, low, high, column)


def _is_cut(setup: RunSetup) -> bool:
    """Whether the run is of a study whose clients cut long requests; of other tables no cut is known."""
    return setup.source in ("adapters", "memory_gap")


def _request_count(setup: RunSetup) -> int:
    if setup.arrival != "poisson" or not setup.duration_limit_s:
        return setup.num_prompts or 1
    return max(1, round(setup.offered_rps * (setup.duration_limit_s or 0.0)))


def _lengths(setup: RunSetup, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if setup.length_distribution == "fixed":
        return (
            np.full(count, max(1, round(setup.input_mean)), dtype=np.int64),
            np.full(count, max(1, round(setup.output_mean)), dtype=np.int64),
        )
    input_law, output_law = length_laws(setup)
    inputs, outputs = input_law.sample(count, rng), output_law.sample(count, rng)
    if setup.source == "adapters":
        inputs, outputs = _correlated(inputs, outputs, _TWO_TURN_CORRELATION, rng)
        outputs = _ended_earlier(setup, outputs)
    if _is_cut(setup):
        pair_within(inputs, outputs, _LONGEST_REQUEST, rng, "input_tokens_mean")
    return inputs, outputs


def _ended_earlier(setup: RunSetup, outputs: np.ndarray) -> np.ndarray:
    """Let some answers, spread evenly over the requests, end at any point before the reference answer does."""
    left = next((left for model, left in _ENDED_EARLIER.items() if setup.model.startswith(model)), 1.0)
    rng = np.random.default_rng(len(outputs))
    ends = rng.random(len(outputs)) < 2.0 * (1.0 - left)
    shorter = np.maximum(1, np.rint(outputs * rng.random(len(outputs)))).astype(outputs.dtype)
    return np.where(ends, shorter, outputs)


def _correlated(
    inputs: np.ndarray, outputs: np.ndarray, correlation: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Reorder both samples so that their ranks follow correlated normal scores (a Gaussian copula)."""
    first = rng.standard_normal(len(inputs))
    second = correlation * first + np.sqrt(1.0 - correlation**2) * rng.standard_normal(len(inputs))
    return _in_order_of(first, inputs), _in_order_of(second, outputs)


def _in_order_of(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the counts so ordered that their ranks are those of the scores."""
    low = int(counts.min())
    ascending = np.bincount(counts - low)  # counts have few values: no sort is needed
    ordered = np.empty_like(counts)
    ordered[_argsort(scores)] = np.repeat(np.arange(low, low + len(ascending)), ascending)
    return ordered


def _argsort(scores: np.ndarray) -> np.ndarray:
    """Return what `scores.argsort()` does, in half the time: whole numbers sort faster than places do.

    A float's bits, those of a negative one inverted, are ordered as its value is; the lowest make room for the place.
    Neighbours that differ in these bits alone are put right afterwards: a handful in a million.
    """
    bits = scores.view(np.int64)
    room = max(1, len(scores) - 1).bit_length()
    keys = (bits ^ ((bits >> 63) & np.int64(2**63 - 1))) >> room << room
    keys |= np.arange(len(scores))
    keys.sort()
    places: np.ndarray = keys & ((1 << room) - 1)
    high = keys >> room
    same = np.flatnonzero(high[1:] == high[:-1])
    while same.size:  # of each pair; repeated, since three may be equal
        wrong = same[scores[places[same]] > scores[places[same + 1]]]
        if not wrong.size:
            break
        first = wrong[0]
        places[[first, first + 1]] = places[[first + 1, first]]
    return places


def _dealt_adapters(setup: RunSetup, count: int) -> np.ndarray | None:
    """Burst clients deal their prompts to the adapters in turn."""
    if not setup.n_adapters:
        return None
    return np.arange(count, dtype=np.int32) % np.int32(setup.n_adapters)


def _drawn_adapters(setup: RunSetup, count: int, rng: np.random.Generator) -> np.ndarray | None:
    """Independent Poisson streams: each arrival belongs to an adapter in proportion to its rate."""
    if not setup.n_adapters:
        return None
    rates = np.asarray(setup.adapter_rates_rps)
    return drawn_places(rates / rates.sum(), rng.random(count))


def drawn_places(probabilities: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return the place that each uniform number draws, what `searchsorted` finds in the cumulative probabilities.

    A table says where to begin for each of many equal parts of [0, 1): nearly all are then where they belong.
    """
    cumulative = np.cumsum(probabilities)
    cumulative /= cumulative[-1]
    parts = 1 << max(10, 4 * len(probabilities)).bit_length()
    begins = np.searchsorted(cumulative, np.arange(parts) / parts, side="right").astype(np.int32)
    places = begins[(uniform * parts).astype(np.int32)]
    ahead = np.flatnonzero(uniform >= cumulative[places])
    while ahead.size:
        places[ahead] += 1
        ahead = ahead[uniform[ahead] >= cumulative[places[ahead]]]
    return places
