"""Shapes from published configurations: weights, cache, experts, windows, number types, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from framework.errors import ConfigError, SetupError
from framework_serving.hardware.catalogue import described_gpu, described_model, model_shape, shape_of_group
from framework_serving.hardware.model_config import shape_of_config
from framework_serving.hardware.model_files import config_of_id, published_configs, shape_of_id, shape_of_path

COUNTS = [
    (name, int(count))
    for name, _, count in (
        line.partition(",")
        for line in Path(__file__).with_name("published_counts.csv").read_text().splitlines()
        if not line.startswith("#")
    )
]
NO_MODEL = {"name": None, "path": None, "id": None, "weight_type": None, "expert_type": None, "kv_type": None}


@pytest.mark.parametrize(("hub_id", "published"), COUNTS)
def test_parameters_equal_the_published_count(hub_id: str, published: int) -> None:
    assert shape_of_id(hub_id).n_params == pytest.approx(published, rel=0.002)


def test_every_shipped_configuration_can_be_read() -> None:
    assert len(published_configs()) > 200
    for hub_id in published_configs():
        assert shape_of_id(hub_id).active_params > 0


def test_shapes_from_configurations_equal_the_shipped_files() -> None:
    for option, hub_id in (("llama-3.1-8b", "meta-llama/Llama-3.1-8B"), ("qwen-2.5-7b", "Qwen/Qwen2.5-7B")):
        shipped, read = model_shape(option), shape_of_id(hub_id)
        same = ("layers", "hidden", "heads", "kv_heads", "head_dim", "intermediate", "vocab", "n_params")
        assert [getattr(shipped, key) for key in same] == [getattr(read, key) for key in same]
        assert shipped.kv_bytes_per_token == read.kv_bytes_per_token


@pytest.mark.parametrize(
    ("hub_id", "active"),
    [
        ("Qwen/Qwen3-30B-A3B", 3.3e9),
        ("Qwen/Qwen3-235B-A22B", 22e9),
        ("deepseek-ai/DeepSeek-V3", 37e9),
        ("openai/gpt-oss-120b", 5.1e9),
        ("mistralai/Mixtral-8x7B-v0.1", 12.9e9),
    ],
)
def test_active_parameters_are_those_that_the_publishers_state(hub_id: str, active: float) -> None:
    shape = shape_of_id(hub_id)
    assert shape.active_params == pytest.approx(active, rel=0.1)


def test_latent_attention_caches_one_compressed_vector_a_layer() -> None:
    shape = shape_of_id("deepseek-ai/DeepSeek-V3")
    assert shape.kv_bytes_per_token == 61 * (512 + 64) * 2
    assert replace(shape, kv_type="fp8").kv_bytes_per_token == 61 * (512 + 64)


def test_number_types_of_weights_and_cache_are_apart() -> None:
    plain = shape_of_id("meta-llama/Llama-3.1-8B")
    quantised = replace(plain, weight_type="fp8")
    assert quantised.kv_bytes_per_token == plain.kv_bytes_per_token
    ends = 2 * plain.vocab * plain.hidden
    assert quantised.weight_bytes == plain.n_params + ends
    assert shape_of_id("openai/gpt-oss-20b").weight_bytes < 0.36 * 2 * 20.9e9
    assert shape_of_id("Qwen/Qwen2.5-7B-Instruct-AWQ").weight_type == "int4"


@pytest.mark.parametrize(
    ("section", "types"),
    [
        (
            {"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.self_attn.q_norm"]},
            ("fp8", "", ""),
        ),
        ({"quant_method": "fp8", "ignore": ["model.layers.0.self_attn.q_proj"]}, ("", "fp8", "")),
        ({"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"}, ("int4", "", "")),
        ({"quant_algo": "FP8", "kv_cache_scheme": "FP8"}, ("fp8", "", "fp8")),
        (
            {
                "quant_method": "modelopt",
                "quant_algo": "MIXED_PRECISION",
                "quantized_layers": {
                    "layers.0.mlp.experts": {"quant_algo": "NVFP4"},
                    "layers.0.self_attn.q_proj": {"quant_algo": "MXFP8"},
                },
            },
            ("fp8", "nvfp4", ""),
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "float", "group_size": 32}}},
            },
            ("mxfp4", "", ""),
        ),
    ],
)
def test_number_types_are_those_of_the_layers_that_have_them(
    section: dict[str, Any], types: tuple[str, str, str]
) -> None:
    content = {**config_of_id("Qwen/Qwen3-30B-A3B"), "quantization_config": section}
    shape = shape_of_config(content, "quantised")
    assert (shape.weight_type, shape.expert_type, shape.kv_type) == types


def test_an_algorithm_that_is_not_known_is_refused_by_name() -> None:
    content = {
        **config_of_id("Qwen/Qwen3-8B"),
        "quantization_config": {"quant_method": "modelopt", "quant_algo": "Q9"},
    }
    with pytest.raises(ConfigError, match="quant_algo 'Q9' is not modelled"):
        shape_of_config(content, "quantised")


def test_sliding_windows_are_laid_out_as_published() -> None:
    assert shape_of_id("google/gemma-3-27b-it").window_layers == 62 - 62 // 6
    assert shape_of_id("google/gemma-2-9b").window_layers == 21
    assert shape_of_id("openai/gpt-oss-20b").window_layers == 12
    assert shape_of_id("Qwen/Qwen3-8B").window_share == 0.0


def test_a_hybrid_stack_attends_in_some_layers_and_keeps_a_state_in_the_others() -> None:
    shape = shape_of_id("Qwen/Qwen3.5-27B")
    assert (shape.attending, shape.linear_layers, shape.dense_mlp_layers) == (16, 48, 64)
    assert shape.kv_bytes_per_token == 16 * 2 * 4 * 256 * 2
    assert shape.state_bytes == 48 * (48 * 128 * 128 * 4 + (2 * 16 * 128 + 48 * 128) * 3 * 2)
    assert shape_of_id("moonshotai/Kimi-Linear-48B-A3B-Instruct").attending == 6


def test_an_index_bounds_what_sparse_attention_reads_and_is_read_whole() -> None:
    shape, dense = shape_of_id("deepseek-ai/DeepSeek-V3.2"), shape_of_id("deepseek-ai/DeepSeek-V3")
    assert shape.window == 2048
    assert shape.kv_bytes_per_token == dense.kv_bytes_per_token + 61 * (128 + 4)
    assert 1 - shape.window_share == pytest.approx(61 * 132 / shape.kv_bytes_per_token)
    assert 0.85 < shape.window_pair_share < 0.95
    assert (dense.window_share, dense.window_pair_share) == (0.0, 0.0)


def test_windowed_layers_may_have_heads_of_their_own() -> None:
    shape = shape_of_id("google/gemma-4-31B-it")
    near, far = 50 * 2 * 16 * 256, 10 * 2 * 4 * 512
    assert shape.kv_bytes_per_token == 2 * (near + far)
    assert shape.window_share == near / (near + far)
    assert shape.window_pair_share == 50 * 256 / (50 * 256 + 10 * 512)
    assert shape_of_id("XiaomiMiMo/MiMo-V2-Flash").kv_bytes_per_token == 2 * (9 * 4 + 39 * 8) * (192 + 128)


def test_blocks_that_a_search_narrowed_or_left_out_are_counted_one_by_one() -> None:
    attention = [{"n_heads_in_group": 8}, {"n_heads_in_group": None, "no_op": True}]
    mlps = [{"ffn_mult": 5.25}, {"ffn_mult": 1.3125}]
    blocks = [{"attention": one, "ffn": two} for one, two in zip(attention, mlps, strict=True)]
    content = {
        **config_of_id("meta-llama/Llama-3.1-70B"),
        "architectures": ["DeciLMForCausalLM"],
        "num_hidden_layers": 2,
        "num_key_value_heads": None,
        "intermediate_size": None,
        "block_configs": blocks,
    }
    shape = shape_of_config(content, "searched")
    assert (shape.attending, shape.dense_mlp_layers, shape.intermediate) == (1, 2, (28672 + 7168) // 2)
    assert shape.kv_bytes_per_token == 2 * 8 * 128 * 2
    with pytest.raises(ConfigError, match="'block_configs' does not have 3 layers"):
        shape_of_config({**content, "num_hidden_layers": 3}, "searched")


def test_one_head_of_keys_is_one_whatever_else_the_configuration_says() -> None:
    falcon = {**config_of_id("tiiuae/falcon-7b"), "num_kv_heads": 71, "new_decoder_architecture": False}
    assert shape_of_config(falcon, "falcon") == replace(shape_of_id("tiiuae/falcon-7b"), name="falcon")


def test_the_decoder_inside_an_unknown_multimodal_model_is_read_and_an_unknown_decoder_is_refused() -> None:
    inner = dict(config_of_id("Qwen/Qwen3-8B"))
    del inner["architectures"]
    outer = {
        "architectures": ["AcmeVisionForConditionalGeneration"],
        "text_config": {**inner, "model_type": "qwen3"},
    }
    assert (
        shape_of_config(outer, "acme").kv_bytes_per_token == shape_of_id("Qwen/Qwen3-8B").kv_bytes_per_token
    )
    outer["text_config"]["model_type"] = "acme"
    with pytest.raises(ConfigError, match="'AcmeVisionForConditionalGeneration' is not modelled"):
        shape_of_config(outer, "acme")


def test_a_hub_id_in_error_is_answered_by_one_that_can_be_given() -> None:
    with pytest.raises(ConfigError, match=r"did you mean .Qwen/Qwen3\.5-27B"):
        shape_of_id("Qwen/Qwen3.5-27")


LLAMA = config_of_id("meta-llama/Llama-3.1-8B")


def write_config(folder: Path, **content: Any) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def test_a_folder_with_a_configuration_is_a_model(tmp_path: Path) -> None:
    folder = write_config(tmp_path / "mine", **config_of_id("Qwen/Qwen3-8B"))
    shape = described_model({**NO_MODEL, "path": str(folder), "weight_type": "fp8"})
    assert (shape.name, shape.layers, shape.weight_type) == ("mine", 36, "fp8")
    assert shape_of_path(folder / "config.json") == shape_of_path(folder)


def test_the_hub_cache_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "models--acme--tiny" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    write_config(snapshot, **config_of_id("Qwen/Qwen3-8B"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert shape_of_id("acme/tiny").layers == 36
    assert shape_of_path(snapshot).name == "tiny"


@pytest.mark.parametrize(
    ("group", "complaint"),
    [
        ({"id": "acme/unheard-of"}, "model.id: no configuration of 'acme/unheard-of' on this machine"),
        ({"path": "/nowhere"}, "model.path: no config.json at '/nowhere'"),
        ({"id": "Qwen/Qwen3-8B", "path": "/x"}, "model.path and model.id: give one of them"),
        ({"id": "Qwen/Qwen3-8B", "weight_type": "fp9"}, "model.weight_type: unknown number type 'fp9'"),
        ({"id": "Qwen/Qwen3-8B", "num_experts": 8}, "unknown configuration key 'model.num_experts'"),
        ({"id": "Qwen/Qwen3-8B", "expert_type": "fp8"}, "model.expert_type: Qwen3-8B has no experts"),
        ({}, "needs a model: model=NAME; model.path=FOLDER or model.id=ORG/NAME"),
    ],
)
def test_what_cannot_be_a_model_is_refused_by_name(group: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=None) as refused:
        described_model({**NO_MODEL, **group})
    assert complaint in str(refused.value)


@pytest.mark.parametrize(("described", "name"), [(described_model, "model"), (described_gpu, "gpu")])
def test_what_is_not_named_is_wanting_to_every_run_of_this_backend(
    described: Callable[[object], object], name: str
) -> None:
    with pytest.raises(SetupError, match=f"backend=twin needs a {name}") as refused:
        described({"name": None})
    assert refused.value.keys == (name, "backend._target_")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"architectures": ["RwkvForCausalLM"]}, "architecture 'RwkvForCausalLM' is not modelled"),
        ({"architectures": ["LlamaForCausalLM"]}, "its configuration has no 'num_hidden_layers'"),
        ({"model_type": "llama"}, "its configuration has no 'architectures'"),
        (
            {"architectures": ["LlamaForCausalLM"], "num_hidden_layers": "many"},
            "'num_hidden_layers' is 'many', not a whole number",
        ),
        ({"architectures": "LlamaForCausalLM"}, "'architectures' is 'LlamaForCausalLM', not a list of names"),
        (
            {**LLAMA, "num_attention_heads": 0},
            "'num_attention_heads' is 0, not a whole number of at least 1",
        ),
        ({**LLAMA, "num_key_value_heads": 5}, "32 attention heads can't share 5 heads of keys"),
        (
            {**config_of_id("Qwen/Qwen3-30B-A3B"), "num_experts_per_tok": 129},
            "a token can't go to 129 of 128 experts",
        ),
    ],
)
def test_configurations_that_say_too_little_are_refused(
    tmp_path: Path, content: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        shape_of_path(write_config(tmp_path / "model", **content))
    assert complaint in str(refused.value)


def test_a_key_without_effect_on_the_gpu_is_refused() -> None:
    sheet = {"name": "X", "memory_gib": 8, "bandwidth_tb_s": 1, "fp16_tflops": 100, "tdp_w": 300}
    assert described_gpu(sheet).interconnect == "nvlink"
    with pytest.raises(ConfigError, match=r"unknown configuration key 'gpu.nvlinks'"):
        described_gpu({**sheet, "nvlinks": 4})
    with pytest.raises(ConfigError, match=r"gpu.interconnect: 'telepathy' is not one of"):
        described_gpu({**sheet, "interconnect": "telepathy"})


def test_shapes_of_groups_without_a_model_are_none() -> None:
    assert shape_of_group(NO_MODEL) is None
    shape = shape_of_group({**NO_MODEL, "id": "Qwen/Qwen3-8B"})
    assert shape is not None
    assert shape.name == "Qwen3-8B"
