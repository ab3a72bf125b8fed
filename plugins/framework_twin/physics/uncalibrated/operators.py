"""Step times from measured operators: tables of `aiconfigurator-core`, an optional extra (Apache-2.0).

The package holds measured times of matrix products, attention, experts and collectives for a dozen accelerators under
vLLM's kernels, and a compiled estimator. A model is handed to it as a `config.json` written from our shape, so that
every model whose layers are of a kind it knows is priced, whatever its name. What it lacks falls through to the
roofline: recurrent layers, accelerators without tables, number types without kernels.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from framework.errors import one_line
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_serving.hardware.number_types import number_type
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.step_tables import GRID, Floats, StepTables

PACKAGE = "aiconfigurator_core"
SYSTEMS = {
    "a100-80gb": "a100_sxm",
    "l40s": "l40s",
    "rtx-pro-6000": "rtx_pro_6000_server",
    "h100-80gb": "h100_sxm",
    "h200-141gb": "h200_sxm",
    "b200": "b200_sxm",
    "b300": "b300_sxm",
    "gb200": "gb200",
}
"""Accelerators that the package has vLLM tables of, by our name."""
RELATIVES = {
    "a100-40gb": "a100-80gb",
    "a100-80gb-pcie": "a100-80gb",
    "h100-64gb": "h100-80gb",
    "h100-80gb-pcie": "h100-80gb",
    "h100-94gb-nvl": "h100-80gb",
    "gh200": "h100-80gb",
    "rtx-4090": "l40s",
}
"""Accelerators of the same chip generation: operators of the relative, scaled by the roofline of both."""
_DECODE_UP_TO = 512
_CONTEXTS = (512, 2048, 8192)
_PROMPT = 4096
_WIDEST_HEAD = 128
"""Wider heads are priced as more heads of this width: as many bytes and operations; the tables lack most of them."""
_ATTENTION = ("_attention", "_mla_block", "_mla")


class NotCoveredError(Exception):
    """The package can't price this model on this accelerator; says why."""


def installed() -> bool:
    """Return whether the extra is there."""
    return find_spec(PACKAGE) is not None


def operator_tables(shape: ModelShape, gpu: GpuSpec, deployment: Deployment) -> StepTables:
    """Return tables of a replica's step from measured operators.

    Raises:
        NotCoveredError: no tables of this accelerator, or none for such layers or number types.
    """
    system = SYSTEMS.get(gpu.name.lower())
    if system is None:
        raise NotCoveredError(f"no operator tables of {gpu.name}")
    if shape.linear_layers:
        raise NotCoveredError("recurrent layers are not in the operator tables")
    if shape.attending != shape.layers or shape.expert_hidden:
        raise NotCoveredError("layers of several kinds are not in the operator tables")
    if deployment.data > 1:
        raise NotCoveredError("attention data parallelism is not in the operator tables")
    if _experts_in_mxfp4(shape) and gpu.fp4_tflops:
        raise NotCoveredError(
            "the kernels that the engine takes for mxfp4 on this accelerator are not in the tables"
        )
    handle = _compiled(shape, gpu, system, deployment)
    try:
        return _tables(handle, shape, deployment)
    except NotCoveredError:
        raise
    except Exception as error:  # the estimator raises its own kinds for shapes without data
        raise NotCoveredError(f"operator tables of {gpu.name}: {_gist(error)}") from error


def _gist(error: Exception) -> str:
    """Return what the estimator says is missing, without the file where it looked and what else that holds."""
    said = one_line(error).removeprefix("perf database error: ")
    return re.split(r" at /|; available|: tried", said)[0][:200]


def _experts_in_mxfp4(shape: ModelShape) -> bool:
    word = shape.expert_type or shape.weight_type
    return bool(word) and number_type(word).name == "mxfp4"


