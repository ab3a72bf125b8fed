"""What a run is summed up in: time integrals, component seconds and the histogram of gaps between tokens."""

from __future__ import annotations

import math
from typing import Any

from framework_twin.kernel.jit import compiled
from framework_twin.kernel.memory import floats, int64s
from framework_twin.kernel.state import KV_SECONDS, LAW_COMPONENTS, LOAD_SECONDS

SHORTEST_GAP_S = 1e-6
BINS_PER_OCTAVE = 256
N_BINS = 36 * BINS_PER_OCTAVE
"""The histogram's bins are 0.27 % wide and reach from 1 µs to 19 hours."""

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
def count_gap_series(sim: Any, replica: Any, first_s: float, increment_s: float, steps: int, count: int) -> None:
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
def add_components(
    replica: Any, load_s: float, kv_s: float, steps: float
) -> None:
    """Add the seconds of `steps` steps (a fraction, where the horizon cuts one) by component."""
    component_s = floats(replica.component_s)
    law_s = floats(replica.law_s)
    for place in range(LAW_COMPONENTS):
        component_s[place] += steps * law_s[place]
    component_s[KV_SECONDS] += kv_s
    component_s[LOAD_SECONDS] += load_s


@compiled
def integrate(replica: Any, duration_s: float, kv_blocks_mean: float) -> None:
    """Add a stretch of unchanged batch to the time integrals."""
    replica.running_s += replica.running * duration_s
    replica.waiting_s += replica.waiting * duration_s
    replica.kv_blocks_s += kv_blocks_mean * duration_s
    replica.adapters_s += replica.active_adapters * duration_s
