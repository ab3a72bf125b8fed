"""Which adapter loses its slot, and what that costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests, slot_order
from framework_twin.kernel.output import SimulationOutput
from framework_twin.kernel.simulate import simulate
from framework_twin.physics.step_time import parameter_vector

LAW = parameter_vector(host_s=0.01)
ENGINE = EngineConfig(kv_blocks=10_000, max_num_seqs=64, max_lora_rank=8)


def served(
    slots: int, adapters: list[int], arrivals: list[float], tokens: list[int], **engine
) -> SimulationOutput:
    n = max(adapters) + 1
    table = AdapterTable(rank=np.full(n, 8, dtype=np.int32), cpu_to_gpu_s=np.full(n, 0.001))
    requests = Requests(
        arrival_s=np.array(arrivals),
        input_tokens=np.full(len(adapters), 4, dtype=np.int32),
        output_tokens=np.array(tokens, dtype=np.int32),
        adapter=np.array(adapters, dtype=np.int32),
    )
    return simulate(replace(ENGINE, max_loras=slots, **engine), requests, LAW, table)


def test_an_adapter_that_takes_over_at_once_pushes_those_behind_it_out_of_their_slots() -> None:
    """Slots are full; the adapter that comes last in the order ends, the one that comes first takes its place."""
    order = slot_order(5).tolist()
    resident, new = order[1:], order[0]
    ends = [100, 100, 100, 20]
    output = served(4, [*resident, new], [0.0, 0.0, 0.0, 0.0, 0.05], [*ends, 20])
    assert output.adapter_loads == 4 + 4, (
        "each one that is pushed out pushes out the next, up to the free slot"
    )
    once = served(4, [*resident, new], [0.0, 0.0, 0.0, 0.0, 0.05], [*ends, 20], touches_first=True)
    assert once.adapter_loads == 4 + 1
    assert output.duration_s == pytest.approx(once.duration_s + 3 * 0.001)


def test_an_adapter_that_left_before_the_last_step_gives_its_slot_up_first() -> None:
    order = slot_order(5).tolist()
    output = served(4, [*order[1:], order[0]], [0.0, 0.0, 0.0, 0.0, 0.5], [100, 100, 100, 20, 20])
    assert output.adapter_loads == 4 + 1


def test_the_order_does_not_follow_the_numbers_of_the_adapters() -> None:
    order = slot_order(64)
    assert sorted(order.tolist()) == list(range(64))
    assert abs(np.corrcoef(order, np.arange(64))[0, 1]) < 0.4


def test_a_full_server_that_hands_its_slots_over_at_once_loads_several_adapters_for_each_new_one() -> None:
    """1/2 + slots/6 loads a replacement, where adapters and slots are many and each request has its own adapter."""
    rng = np.random.default_rng(3)
    slots, n = 16, 600
    output = served(slots, list(range(n)), [0.0] * n, rng.integers(50, 800, n).tolist())
    assert output.adapter_loads / (n - slots) == pytest.approx(0.5 + slots / 6, rel=0.1)
