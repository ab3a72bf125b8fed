"""What a client sees of a server that writes its metrics while adapters come and go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests
from framework_twin.kernel.output import SimulationOutput
from framework_twin.kernel.simulate import simulate
from framework_twin.measured import scraped_server
from framework_twin.measured.scraped_server import ClientView, _set_changes, client_view
from framework_twin.physics.step_time import parameter_vector

STEP_S = 0.04
HORIZON_S = 600.0


def run(n_adapters: int, rate_rps: float, tokens: int) -> tuple[SimulationOutput, np.ndarray]:
    """Serve a Poisson load with steps of 40 ms, whatever the batch."""
    rng = np.random.default_rng(1)
    n = int(rate_rps * HORIZON_S)
    requests = Requests(
        arrival_s=np.sort(rng.random(n)) * HORIZON_S,
        input_tokens=np.full(n, 16, dtype=np.int32),
        output_tokens=np.full(n, tokens, dtype=np.int32),
        adapter=rng.integers(0, n_adapters, n).astype(np.int32),
    )
    engine = EngineConfig(
        kv_blocks=100_000,
        max_num_seqs=2048,
        max_loras=n_adapters,
        max_lora_rank=8,
        horizon_s=HORIZON_S,
        sample_period_s=2.0,
    )
    adapters = AdapterTable(rank=np.full(n_adapters, 8, dtype=np.int32), cpu_to_gpu_s=np.zeros(n_adapters))
    return simulate(engine, requests, parameter_vector(host_s=STEP_S), adapters), requests.adapter


def seen(output: SimulationOutput, adapter: np.ndarray) -> ClientView:
    view = client_view(output, adapter)
    assert view is not None
    return view


def test_every_new_set_of_adapters_makes_the_stalls_longer() -> None:
    view = seen(*run(64, 10.0, 100))
    assert (np.diff(view.stall_s) >= 0).all()
    assert view.stall_s[0] == 0.0
    assert view.stall_s[-1] > 0.05


def test_a_client_of_a_small_batch_counts_fewer_and_longer_gaps_than_tokens() -> None:
    output, adapter = run(64, 10.0, 100)
    assert output.series is not None
    assert output.series.running.max() < 128
    view = seen(output, adapter)
    stalled = view.stall_s.mean() / 2.0
    assert view.itl_mean_ms / (1e3 * STEP_S) == pytest.approx(1.0 / (1.0 - stalled + STEP_S / 2.0), rel=0.02)
    assert view.itl_p99_ms > 1.5e3 * STEP_S > 1e3 * output.token_gaps.percentile_s(99)
    assert view.itl_median_ms == pytest.approx(1e3 * STEP_S, rel=0.01)


def test_in_a_large_batch_no_messages_are_merged_and_the_mean_gap_is_the_time_per_token() -> None:
    output, adapter = run(64, 60.0, 100)
    assert output.series is not None
    assert np.median(output.series.running) > 128
    view = seen(output, adapter)
    assert view.itl_mean_ms == pytest.approx(1e3 * output.token_gaps.mean_s, rel=0.03)
    assert view.itl_p99_ms > 2e3 * STEP_S


def test_sets_that_occurred_before_cost_nothing_again() -> None:
    output, adapter = run(2, 10.0, 100)
    view = seen(output, adapter)
    most = 16 * (scraped_server.SECONDS_PER_SET + 4 * scraped_server.SECONDS_PER_NAME)
    assert view.stall_s.max() < most
    assert view.itl_mean_ms == pytest.approx(1e3 * output.token_gaps.mean_s, rel=1e-3)


STAY = st.tuples(st.integers(0, 3), st.integers(0, 9), st.one_of(st.integers(0, 5), st.just(np.inf)))


@given(st.lists(STAY, min_size=1, max_size=20))
def test_an_adapter_is_in_the_set_while_any_of_its_requests_is(stays: list[tuple[int, int, float]]) -> None:
    adapter, start_s, stay_s = (np.array(column) for column in zip(*stays, strict=True))
    end_s = start_s + stay_s
    when_s, which, sign = _set_changes(adapter, start_s.astype(float), end_s)
    for t in np.arange(-0.5, 15.0):
        present = {int(a) for a, s, e in zip(adapter, start_s, end_s, strict=True) if s <= t < e}
        changes = np.zeros(4, dtype=int)
        np.add.at(changes, which[when_s <= t], sign[when_s <= t])
        assert set(np.flatnonzero(changes)) == present
        assert changes.max() <= 1
