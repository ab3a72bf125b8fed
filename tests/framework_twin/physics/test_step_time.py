"""The step-time law: affine in context, bounded by physics, overlap of replicas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.physics.coefficients import StepCoefficients
from framework_twin.physics.roofline import roofline
from framework_twin.physics.step_time import COMPONENTS, PARAMETERS, parameter_vector, step_seconds

H100 = gpu_spec("H100-64GB")
V1 = roofline(model_shape("llama-3.1-8b"), H100, "v1")
V0 = roofline(model_shape("opt-1.3b"), H100, "v0")


def step(
    coefficients: StepCoefficients,
    decodes: int = 0,
    prompt: int = 0,
    adapters: int = 0,
    slots: int = 0,
    waiting: int = 0,
    replicas: int = 1,
    context: int = 0,
    law: np.ndarray | None = None,
) -> float:
    parameters = coefficients.law() if law is None else law
    prompts = int(prompt > 0)
    *parts, slope = step_seconds(
        parameters,
        decodes,
        prompts,
        prompt,
        prompt * prompt / 2,
        adapters,
        slots,
        16,
        decodes + prompts,
        waiting,
        1,
        replicas,
        context,
    )
    return sum(parts) + slope * context


batches = st.integers(1, 1024)


@given(decodes=batches, prompt=st.integers(0, 2048), context=st.integers(0, 400_000))
def test_more_work_never_takes_less_time(decodes: int, prompt: int, context: int) -> None:
    base = step(V1, decodes, prompt, context=context)
    assert step(V1, decodes + 1, prompt, context=context) >= base
    assert step(V1, decodes, prompt + 1, context=context) >= base
    assert step(V1, decodes, prompt, context=context + 1) >= base


@given(decodes=batches, adapters=st.integers(1, 64), slots=st.integers(64, 384), prompt=st.integers(0, 2048))
def test_adapters_and_slots_only_add_time(decodes: int, adapters: int, slots: int, prompt: int) -> None:
    without = step(V1, decodes, prompt, 0, slots)
    few = step(V1, decodes, prompt, adapters, slots)
    assert without < few < step(V1, decodes, prompt, adapters + 1, slots)
    assert few < step(V1, decodes, prompt, adapters, slots + 1)


def test_wider_slots_cost_more_and_rank_sixteen_is_the_reference() -> None:
    def at_rank(rank: int, share: float) -> float:
        law = replace(V1, lora_rank_share=share).law()
        return sum(step_seconds(law, 64, 0, 0, 0.0, 32, 64, rank, 64, 0, 1, 1, 0)[:-1])

    assert at_rank(8, 0.2) < at_rank(16, 0.2) < at_rank(32, 0.2)
    assert at_rank(16, 0.2) == at_rank(16, 0.0) == at_rank(32, 0.0)


@given(decodes=batches, slots=st.integers(0, 384))
def test_slots_without_adapters_in_the_batch_change_nothing(decodes: int, slots: int) -> None:
    assert step(V1, decodes, slots=slots) == step(V1, decodes)


@given(decodes=st.integers(1, 256), context=st.integers(0, 200_000), replicas=st.integers(2, 4))
def test_sharing_replicas_are_between_free_overlap_and_taking_turns(
    decodes: int, context: int, replicas: int
) -> None:
    alone = step(V0, decodes, context=context)
    shared = step(V0, decodes, context=context, replicas=replicas)
    assert alone <= shared <= replicas * alone


def test_time_slicing_is_never_faster_than_mps() -> None:
    sliced = V0.law(mps=False)
    assert step(V0, 128, context=50_000, replicas=2, law=sliced) > step(V0, 128, context=50_000, replicas=2)


def test_decode_without_cuda_graphs_waits_for_kernel_launches() -> None:
    assert step(V0, 1, law=V0.law(eager=True)) == pytest.approx(
        V0.host_s + V0.host_per_seq_s + V0.launch_s, rel=0.2
    )


def test_waiting_requests_are_scanned_only_while_every_slot_is_taken() -> None:
    assert step(V1, 8, adapters=7, slots=8, waiting=10_000) == step(V1, 8, adapters=7, slots=8)
    blocked = step(V1, 8, adapters=8, slots=8, waiting=10_000) - step(V1, 8, adapters=8, slots=8)
    assert blocked == pytest.approx(10_000 * V1.scheduler_per_waiting_s)


@given(tokens=st.integers(1, 4096))
def test_matrix_products_bend_from_streaming_weights_to_computing(tokens: int) -> None:
    bare = replace(V1, **dict.fromkeys(("host_s", "host_per_seq_s", "kernel_s", "kernel_per_seq_s"), 0.0))
    products = step(bare, tokens)
    assert products >= max(V1.weights_s, V1.compute_per_token_s * tokens)
    assert products <= V1.weights_s + V1.compute_per_token_s * tokens + 1e-12


def test_parameter_vector_names_an_unknown_parameter() -> None:
    with pytest.raises(KeyError, match="hots_s"):
        parameter_vector(hots_s=1.0)
    assert parameter_vector().shape == (len(PARAMETERS),)
    assert len(COMPONENTS) == 6


def test_reading_context_is_never_faster_than_the_peak_bandwidth() -> None:
    for name in ("opt-1.3b", "opt-2.7b", "llama-2-7b", "llama-2-13b"):
        shape = model_shape(name)
        slope = roofline(shape, H100, "v0").per_context_token_s
        assert slope >= shape.kv_bytes_per_token / (H100.bandwidth_tb_s * 1e12)


def test_tensor_parallel_models_read_their_weights_faster_but_pay_for_reductions() -> None:
    shape = model_shape("llama-2-13b")
    one, two = roofline(shape, H100, "v1"), roofline(shape, H100, "v1", tensor_parallel=2)
    assert two.weights_s == pytest.approx(one.weights_s / 2)
    assert two.kernel_s > one.kernel_s


@given(tokens=st.integers(1, 1024), rank=st.sampled_from([8, 16, 32]))
def test_configured_slots_cost_each_token_in_proportion_to_their_rank(tokens: int, rank: int) -> None:
    law = replace(V0, lora_per_rank_token_s=1e-6).law()

    def seconds(slots: int) -> float:
        return sum(step_seconds(law, tokens, 0, 0, 0.0, 0, slots, rank, tokens, 0, 0, 1, 0)[:-1])

    assert seconds(8) - seconds(0) == pytest.approx(1e-6 * rank / 16 * tokens)


def test_an_adapter_costs_less_from_the_number_of_tokens_on_at_which_its_kernels_split_less() -> None:
    changed = replace(V1, lora_large_step_share=0.5)

    def of_an_adapter(decodes: int) -> float:
        law = changed.law()
        return step(changed, decodes, adapters=9, slots=64, law=law) - step(
            changed, decodes, adapters=8, slots=64, law=law
        )

    assert of_an_adapter(127) == pytest.approx(changed.lora_per_adapter_s)
    assert of_an_adapter(128) == pytest.approx(0.5 * changed.lora_per_adapter_s)


@given(decodes=batches, prompt=st.integers(0, 2048), slots=st.integers(1, 384))
def test_a_slot_costs_each_token_of_a_step_decoded_or_of_a_prompt(
    decodes: int, prompt: int, slots: int
) -> None:
    more = step(V1, decodes, prompt, 1, slots + 1) - step(V1, decodes, prompt, 1, slots)
    expected = V1.lora_per_slot_s + V1.lora_per_slot_token_s * (decodes + prompt)
    assert more == pytest.approx(expected, rel=1e-6, abs=1e-9)
