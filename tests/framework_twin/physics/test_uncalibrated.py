"""Providers of physics without a profile: what covers what, how it scales, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from framework.errors import ConfigError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.physics.step_time import step_seconds
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.operators import installed
from framework_twin.physics.uncalibrated.providers import priced
from framework_twin.physics.uncalibrated.roofline_tables import roofline_tables
from framework_twin.physics.uncalibrated.step_physics import step_physics

H100, B200, MI300X = gpu_spec("H100-80GB"), gpu_spec("B200"), gpu_spec("MI300X")
DENSE, MOE = model_shape("meta-llama/Llama-3.1-8B"), model_shape("Qwen/Qwen3-30B-A3B")
needs_operators = pytest.mark.skipif(not installed(), reason="the extra 'operators' is not installed")


def step_s(law: np.ndarray, decodes: int, prompt: int, context: int) -> float:
    *parts, slope = step_seconds(
        law, decodes, int(prompt > 0), prompt, prompt**2 / 2, 0, 0, 0, decodes, 0, 1, 1, context
    )
    return sum(parts) + slope * context


@pytest.mark.parametrize("shape", [DENSE, MOE, model_shape("google/gemma-3-12b-it")])
def test_more_tokens_and_more_context_never_take_less_time(shape) -> None:  # type: ignore[no-untyped-def]
    found = step_physics(shape, H100, Deployment(), physics="roofline")
    law = found.tables.behind(found.coefficients.law())
    times = [step_s(law, batch, 0, 1000 * batch) for batch in (1, 3, 7, 20, 100, 900, 3000)]
    assert times == sorted(times)
    assert step_s(law, 8, 512, 8000) > step_s(law, 8, 0, 8000)
    assert step_s(law, 8, 0, 80_000) > step_s(law, 8, 0, 8000)


def test_layers_with_a_window_stop_growing_with_the_context() -> None:
    plain, near = DENSE, replace(DENSE, window=1024, window_layers=32)
    laws = []
    for shape in (plain, near):
        found = step_physics(shape, H100, Deployment(), physics="roofline")
        laws.append(found.tables.behind(found.coefficients.law()))
    short, long = [[step_s(law, 8, 0, 8 * tokens) for law in laws] for tokens in (1000, 30_000)]
    assert short[0] == pytest.approx(short[1])
    assert long[1] < 0.8 * long[0]
    assert long[1] == pytest.approx(step_s(laws[1], 8, 0, 8 * 20_000))


def test_small_batches_read_few_experts() -> None:
    tables = roofline_tables(MOE, H100, Deployment())
    all_s = MOE.streamed_weight_bytes / (H100.bandwidth_tb_s * 1e12)
    assert tables.products_s[0] < 0.35 * all_s
    assert tables.products_s[-1] > all_s


def test_fewer_bits_read_faster_and_slow_links_cost() -> None:
    base = roofline_tables(DENSE, H100, Deployment()).products_s[0]
    assert roofline_tables(replace(DENSE, weight_type="int4"), H100, Deployment()).products_s[0] < 0.5 * base
    slow = replace(H100, interconnect="pcie", link_gb_s=25.0)
    two = Deployment(tensor=2)
    assert roofline_tables(DENSE, slow, two).products_s[-1] > roofline_tables(DENSE, H100, two).products_s[-1]


@pytest.mark.parametrize(
    ("spread", "complaint"),
    [
        (Deployment(tensor=3), "backend.tensor_parallel: the 32 attention heads"),
        (Deployment(expert=2), "backend.expert_parallel: Llama-3.1-8B has no experts"),
        (Deployment(pipeline=64), "backend.pipeline_parallel: 64 stages for 32 layers"),
    ],
)
def test_what_the_engine_refuses_is_refused(spread: Deployment, complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        priced(DENSE, H100, spread)
    assert complaint in str(refused.value)


def test_kv_heads_are_copied_where_there_are_fewer_than_gpus() -> None:
    assert Deployment(tensor=16).kv_copies(DENSE) == 2.0
    assert Deployment(tensor=8).kv_copies(DENSE) == 1.0


@needs_operators
def test_operators_answer_for_measured_gpus_and_fall_through_with_a_reason() -> None:
    assert priced(DENSE, H100, Deployment()).provider == "operators"
    assert priced(DENSE, gpu_spec("GH200"), Deployment()).provider == "operators (relative)"
    amd = priced(DENSE, MI300X, Deployment())
    assert (amd.provider, amd.reason) == ("roofline", "no operator tables of MI300X")
    recurrent = priced(model_shape("nvidia/NVIDIA-Nemotron-Nano-9B-v2"), H100, Deployment())
    assert recurrent.provider == "roofline"
    assert "recurrent" in recurrent.reason
    with pytest.raises(ConfigError, match="operators can't price this: no operator tables of MI300X"):
        priced(DENSE, MI300X, Deployment(), "operators")


@needs_operators
@pytest.mark.parametrize("shape", [DENSE, MOE])
def test_both_providers_agree_within_a_factor(shape) -> None:  # type: ignore[no-untyped-def]
    measured = priced(shape, B200, Deployment()).tables
    sheet = roofline_tables(shape, B200, Deployment())
    ratio = measured.products_s / sheet.products_s
    assert ratio.min() > 0.4
    assert ratio.max() < 2.5


def test_without_the_extra_the_roofline_answers_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from framework_twin.physics.uncalibrated import operators, providers

    monkeypatch.setattr(operators, "installed", lambda: False)
    providers._priced.cache_clear()
    try:
        found = priced(DENSE, H100, Deployment())
    finally:
        providers._priced.cache_clear()
    assert found.provider == "roofline"
    assert "pip install 'framework-lab[operators]'" in found.reason


@needs_operators
def test_tables_come_from_the_file_of_an_earlier_look(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from framework_twin.physics.uncalibrated.kept_tables import kept_tables
    from framework_twin.physics.uncalibrated.operators import operator_tables

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = kept_tables(DENSE, H100, Deployment(), operator_tables)
    calls: list[int] = []

    def never(*_: object):  # type: ignore[no-untyped-def]
        calls.append(1)

    again = kept_tables(DENSE, H100, Deployment(), never)
    assert not calls
    assert first.plain() == again.plain()
    for file in tmp_path.rglob("*.json"):
        file.write_text("{ damaged")
    assert kept_tables(DENSE, H100, Deployment(), operator_tables).plain() == first.plain()
