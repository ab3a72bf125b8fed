"""Spans: how many steps pass before the batch changes, and what they take in closed form.

With an unchanged batch of `decoding` requests the step's context grows by `decoding` tokens a step, so step j
(from 0) lasts `first_s + j · increment_s`, and n steps last n · first_s + increment_s · n (n − 1) / 2.
"""

from __future__ import annotations

import math
from typing import Any

from framework_twin.kernel.compiled.jit import compiled
from framework_twin.kernel.compiled.raw_memory import int64s


@compiled
def span_s(first_s: float, increment_s: float, steps: int) -> float:
    """Duration of so many steps."""
    return steps * first_s + increment_s * (0.5 * steps * (steps - 1))


@compiled
def steps_to_reach(start_s: float, first_s: float, increment_s: float, target_s: float, most: int) -> int:
    """Fewest steps (1 … `most`) after which the clock is at or past a time; `most` if it stays before."""
    if start_s + span_s(first_s, increment_s, most) < target_s:
        return most
    steps = min(max(_real_steps(first_s, increment_s, target_s - start_s), 1), most)
    while steps > 1 and start_s + span_s(first_s, increment_s, steps - 1) >= target_s:
        steps -= 1
    while steps < most and start_s + span_s(first_s, increment_s, steps) < target_s:
        steps += 1
    return steps


@compiled
def steps_that_fit(start_s: float, first_s: float, increment_s: float, end_s: float, most: int) -> int:
    """Most steps (0 … `most`) that end at or before a time."""
    if start_s + span_s(first_s, increment_s, most) <= end_s:
        return most
    steps = min(max(_real_steps(first_s, increment_s, end_s - start_s), 0), most)
    while steps > 0 and start_s + span_s(first_s, increment_s, steps) > end_s:
        steps -= 1
    while steps < most and start_s + span_s(first_s, increment_s, steps + 1) <= end_s:
        steps += 1
    return steps


@compiled
def _real_steps(first_s: float, increment_s: float, duration_s: float) -> int:
    """Solve span_s(n) = duration for n, rounded down; the callers settle rounding."""
    linear = first_s - 0.5 * increment_s
    root = math.sqrt(max(linear * linear + 2.0 * increment_s * duration_s, 0.0))
    return int(2.0 * duration_s / (linear + root)) if linear + root > 0.0 else 0


@compiled
def blocks_after_first_step(sim: Any, replica: Any, steps: int) -> int:
    """New KV blocks that the decoding requests start in the steps after the first, which the scheduler has served."""
    phase = int64s(replica.block_phase)
    blocks = ((steps - 1) // sim.block_size) * replica.decoding
    for step in range(replica.decode_steps + 1, replica.decode_steps + 1 + (steps - 1) % sim.block_size):
        blocks += phase[step % sim.block_size]
    return int(blocks)


@compiled
def steps_with_free_blocks(sim: Any, replica: Any, most: int) -> int:
    """Most steps (1 … `most`) that the free blocks allow without preemption, the first being served."""
    free = replica.free_blocks
    if ((most - 1) // sim.block_size + 1) * replica.decoding <= free:
        return most
    phase = int64s(replica.block_phase)
    cycles = free // replica.decoding
    free -= cycles * replica.decoding
    steps = 1 + cycles * sim.block_size
    while steps < most:
        free -= phase[(replica.decode_steps + steps) % sim.block_size]
        if free < 0:
            break
        steps += 1
    return int(min(steps, most))