def _compiled(shape: ModelShape, gpu: GpuSpec, system: str, deployment: Deployment) -> Any:
    logging.getLogger(PACKAGE).setLevel(logging.ERROR)
    from aiconfigurator_core.sdk.engine import EngineHandle

    reasons: list[str] = []
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        (Path(folder) / "config.json").write_text(json.dumps(_config(shape)), encoding="utf-8")
        for types in _type_choices(shape, gpu):
            try:
                handle = EngineHandle.compile(
                    folder,
                    system,
                    "vllm",
                    tp_size=deployment.tensor,
                    attention_dp_size=deployment.data,
                    moe_tp_size=deployment.expert_tensor if shape.experts else 1,
                    moe_ep_size=deployment.expert if shape.experts else 1,
                    **types,
                )
                _decode(handle, 8, _CONTEXTS[0])  # number types without data are only found by asking
                return handle
            except Exception as error:
                reasons.append(_gist(error))
    raise NotCoveredError(
        f"operator tables of {gpu.name}: {reasons[0] if reasons else 'no number type fits'}"
    )


def _config(shape: ModelShape) -> dict[str, Any]:
    """Return a configuration with the shape's layers, in the words of an architecture that the package knows."""
    mostly_near = shape.window_kv_heads and 2 * shape.window_layers > shape.attending
    width, split = (shape.window_head_dim if mostly_near else shape.head_dim), 1
    kv_heads = shape.window_kv_heads if mostly_near else shape.kv_heads
    if width > _WIDEST_HEAD and width % _WIDEST_HEAD == 0:
        width, split = _WIDEST_HEAD, width // _WIDEST_HEAD
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads * split,
        "num_key_value_heads": kv_heads * split,
        "head_dim": width,
        "intermediate_size": shape.intermediate if shape.gated_mlp else -(-2 * shape.intermediate // 3),
        "vocab_size": shape.vocab,
        "max_position_embeddings": shape.max_model_len,
        "tie_word_embeddings": shape.tied_embeddings,
    }
    if shape.experts:
        config.update(
            architectures=["Qwen3MoeForCausalLM"],
            num_experts=shape.experts,
            num_local_experts=shape.experts,
            num_experts_per_tok=shape.experts_per_token,
            moe_intermediate_size=shape.expert_intermediate,
            decoder_sparse_step=1,
            mlp_only_layers=[],
        )
    if shape.family == "gpt-oss":
        config.update(architectures=["GptOssForCausalLM"], intermediate_size=shape.expert_intermediate)
    if shape.family == "llama-4":
        step = max(1, round(shape.layers / max(1, shape.moe_layers)))
        config.update(
            architectures=["Llama4ForConditionalGeneration"],
            intermediate_size=shape.expert_intermediate,
            intermediate_size_mlp=shape.intermediate,
            interleave_moe_layer_step=step,
            attention_chunk_size=shape.window or 8192,
        )
        return {"architectures": ["Llama4ForConditionalGeneration"], "text_config": config}
    if shape.kv_rank:
        config.update(
            architectures=["DeepseekV3ForCausalLM"],
            n_routed_experts=shape.experts,
            n_shared_experts=round(shape.shared_intermediate / max(1, shape.expert_intermediate)),
            first_k_dense_replace=shape.dense_layers,
            moe_layer_freq=1,
            n_group=1,
            topk_group=1,
            kv_lora_rank=shape.kv_rank,
            q_lora_rank=shape.q_rank or None,
            qk_rope_head_dim=shape.rope_dim,
            qk_nope_head_dim=shape.nope_dim,
            v_head_dim=shape.value_dim,
            num_nextn_predict_layers=0,
        )
    return config


