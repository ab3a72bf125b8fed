"""From a Hugging Face `config.json` to the shape of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from framework.errors import ConfigError, did_you_mean
from framework_serving.hardware.architectures import ARCHITECTURES, Architecture
from framework_serving.hardware.model_shape import ModelShape
from framework_serving.hardware.parameter_count import count_parameters, mamba_layer
from framework_serving.hardware.quantisation import stored_types

_TEXT_PARTS = ("text_config", "llm_config", "language_config", "thinker_config")
_DEFAULT_CONTEXT = 2048


def shape_of_config(content: Mapping[str, Any], name: str) -> ModelShape:
    """Return the shape of the model that a configuration describes; weights are counted from its dimensions.

    Raises:
        ConfigError: unknown architecture, or a needed field is missing; names it.
    """
    kind, config = _architecture(content, name)
    fields = _Fields(config, name)
    layers = fields.whole("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    hidden = fields.whole("hidden_size", "n_embd", "d_model", "n_embed")
    heads = fields.whole("num_attention_heads", "n_head", "n_heads")
    head_dim = fields.whole("head_dim", "kv_channels", "attention_head_dim", default=hidden // heads)
    dense_width, experts = _mlp(fields, kind, layers, hidden)
    shape = ModelShape(
        name=name,
        family=kind.family,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=_kv_heads(fields, heads),
        head_dim=head_dim,
        intermediate=dense_width,
        vocab=fields.whole("vocab_size", "padded_vocab_size"),
        gated_mlp=kind.gated,
        tied_embeddings=bool(
            config.get("tie_word_embeddings", content.get("tie_word_embeddings", kind.tied))
        ),
        embedding_dim=fields.whole("word_embed_proj_dim", default=hidden),
        lora_embeddings=False,
        dtype_bytes=2,
        max_model_len=_context(fields, kind),
        n_params=0,
    )
    numbers = {**experts, **_latent(fields), **_window(fields, kind, layers), **_per_layer_heads(config)}
    types = stored_types({**content, **config}, moe=bool(experts.get("experts")))
    more: dict[str, Any] = {**numbers, **types}
    shape = replace(shape, **more)
    if kind.block == "nemotron_h":
        shape = _hybrid(shape, fields)
    shape = replace(shape, other_params=_vision(content))
    return replace(shape, n_params=count_parameters(shape, kind, config))


def _architecture(content: Mapping[str, Any], name: str) -> tuple[Architecture, Mapping[str, Any]]:
    """Return what is known of the architecture, and the part of the configuration that describes the decoder."""
    names = content.get("architectures") or []
    if not names:
        raise ConfigError(f"model {name}: its configuration has no 'architectures'")
    config: Mapping[str, Any] = content
    inner: str | None = _TEXT_PARTS[0]
    while inner:
        inner = next((part for part in _TEXT_PARTS if isinstance(config.get(part), Mapping)), "")
        config = config[inner] if inner else config
    kind = ARCHITECTURES.get(names[0])
    if kind is None:
        raise ConfigError(
            f"model {name}: architecture '{names[0]}' is not modelled{did_you_mean(names[0], ARCHITECTURES)}"
        )
    return kind, config


class _Fields:
    """Typed access to a configuration under the several names that its publishers use."""

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        self.config, self._name = config, name

    def whole(self, *keys: str, default: int | None = None) -> int:
        for key in keys:
            value = self.config.get(key)
            if value is not None:
                if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                    raise ConfigError(f"model {self._name}: '{key}' is {value!r}, not a whole number")
                return value
        if default is None:
            raise ConfigError(f"model {self._name}: its configuration has no '{keys[0]}'")
        return default

    def optional(self, *keys: str) -> int:
        return self.whole(*keys, default=0)


def _kv_heads(fields: _Fields, heads: int) -> int:
    if fields.config.get("multi_query") or fields.config.get("multi_query_attention"):
        return fields.whole("multi_query_group_num", "num_kv_heads", default=1)
    return fields.whole("num_key_value_heads", "num_kv_heads", "n_head_kv", default=heads)


def _mlp(fields: _Fields, kind: Architecture, layers: int, hidden: int) -> tuple[int, dict[str, int]]:
    """Return the width of the ordinary MLP and what there is to say of experts."""
    narrow = ("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner", "ff_intermediate_size")
    width = fields.whole(*narrow, default=4 * hidden)
    experts = fields.optional("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
    if not kind.block or not experts:
        return width, {}
    chosen = fields.whole("num_experts_per_tok", "experts_per_token", "moe_k", default=0)
    if not chosen:
        chosen = fields.whole("num_experts_per_tok")
    expert = fields.whole("moe_intermediate_size", default=width)
    shared = fields.optional("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size")
    dense = 0
    if kind.block == "deepseek":
        shared = fields.optional("n_shared_experts", "moe_num_shared_experts") * expert
        dense = fields.optional("first_k_dense_replace", "moe_layer_start_index")
    elif kind.block == "qwen":
        step = fields.whole("decoder_sparse_step", default=1)
        only = fields.config.get("mlp_only_layers") or []
        dense = sum(1 for layer in range(layers) if layer in only or (layer + 1) % step)
    elif kind.block == "llama4":
        shared, expert = width, width
        width = fields.whole("intermediate_size_mlp", default=width)
        step = fields.whole("interleave_moe_layer_step", default=1)
        dense = layers - layers // step
    return width, {
        "experts": experts,
        "experts_per_token": chosen,
        "expert_intermediate": expert,
        "shared_intermediate": shared,
        "dense_layers": dense,
    }


def _latent(fields: _Fields) -> dict[str, int]:
    rank = fields.optional("kv_lora_rank")
    if not rank:
        return {}
    return {
        "kv_rank": rank,
        "q_rank": fields.optional("q_lora_rank"),
        "rope_dim": fields.whole("qk_rope_head_dim"),
        "nope_dim": fields.whole("qk_nope_head_dim"),
        "value_dim": fields.whole("v_head_dim"),
    }


def _window(fields: _Fields, kind: Architecture, layers: int) -> dict[str, int]:
    """Return the window and how many layers have one."""
    config = fields.config
    window = fields.optional("attention_chunk_size" if kind.window == "chunks" else "sliding_window")
    if not window or not kind.window or config.get("use_sliding_window") is False:
        return {}
    types = config.get("layer_types")
    if types:
        local = sum(1 for word in types if word in ("sliding_attention", "chunked_attention"))
    elif kind.window == "every_other":
        local = layers // 2
    elif kind.window == "pattern":
        pattern = fields.whole("sliding_window_pattern", "_sliding_window_pattern", default=6)
        local = layers - layers // pattern
    elif kind.window == "chunks":
        local = layers - layers // 4
    else:
        local = layers
    return {"window": window, "window_layers": local}


def _per_layer_heads(config: Mapping[str, Any]) -> dict[str, int]:
    counts = config.get("num_key_value_heads_per_layer")
    return {"kv_heads_sum": sum(counts)} if counts else {}


def _context(fields: _Fields, kind: Architecture) -> int:
    return fields.whole(
        "max_position_embeddings",
        "n_positions",
        "seq_length",
        "max_sequence_length",
        "max_seq_len",
        default=_DEFAULT_CONTEXT,
    )


def _hybrid(shape: ModelShape, fields: _Fields) -> ModelShape:
    """Return the shape of a stack of attention, MLP and state-space layers, each a layer of its own."""
    pattern = fields.config.get("hybrid_override_pattern")
    if not isinstance(pattern, str):
        raise ConfigError(f"model {shape.name}: its configuration has no 'hybrid_override_pattern'")
    params, state = mamba_layer(fields.config, shape.hidden)
    linear = pattern.count("M")
    moe = pattern.count("E")
    return replace(
        shape,
        attention_layers=pattern.count("*"),
        mlp_layers=pattern.count("-") + moe,
        dense_layers=pattern.count("-"),
        linear_layers=linear,
        linear_params=params,
        state_bytes=state * linear,
    )


def _vision(content: Mapping[str, Any]) -> int:
    """Return the weights of a vision tower: an encoder of `depth` layers and what joins it to the decoder."""
    part = content.get("vision_config")
    if not isinstance(part, Mapping):
        inner = content.get("thinker_config")
        part = inner.get("vision_config") if isinstance(inner, Mapping) else None
    if not isinstance(part, Mapping):
        return 0
    depth = int(part.get("depth") or part.get("num_hidden_layers") or 0)
    width = int(part.get("hidden_size") or part.get("embed_dim") or 0)
    inner_width = int(part.get("intermediate_size") or 4 * width)
    merged = width * int(part.get("spatial_merge_size") or 1) ** 2
    out = int(part.get("out_hidden_size") or 0)
    joints = 1 + len(part.get("deepstack_visual_indexes") or [])
    return depth * (4 * width * width + 2 * width * inner_width) + joints * merged * (merged + out) * bool(
        out
    )
