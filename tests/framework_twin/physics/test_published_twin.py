"""Golden formulas of the published twin (adapter_serving.md §5)."""

from __future__ import annotations

import pytest

from framework_twin.measured.measured_runs import RunSetup
from framework_twin.physics.published_twin import PUBLISHED, PublishedTwin, published_twin
from framework_twin.validation.baselines import clipped_normal_mean, nominal_load

LLAMA, QWEN = PUBLISHED["llama-3.1-8b"], PUBLISHED["qwen-2.5-7b"]


@pytest.mark.parametrize(
    ("twin", "batch", "adapters", "expected_ms"),
    [
        (LLAMA, 100, 50, 44.2458),
        (LLAMA, 500, 128, 145.036),
        (LLAMA, 1, 1, 21.3769),
        (QWEN, 100, 50, 40.5030),
        (QWEN, 500, 128, 137.292),
        (QWEN, 1, 1, 19.1303),
    ],
)
def test_the_law_reproduces_the_published_step_at_its_batch(
    twin: PublishedTwin, batch: int, adapters: int, expected_ms: float
) -> None:
    law = twin.law(batch)
    step_s = law.host_s + batch * law.host_per_seq_s + adapters * law.lora_per_adapter_s
    assert 1e3 * step_s == pytest.approx(expected_ms, abs=5e-4)


@pytest.mark.parametrize(
    ("mean", "std", "least", "expected"),
    [(222.6, 246.5, 1, 247.40), (198.6, 206, 2, 217.31), (100, 100, 0, 108.33)],
)
def test_clipped_normal_shifts_the_mean(mean: float, std: float, least: float, expected: float) -> None:
    assert clipped_normal_mean(mean, std, least) == pytest.approx(expected, abs=0.01)


def test_models_without_published_coefficients_have_none() -> None:
    assert published_twin("opt-1.3b") is None
    assert published_twin("llama-3.1-8b-instruct") is LLAMA


def test_nominal_load_is_what_clients_offer(poisson_setup: RunSetup, burst_setup: RunSetup) -> None:
    assert nominal_load(poisson_setup)["total_tok_s"] == pytest.approx(poisson_setup.offered_tok_s)
    assert nominal_load(burst_setup) == {}
