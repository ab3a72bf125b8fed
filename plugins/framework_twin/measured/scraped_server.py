"""What a client sees of a server whose `/metrics` are read all the time while many adapters are in use.

vLLM V1 labels the gauge `vllm:lora_requests_info` with the names of the adapters that run and that wait. Every set
that ever occurred stays as a series of its own, so the text of `/metrics` grows all the time. One process writes it,
handles requests and sends tokens; while it writes, no token leaves. The engine computes on:

- the tokens of a stall come at once after it. In a batch of at most `_OUTPUT_CHUNK` requests they come as one
  message, because the loop that hands outputs over pauses only between chunks of so many
  (`AsyncLLM.output_handler`). A client that counts gaps between messages then counts fewer, longer ones: its mean
  gap exceeds the time per token;
- requests that arrive wait for its end, and so do first tokens.

The mean time per token, throughput and the engine's own gauges stay as they are. All of this belongs to the
measurement and not to the engine, so it is applied to predictions of measured runs only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework_twin.kernel.output import SimulationOutput, Status

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SECONDS_PER_SET = 12e-6
SECONDS_PER_NAME = 0.12e-6
"""Writing one series of a set of adapters, and one name in it (docs/twin_physics.md says how they were found)."""

_OUTPUT_CHUNK = 128
_SMOOTHED = 21
"""Samples over which the time per token is averaged."""


@dataclass(frozen=True)
class ClientView:
    """Milliseconds between messages, and what the stalls add to a mean TTFT.

    Attributes:
        stall_s: length of each stall, at the times of the time series.
    """

    itl_mean_ms: float
    itl_median_ms: float
    itl_p99_ms: float
    ttft_delay_ms: float
    stall_s: Floats


def client_view(output: SimulationOutput, adapter: npt.NDArray[np.integer]) -> ClientView | None:
    """Return what a client sees whose server writes `/metrics` at each sample of the time series.

    Args:
        output: a simulation with a time series.
        adapter: the adapter of each request, a number from 0.

    None where no gap between tokens was simulated.
    """
    series, gaps = output.series, output.token_gaps
    assert series is not None
    if not gaps.count:
        return None
    set_s, writing_s = _adapter_sets(output, np.asarray(adapter))
    stall_s = np.r_[0.0, np.cumsum(writing_s)][np.searchsorted(set_s, series.time_s)]
    running = series.running
    token_s = _time_per_token(output)
    reached = np.minimum(1.0, stall_s / token_s)
    delayed = running * stall_s / token_s
    long_s = stall_s + token_s - 0.5 * np.minimum(token_s, stall_s)
    at_once = running * (stall_s / token_s - reached)
    merged = np.where(running <= _OUTPUT_CHUNK, at_once, 0.0)
    messages = max(gaps.count - float(merged.sum()), 1.0)
    counts = gaps.counts * max(0.0, 1.0 - float(delayed.sum()) / gaps.count)
    centres = np.sqrt(gaps.lower_edges_s[:-1] * gaps.lower_edges_s[1:])
    lengths = np.concatenate([[0.0], centres, long_s])
    weights = np.concatenate([[float((at_once - merged).sum())], counts, running * reached])
    median, high = _weighted_quantiles(lengths, weights, (0.5, 0.99))
    return ClientView(
        itl_mean_ms=1e3 * gaps.sum_s / messages,
        itl_median_ms=1e3 * median,
        itl_p99_ms=1e3 * high,
        ttft_delay_ms=1e3 * float((stall_s**2).sum()) / output.duration_s,
        stall_s=stall_s,
    )


def _adapter_sets(output: SimulationOutput, adapter: Ints) -> tuple[Floats, Floats]:
    """Return when a new pair of sets of running and waiting adapters occurs, and what it adds to the writing time.

    The gauge is set once a step, so of several changes within a step only the last one is seen.
    """
    requests = output.requests
    scheduled = np.isfinite(requests.scheduled_s)
    begun = np.flatnonzero(scheduled)
    left_out = (requests.status != Status.NOT_ARRIVED) & ~scheduled
    queue = np.append(begun, _first_of_each(adapter, np.flatnonzero(left_out)))
    begun_s = requests.scheduled_s[begun]
    waited_s = np.append(begun_s, np.full(len(queue) - len(begun), np.inf))
    ended_s = np.where(requests.status[begun] == Status.FINISHED, requests.last_token_s[begun], np.inf)
    changes = [
        _set_changes(adapter[queue], requests.arrival_s[queue], waited_s),
        _set_changes(adapter[begun], begun_s, ended_s),
    ]
    keys = np.random.default_rng(0).integers(1, 2**63, (2, int(adapter.max(initial=0)) + 1))
    time_s = np.concatenate([change[0] for change in changes])
    key = np.concatenate([row[change[1]] for row, change in zip(keys, changes, strict=True)])
    sign = np.concatenate([change[2] for change in changes])
    order = np.argsort(time_s, kind="stable")
    time_s, pair, names = time_s[order], np.bitwise_xor.accumulate(key[order]), np.cumsum(sign[order])
    if not len(time_s):
        return time_s, time_s
    last = np.append(np.diff(time_s) > 0, True)
    time_s, pair, names = time_s[last], pair[last], names[last]
    first = np.sort(np.unique(pair, return_index=True)[1])
    seen = output.steps * -np.expm1(-len(time_s) / max(output.steps, 1)) / len(time_s)
    return time_s[first], seen * (SECONDS_PER_SET + SECONDS_PER_NAME * names[first])


def _first_of_each(adapter: Ints, rows: Ints) -> Ints:
    """Return each adapter's first of these rows, which ascend with arrival: it waits to the end, so no later one
    changes a set."""
    first = np.full(int(adapter.max(initial=0)) + 1, -1)
    first[adapter[rows[::-1]]] = rows[::-1]
    return first[first >= 0]


def _set_changes(adapter: Ints, start_s: Floats, end_s: Floats) -> tuple[Floats, Ints, Ints]:
    """Return when (s), which and how (+1, -1) adapters join or leave the set of those with a request in [start,
    end)."""
    order = start_s.argsort(kind="stable")
    narrow = adapter.astype(np.min_scalar_type(int(adapter.max(initial=0))))  # 16 bits sort by counting
    order = order[narrow[order].argsort(kind="stable")]
    adapter, start_s, end_s = adapter[order], start_s[order], end_s[order]
    first = np.flatnonzero(np.diff(adapter, prepend=-1))
    reach_s = np.empty_like(end_s)
    for begin, end in zip(first, np.append(first[1:], len(end_s)), strict=True):
        np.maximum.accumulate(end_s[begin:end], out=reach_s[begin:end])
    joins = np.append(True, start_s[1:] > reach_s[:-1])
    joins[first] = True
    leaves = np.append(joins[1:], True)
    time_s = np.concatenate([start_s[joins], reach_s[leaves]])
    which = np.concatenate([adapter[joins], adapter[leaves]])
    sign = np.repeat(np.array([1, -1]), len(time_s) // 2)
    known = np.isfinite(time_s)
    return time_s[known], which[known], sign[known]


def _time_per_token(output: SimulationOutput) -> Floats:
    """Return the seconds per token of a running request around each sample."""
    series = output.series
    assert series is not None
    window = np.ones(min(_SMOOTHED, len(series.time_s)))
    tokens = np.convolve(np.gradient(series.generated_tokens), window, "same")
    request_s = np.convolve(series.running * np.gradient(series.time_s), window, "same")
    with np.errstate(divide="ignore", invalid="ignore"):
        local = request_s / tokens
    usable = np.isfinite(local) & (local > 0)
    return np.where(usable, local, output.token_gaps.mean_s)


def _weighted_quantiles(lengths: Floats, weights: Floats, shares: tuple[float, ...]) -> list[float]:
    order = np.argsort(lengths)
    cumulative = np.cumsum(weights[order])
    places = np.searchsorted(cumulative, np.array(shares) * cumulative[-1])
    return [float(lengths[order[min(place, len(order) - 1)]]) for place in places]
