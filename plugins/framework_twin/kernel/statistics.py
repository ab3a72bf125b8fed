"""What a run is summed up in: time integrals, component seconds and the histogram of gaps between tokens."""

from __future__ import annotations

import math
from typing import Any

from framework_twin.kernel.compiled.jit import compiled
from framework_twin.kernel.compiled.raw_memory import floats, int64s
from framework_twin.kernel.state import (
    BINS_PER_OCTAVE,
    IDLE_SECONDS,
    KV_SECONDS,
    LAW_COMPONENTS,
    LOAD_SECONDS,
    N_BINS,
    N_COMPONENTS,
    N_SAMPLE_COLUMNS,
    SHORTEST_GAP_S,
)

_LOG_SHORTEST = math.log2(SHORTEST_GAP_S)


@compiled
def bin_of(gap_s: float) -> int:
    """Return the histogram bin of a gap."""
    if gap_s <= SHORTEST_GAP_S:
        return 0
    return min(int((math.log2(gap_s) - _LOG_SHORTEST) * BINS_PER_OCTAVE), N_BINS - 1)


@compiled
def lower_edge_s(number: int) -> float:
    """Return the shortest gap of a bin, seconds."""
    return float(2.0 ** (number / BINS_PER_OCTAVE + _LOG_SHORTEST))


@compiled
def count_gaps(sim: Any, replica: Any, gap_s: float, count: int) -> None:
    """Count gaps of one length."""
    replica.gaps += count
    replica.gap_sum_s += count * gap_s
    int64s(sim.gap_histogram)[bin_of(gap_s)] += count


@compiled
def count_gap_series(
    sim: Any, replica: Any, first_s: float, increment_s: float, steps: int, count: int
) -> None:
    """Count the gaps of `steps` steps that grow by `increment_s`, `count` gaps in each."""
    replica.gaps += steps * count
    replica.gap_sum_s += count * (steps * first_s + increment_s * (0.5 * steps * (steps - 1)))
    low = bin_of(first_s)
    high = bin_of(first_s + (steps - 1) * increment_s)
    done = 0
    while low < high:
        below = min(max(math.ceil((lower_edge_s(low + 1) - first_s) / increment_s), done), steps)
        int64s(sim.gap_histogram)[low] += (below - done) * count
        done = below
        low += 1
    int64s(sim.gap_histogram)[high] += (steps - done) * count


@compiled
def account(sim: Any, replica: Any, duration_s: float, steps: float, first_blocks: int) -> None:
    """Add a stretch of unchanged batch to the time series, the time integrals and the component seconds.

    `steps` is a fraction where the horizon cuts a step, and 0 where the replica idles. KV use grows about evenly from
    `first_blocks` to what is in use now.
    """
    last_blocks = sim.capacity_blocks - replica.free_blocks
    if sim.sample_period_s > 0.0:
        _record_samples(sim, replica, duration_s, steps, first_blocks, last_blocks)
    replica.kv_blocks_peak = max(replica.kv_blocks_peak, last_blocks)
    replica.running_s += replica.running * duration_s
    replica.waiting_s += replica.waiting * duration_s
    replica.kv_blocks_s += 0.5 * (first_blocks + last_blocks) * duration_s
    replica.adapters_s += replica.active_adapters * duration_s
    component_s = floats(replica.component_s)
    law_s = floats(replica.law_s)
    for place in range(LAW_COMPONENTS):
        component_s[place] += steps * law_s[place]
    component_s[KV_SECONDS] += replica.step_kv_s
    component_s[LOAD_SECONDS] += replica.step_load_s
    if steps == 0.0:
        component_s[IDLE_SECONDS] += duration_s


@compiled
def _record_samples(
    sim: Any, replica: Any, duration_s: float, steps: float, first_blocks: int, last_blocks: int
) -> None:
    """Write the samples that fall into [now, now + duration): states as they are, sums in proportion to the time."""
    end_s = replica.time_s + duration_s
    law_s = floats(replica.law_s)
    component_s = floats(replica.component_s)
    while replica.next_sample * sim.sample_period_s < end_s:
        share = (replica.next_sample * sim.sample_period_s - replica.time_s) / duration_s
        if replica.next_sample < sim.n_samples:
            row = replica.next_sample * N_SAMPLE_COLUMNS
            samples = floats(sim.samples)
            samples[row] += replica.running
            samples[row + 1] += replica.waiting
            samples[row + 2] += first_blocks + share * (last_blocks - first_blocks)
            samples[row + 3] += replica.active_adapters
            samples[row + 4] += replica.preemptions
            samples[row + 5] += replica.prompt_tokens + share * replica.step_prefill_tokens
            samples[row + 6] += replica.generated_tokens + share * steps * replica.step_decoding
            row += N_SAMPLE_COLUMNS - N_COMPONENTS
            for place in range(LAW_COMPONENTS):
                samples[row + place] += component_s[place] + share * steps * law_s[place]
            samples[row + KV_SECONDS] += component_s[KV_SECONDS] + share * replica.step_kv_s
            samples[row + LOAD_SECONDS] += component_s[LOAD_SECONDS] + share * replica.step_load_s
            samples[row + IDLE_SECONDS] += component_s[IDLE_SECONDS]
            if steps == 0.0:
                samples[row + IDLE_SECONDS] += share * duration_s
        replica.next_sample += 1
