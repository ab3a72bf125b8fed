"""Providers of physics without a profile: what covers what, how it scales, what is refused."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework_serving.engine_knobs import checked_settings
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_twin.physics.power import Activity
from framework_twin.physics.step_time import step_seconds
from framework_twin.physics.uncalibrated.bands import run_bands
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.engine_work import EngineWork, engine_works
from framework_twin.physics.uncalibrated.operators import installed
from framework_twin.physics.uncalibrated.power_model import (
    PowerShares,
    Utilisation,
    power_shares,
    shares_of,
    utilisation,
)
from framework_twin.physics.uncalibrated.providers import priced
from framework_twin.physics.uncalibrated.roofline_tables import reach_of, roofline_tables
from framework_twin.physics.uncalibrated.speculation import Speculation
from framework_twin.physics.uncalibrated.step_physics import step_physics
from framework_twin.settings import TwinSettings

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


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([DENSE, MOE, replace(DENSE, weight_type="fp8"), replace(DENSE, weight_type="int4")]),
    st.sampled_from([H100, B200, MI300X]),
    st.sampled_from([1, 2, 4]),
)
def test_no_step_beats_memory_or_arithmetic_and_twice_the_gpus_are_at_most_twice_as_fast(
    shape: ModelShape, gpu: GpuSpec, tensor: int
) -> None:
    found, twice = (roofline_tables(shape, gpu, Deployment(tensor=count)) for count in (tensor, 2 * tensor))
    idle = shape.idle_expert_params * shape.expert_weight_bytes_each
    read_s = (shape.streamed_weight_bytes - idle) / (tensor * gpu.bandwidth_tb_s * 1e12)
    assert found.products_s[0] >= read_s
    peak = max(gpu.fp16_tflops, gpu.fp8_tflops if shape.weight_type == "fp8" else 0.0) * 1e12
    multiplied = 2.0 * (shape.active_params - shape.vocab * shape.hidden) * found.tokens[-1]
    assert found.products_s[-1] >= multiplied / (tensor * peak)
    assert (2.0 * twice.products_s >= found.products_s * (1 - 1e-9)).all()
    assert (2.0 * twice.context_s >= found.context_s * (1 - 1e-9)).all()


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
    some, most = (tables.products_s[list(tables.tokens).index(tokens)] for tokens in (16, 256))
    assert 0.45 < some / most < 0.6  # 0.64 if all experts were asked for alike, as 1 - (1 - 8/128)^16


def test_fewer_bits_read_faster_and_slow_links_cost() -> None:
    base = roofline_tables(DENSE, H100, Deployment()).products_s[0]
    assert roofline_tables(replace(DENSE, weight_type="int4"), H100, Deployment()).products_s[0] < 0.5 * base
    slow = replace(H100, interconnect="pcie", link_gb_s=25.0)
    two = Deployment(tensor=2)
    staged = replace(slow, peer_to_peer=False)
    assert (
        roofline_tables(DENSE, staged, two).products_s[-1] > roofline_tables(DENSE, slow, two).products_s[-1]
    )
    assert roofline_tables(DENSE, staged, Deployment()).products_s[-1] == pytest.approx(
        roofline_tables(DENSE, slow, Deployment()).products_s[-1]
    )
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


@pytest.mark.slow
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


def test_sampling_takes_time_for_each_entry_of_the_vocabulary_unless_the_family_samples_plainly() -> None:
    work = EngineWork(0.0, sampler_s=1e-10)
    assert work.sampling_s(replace(DENSE, vocab=200_000)) == pytest.approx(20e-6)
    assert work.sampling_s(model_shape("openai/gpt-oss-20b")) == 0.0
    found = step_physics(DENSE, H100, Deployment(), physics="roofline", work=work)
    assert found.coefficients.kernel_per_seq_s == pytest.approx(1e-10 * DENSE.vocab)


def test_reductions_cost_host_time_a_layer_as_soon_as_a_group_is_tensor_parallel() -> None:
    work = EngineWork(1e-3, reduction_s=1e-5)
    assert work.host(DENSE, Deployment()) == pytest.approx(1e-3)
    assert work.host(DENSE, Deployment(tensor=2)) == pytest.approx(1e-3 + 1e-5 * DENSE.layers)


def test_prompts_of_one_rank_reach_fewer_experts_than_decodes_of_all_ranks() -> None:
    alone, two = (roofline_tables(MOE, H100, Deployment(data=count, expert=count)) for count in (1, 2))
    few, many = np.searchsorted(alone.tokens, [4, 8192])
    assert two.products_s[few] > 0.6 * alone.products_s[few]  # half of the experts, and twice the tokens
    assert (
        two.products_s[many] < 0.9 * alone.products_s[many]
    )  # each rank computes half of a prompt's experts


def test_a_board_with_more_watts_for_its_peak_sustains_more_of_it() -> None:
    """Ada: 350 W for 362 TFLOP/s (L40S), 450 W for 165 (RTX 4090), 72 W for 121 (L4)."""
    reach = reach_of(gpu_spec("l40s"))
    shares = {name: reach.sustained(gpu_spec(name)) * reach.compute for name in ("l4", "l40s", "rtx-4090")}
    assert shares["l40s"] == pytest.approx(reach.compute, rel=0.01)
    assert shares["l4"] < 0.85 * shares["l40s"] < shares["l40s"] < shares["rtx-4090"] == pytest.approx(0.9)


def test_tokens_travel_once_to_each_machine_and_not_once_to_each_expert() -> None:
    near = roofline_tables(MOE, B200, Deployment(tensor=2, data=4, expert=8)).products_s[-1]
    far = roofline_tables(MOE, B200, Deployment(tensor=4, data=4, expert=16)).products_s[-1]
    message = 16_384 / 4 * MOE.hidden * MOE.dtype_bytes
    worst = MOE.moe_layers * 2 * 8 * message / (0.5 * B200.network_gb_s * 1e9)
    assert near < far < near + worst / 4


def test_shipped_numbers_of_every_release_are_read() -> None:
    works = engine_works()
    assert {"v0", "v0-server", "v1-0.11", "v1"} <= set(works)
    assert works["v0"].context_s > 0
    assert works["v1-0.11"].sampler_s > 0
    assert all(work.host_s >= 0 and work.kernels > 0 for work in works.values())


@needs_operators
def test_wide_heads_are_priced_as_more_heads() -> None:
    wide = replace(DENSE, heads=16, kv_heads=4, head_dim=256)
    narrow = replace(DENSE, heads=32, kv_heads=8, head_dim=128)
    ours, theirs = (priced(shape, H100, Deployment()).tables for shape in (wide, narrow))
    assert np.allclose(ours.attend_s, theirs.attend_s)
    assert np.allclose(ours.products_s, theirs.products_s)


def test_watts_grow_with_bytes_products_padding_and_sampling_up_to_the_limit() -> None:
    shares = PowerShares(0.1, 0.1, 100.0, 0.9, 0.5, 50.0)
    still = Utilisation(0.0, 0.0, 0.0, 0.0, 0.0)
    assert shares.watts(still, 700) == pytest.approx(70)
    assert shares.watts(still._replace(bytes_s=1e12), 700) == pytest.approx(170)
    worked = shares.watts(still._replace(products=0.04), 700)
    assert worked == pytest.approx(70 + 0.9 * 0.2 * 700)
    assert shares.watts(still._replace(products=0.04, padding=0.05), 700) > worked
    assert shares.watts(still._replace(logits_s=1e9), 700) == pytest.approx(70 + 50)
    assert shares.watts(Utilisation(1.0, 3e12, 0.9, 0.0, 0.0), 700) == pytest.approx(0.97 * 700)


def test_experts_in_fp8_multiply_padding_and_a_generation_without_watts_takes_those_of_all() -> None:
    done = Activity(busy_share=0.9, tokens_s=800.0, context_tokens_s=1e6, steps_s=100.0)
    plain = utilisation(MOE, H100, Deployment(), done)
    eight = utilisation(replace(MOE, weight_type="fp8"), H100, Deployment(), done)
    assert eight.padding > 5 * plain.padding
    assert utilisation(DENSE, H100, Deployment(), done).padding == 0.0
    assert shares_of(MI300X) == power_shares()["*"]
    assert shares_of(H100) != power_shares()["*"]


def test_a_recurrent_state_is_moved_twice_a_token_and_every_rank_samples_from_all_logits() -> None:
    done = Activity(0.9, tokens_s=1000.0, context_tokens_s=0.0, steps_s=10.0, sampled_s=800.0)
    recurrent = replace(DENSE, state_bytes=1_000_000)
    alone, pair = (utilisation(recurrent, H100, Deployment(tensor=ranks), done) for ranks in (1, 2))
    plain = utilisation(DENSE, H100, Deployment(), done)
    assert alone.bytes_s - plain.bytes_s == pytest.approx(2 * 800 * 1_000_000)
    assert alone.logits_s == pair.logits_s == 800 * DENSE.vocab


def test_every_time_speed_and_energy_of_an_uncalibrated_run_has_a_band() -> None:
    bands = run_bands("operators", "hopper dense")
    named = (
        "duration_s",
        "ttft_p95_ms",
        "tpot_p50_ms",
        "e2e_p99_ms",
        "output_tok_s_per_gpu",
        "energy_j_per_request",
    )
    assert {*named, "tok_s_per_w", "energy_delay_js", "steady_output_tok_s"} <= set(bands)
    assert {"running_mean", "running_peak", "waiting_peak", "kv_usage_peak"} <= set(bands)
    assert all(low < 1.0 < high for low, high in bands.values())
    low, high = bands["tpot_mean_ms"]
    assert bands["duration_s"] == pytest.approx((low, high))
    assert bands["itl_p99_ms"][1] > high  # the longest gaps are harder to predict than the mean one
    assert bands["output_tok_s_per_gpu"] == pytest.approx((1 / high, 1 / low))


def test_a_machine_with_fewer_gpus_than_the_deployment_takes_is_refused() -> None:
    gpu = {**asdict(H100), "count": 2}
    keys = {"model": asdict(DENSE), "tensor_parallel": 4}
    with pytest.raises(ConfigError, match="the machine has 2 GPUs"):
        checked_settings(TwinSettings, {**keys, "gpu": gpu})
    with pytest.raises(ConfigError, match="at least 1"):
        checked_settings(TwinSettings, {**keys, "gpu": {**gpu, "count": 0}})


def test_without_experts_to_share_a_data_parallel_rank_steps_as_an_engine_of_its_own() -> None:
    alone, two = (step_physics(DENSE, H100, Deployment(data=count)) for count in (1, 2))
    assert (two.provider, two.coefficients) == (alone.provider, alone.coefficients)
    experts = [step_physics(MOE, H100, Deployment(data=count)).coefficients for count in (1, 2)]
    assert experts[1].host_s > experts[0].host_s


def test_speculation_speeds_small_batches_up_slows_large_ones_and_leaves_prompts() -> None:
    plain = step_physics(DENSE, H100, Deployment(), physics="roofline")
    guess = Speculation(4, 0.7)
    assert guess.kept == pytest.approx((1 - 0.7**5) / (1 - 0.7))
    laws = [
        plain.tables.behind(plain.coefficients.law()),
        guess.tables(plain.tables).behind(guess.coefficients(plain.coefficients).law()),
    ]
    small, large = [[step_s(law, batch, 0, 500 * batch) for law in laws] for batch in (1, 256)]
    assert small[1] == pytest.approx(small[0] / guess.kept, rel=0.25)
    assert large[1] > 0.9 * large[0]
    prompt = [step_s(law, 1, 8192, 500) - step_s(law, 1, 0, 500) for law in laws]
    assert prompt[1] == pytest.approx(prompt[0], rel=0.1)


def test_a_speculating_step_reads_weights_and_cache_once_for_all_tokens_that_it_keeps() -> None:
    counted = Activity(0.9, 1000.0, 5e5, steps_s=400.0, sampled_s=800.0)
    guess = Speculation(4, 0.7)
    done = guess.activity(counted)
    assert done.steps_s * guess.kept == pytest.approx(counted.steps_s)
    assert done.context_tokens_s * guess.kept == pytest.approx(counted.context_tokens_s)
    assert done.tokens_s == pytest.approx(200 + 800 * 5 / guess.kept)  # prompts, and drafts kept or not


def test_speculation_that_keeps_nothing_costs_and_drafts_cost_more() -> None:
    tables = roofline_tables(DENSE, H100, Deployment())
    never = Speculation(4, 0.0)
    assert never.kept == 1.0
    assert (never.tables(tables).products_s >= tables.products_s).all()
    dear = Speculation(4, 0.7, draft_share=0.3).tables(tables)
    assert (dear.products_s > Speculation(4, 0.7).tables(tables).products_s).all()


@pytest.mark.parametrize(
    ("stated", "complaint"),
    [
        ({"speculative_acceptance": 0.5}, "backend.speculative_acceptance: without effect"),
        ({"speculative_draft_share": 0.5}, "backend.speculative_draft_share: without effect"),
        ({"speculative_tokens": 3}, "backend.speculative_tokens needs one"),
        ({"speculative_tokens": 3, "speculative_acceptance": 1.5}, "1.5 is not a probability"),
        ({"speculative_tokens": 0, "speculative_acceptance": 0.5}, "backend.speculative_tokens"),
        (
            {"speculative_tokens": 3, "speculative_acceptance": 0.5, "physics": "profile"},
            "fitted without speculative decoding",
        ),
    ],
)
def test_settings_of_speculation_that_say_nothing_or_contradict_are_refused(
    stated: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        TwinSettings(model=asdict(DENSE), gpu=asdict(H100), **stated).check()  # type: ignore[arg-type]
