"""Golden formulas of the published twin (adapter_serving.md §5)."""

from __future__ import annotations

import pytest

from framework_twin.measured.measured_runs import RunSetup
from framework_twin.physics.published_twin import PUBLISHED, published_twin, scheduler_ms
from framework_twin.validation.baselines import clipped_normal_mean, nominal_load

LLAMA, QWEN = PUBLISHED["llama-3.1-8b"], PUBLISHED["qwen-2.5-7b"]


def test_decode_and_step_reproduce_the_published_milliseconds() -> None:
    assert LLAMA.decode_ms(100) == pytest.approx(14.9217, abs=5e-5)
    assert LLAMA.step_ms(100, 50) == pytest.approx(44.2458, abs=5e-5)
    assert LLAMA.step_ms(500, 128) == pytest.approx(145.036, abs=5e-4)
    assert LLAMA.step_ms(1, 1) == pytest.approx(21.3769, abs=5e-5)
    assert QWEN.decode_ms(100) == pytest.approx(15.5113, abs=5e-5)
    assert QWEN.step_ms(100, 50) == pytest.approx(40.5030, abs=5e-5)
    assert QWEN.step_ms(500, 128) == pytest.approx(137.292, abs=5e-4)
    assert QWEN.step_ms(1, 1) == pytest.approx(19.1303, abs=5e-5)


@pytest.mark.parametrize(
    ("batch", "waiting", "slots", "served", "expected"),
    [(100, 0, 8, 8, 0.20712), (100, 1000, 32, 64, 0.30025), (500, 10000, 8, 384, 4.0416), (20, 0, 8, 8, 0.0)],
)
def test_scheduler_time_reproduces_the_published_milliseconds(
    batch: float, waiting: float, slots: int, served: int, expected: float
) -> None:
    assert scheduler_ms(batch, waiting, slots, served) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("mean", "std", "least", "expected"),
    [(222.6, 246.5, 1, 247.40), (198.6, 206, 2, 217.31), (100, 100, 0, 108.33)],
)
def test_clipped_normal_shifts_the_mean(mean: float, std: float, least: float, expected: float) -> None:
    assert clipped_normal_mean(mean, std, least) == pytest.approx(expected, abs=0.01)


def test_the_law_equals_the_published_step_at_its_batch() -> None:
    law = LLAMA.law(100.0)
    step_ms = 1e3 * (law.host_s + 100 * law.host_per_seq_s + 50 * law.lora_per_adapter_s)
    assert step_ms == pytest.approx(LLAMA.step_ms(100, 50))


def test_models_without_published_coefficients_have_none() -> None:
    assert published_twin("opt-1.3b") is None
    assert published_twin("llama-3.1-8b-instruct") is LLAMA


def test_nominal_load_is_what_clients_offer(poisson_setup: RunSetup, burst_setup: RunSetup) -> None:
    assert nominal_load(poisson_setup)["total_tok_s"] == pytest.approx(poisson_setup.offered_tok_s)
    assert nominal_load(burst_setup) == {}