def _type_choices(shape: ModelShape, gpu: GpuSpec) -> list[dict[str, str]]:
    """Return the package's words for the number types, the likeliest kernels first."""
    dense = number_type(shape.weight_type).name if shape.weight_type else "bf16"
    experts = number_type(shape.expert_type).name if shape.expert_type else dense
    gemm = {
        "bf16": ["bfloat16"],
        "fp16": ["bfloat16"],
        "fp8": ["fp8", "fp8_static", "fp8_block"],
        "int8": ["sq", "int8_wo"],
        "int4": ["int4_wo"],
        "mxfp4": ["bfloat16"],
        "nvfp4": ["nvfp4"] if gpu.fp4_tflops else ["nvfp4_wo", "int4_wo"],
    }.get(dense, [])
    moe = {
        "bf16": ["bfloat16"],
        "fp16": ["bfloat16"],
        "fp8": ["fp8_block", "fp8"],
        "int4": ["int4_wo"],
        "mxfp4": ["w4a8_mxfp4_mxfp8", "w4a8_mxfp4_mxfp8_trtllm", "w4a16_mxfp4"]
        if gpu.fp4_tflops
        else ["w4a16_mxfp4"],
        "nvfp4": ["nvfp4"] if gpu.fp4_tflops else ["nvfp4_wo", "int4_wo"],
    }.get(experts, [])
    kv = "fp8" if shape.kv_type and number_type(shape.kv_type).name == "fp8" else "bfloat16"
    common = {"kvcache_quant_mode": kv, "fmha_quant_mode": "bfloat16"}
    if not shape.experts:
        return [{"gemm_quant_mode": one, **common} for one in gemm]
    return [{"gemm_quant_mode": one, "moe_quant_mode": two, **common} for one in gemm for two in moe]


def _tables(handle: Any, shape: ModelShape, deployment: Deployment) -> StepTables:
    tokens = GRID.astype(np.float64)
    stages = deployment.pipeline
    products, attend, slope = (np.zeros(len(GRID)) for _ in range(3))
    for place, count in enumerate(GRID):
        rank = max(1, -(-int(count) // stages))
        if rank <= _DECODE_UP_TO:
            products[place] = _decode(handle, rank, _CONTEXTS[0])[0]
        else:
            products[place] = handle.mixed_step_breakdown(rank - 1, 1, rank - 1, 2)[1] / 1e3
        if count <= 2048:
            attend[place], slope[place] = _attention_line(handle, rank)
            slope[place] /= stages
        else:
            attend[place], slope[place] = attend[place - 1] * count / GRID[place - 1], slope[place - 1]
    pairs = handle.mixed_step_breakdown(_PROMPT, 0, _PROMPT, 2)[2] / 1e3 / (0.5 * _PROMPT**2)
    near = np.zeros(len(GRID))
    near_pairs, window = 0.0, np.inf
    if shape.window_share and shape.family not in ("gpt-oss", "llama-4"):
        share, of_pairs = shape.window_share, shape.window_pair_share
        near, slope = slope * share, slope * (1 - share)
        near_pairs, pairs, window = pairs * of_pairs, pairs * (1 - of_pairs), float(shape.window)
    return StepTables(tokens, _never_falling(products), attend, slope, near, pairs, near_pairs, window)


def _never_falling(seconds: Floats) -> Floats:
    """Return times that don't fall with more tokens: a slow small batch would have been padded to a larger one."""
    return np.minimum.accumulate(seconds[::-1])[::-1]


def _decode(handle: Any, batch: int, context: int) -> tuple[float, float]:
    """Return seconds of a decode step of `batch` requests at `context` tokens: all but attention, and attention."""
    rest = attention = 0.0
    for name, latency_ms, *_ in handle.decode_step_per_op(batch, context, 2):
        if name.endswith(_ATTENTION):
            attention += latency_ms
        else:
            rest += latency_ms
    return rest / 1e3, attention / 1e3


def _attention_line(handle: Any, batch: int) -> tuple[float, float]:
    """Return intercept and slope per token of context summed over the batch, relative errors weighted alike."""
    contexts = np.asarray(_CONTEXTS, np.float64)
    values = np.array([_decode(handle, batch, context)[1] for context in _CONTEXTS])
    weights = 1.0 / np.maximum(values, 1e-9)
    matrix = np.stack([np.ones_like(contexts), contexts * batch], axis=1)
    (start, slope), *_ = np.linalg.lstsq(matrix * weights[:, None], values * weights, rcond=None)
    if start < 0:
        return 0.0, float(
            np.sum(weights * weights * values * contexts) / np.sum((weights * contexts) ** 2) / batch
        )
    return float(start), float(max(slope, 0.0))
