"""Stacks that are not attention and MLP in every layer: recurrent layers, convolutions, layers left out.

Sources of the layers' sizes: Mamba-1 (arXiv 2312.00752), Mamba-2 (arXiv 2405.21060), gated delta rule (arXiv
2412.06464), Kimi delta attention (arXiv 2510.26692), lightning attention (arXiv 2501.08313), LFM2's configuration.
A state is kept in 32 bits, the last inputs of a convolution in 16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from framework.errors import ConfigError
from framework_serving.hardware.architectures import Architecture
from framework_serving.hardware.config_fields import ConfigFields

_STATE_BYTES = 4
_INPUT_BYTES = 2
_ONE_PART = {"linear_attention": "mamba", "full_attention": "attention"}
_RECURRENT = ("linear_attention", "mamba", "conv", "recurrent", "kda")


def stack(fields: ConfigFields, kind: Architecture, layers: int, hidden: int) -> dict[str, int]:
    """Return the fields of `ModelShape` about layers that don't attend; empty where all layers do.

    Raises:
        ConfigError: an architecture with such layers whose configuration doesn't say which they are.
    """
    if fields.config.get("block_configs"):
        return _searched_blocks(fields, layers, hidden)
    if not kind.recurrent:
        return {}
    if kind.recurrent == "nemotron_h":
        found = _one_part_layers(fields)
    else:
        linear = layers if kind.recurrent == "beside" else _recurrent_count(fields, layers)
        found = {
            "attention_layers": layers if kind.recurrent == "beside" else layers - linear,
            "linear_layers": linear,
        }
    params, state = _LAYERS[kind.recurrent](fields, hidden)
    return {**found, "linear_params": params, "state_bytes": state * found["linear_layers"]}


def layer_words(fields: ConfigFields) -> list[str]:
    """Return the parts of a stack of one-part layers (Nemotron-H): `mamba`, `attention`, `mlp`, `moe`."""
    pattern = fields.config.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        words = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
        return [words.get(letter, letter) for letter in pattern]
    named = fields.config.get("layers_block_type")
    if isinstance(named, Sequence) and not isinstance(named, str):
        return [_ONE_PART.get(str(word), str(word)) for word in named]
    raise ConfigError(f"model {fields.name}: its configuration has no 'hybrid_override_pattern'")


def _one_part_layers(fields: ConfigFields) -> dict[str, int]:
    words = layer_words(fields)
    return {
        "attention_layers": words.count("attention"),
        "mlp_layers": words.count("mlp") + words.count("moe"),
        "dense_layers": words.count("mlp"),
        "linear_layers": words.count("mamba"),
    }


def _recurrent_count(fields: ConfigFields, layers: int) -> int:
    config = fields.config
    words = fields.per_layer("layer_types", layers) or fields.per_layer("attn_type_list", layers)
    if words:
        return sum(1 for word in words if word in _RECURRENT or word == 0)
    lists: Any = config.get("linear_attn_config") or {}
    if lists.get("kda_layers"):
        return len(lists["kda_layers"])
    if config.get("full_attention_interval"):
        return layers - layers // fields.whole("full_attention_interval")
    if config.get("attn_layer_period"):
        step, first = fields.whole("attn_layer_period"), fields.optional("attn_layer_offset")
        return sum(1 for layer in range(layers) if layer % step != first)
    for key in ("attn_layer_indices", "full_attn_idxs"):
        if config.get(key):
            return layers - len(config[key])
    raise ConfigError(f"model {fields.name}: its configuration has no 'layer_types'")


def _searched_blocks(fields: ConfigFields, layers: int, hidden: int) -> dict[str, int]:
    """Return a stack in which a search left out attention or narrowed MLPs, layer by layer (Nemotron-NAS)."""
    blocks = fields.per_layer("block_configs", layers)
    if not blocks:
        raise ConfigError(f"model {fields.name}: 'block_configs' does not have {layers} layers")
    attention = [block["attention"] for block in blocks if not block["attention"].get("no_op")]
    attending = [part for part in attention if not part.get("replace_with_linear")]
    mlps = [block["ffn"] for block in blocks if not block["ffn"].get("no_op")]
    real = [part for part in mlps if not part.get("replace_with_linear")]
    widths = [-(-int(2 * part["ffn_mult"] * hidden / 3) // 256) * 256 for part in real]
    groups = [int(part["n_heads_in_group"]) for part in attending]
    heads = fields.whole("num_attention_heads")
    linear = len(attention) - len(attending) + len(mlps) - len(real)
    return {
        "attention_layers": len(attending),
        "mlp_layers": len(real),
        "intermediate": round(sum(widths) / max(1, len(widths))),
        "kv_heads": heads // max(groups),
        "kv_heads_sum": sum(heads // group for group in groups),
        "mixing_params": linear * hidden * hidden,
    }


def _mamba_2(fields: ConfigFields, hidden: int) -> tuple[int, int]:
    """Projections to gate, input, B, C and step; a short convolution; the projection back."""
    heads = fields.whole("mamba_num_heads", "mamba_n_heads")
    dim = fields.optional("mamba_head_dim", "mamba_d_head")
    dim = dim or fields.whole("mamba_expand", default=2) * hidden // heads
    groups = fields.whole("n_groups", "mamba_n_groups", default=1)
    state = fields.whole("ssm_state_size", "mamba_d_state", default=128)
    kernel = fields.whole("conv_kernel", "mamba_d_conv", default=4)
    inner = heads * dim
    conv = inner + 2 * groups * state
    params = hidden * (inner + conv + heads) + conv * (kernel + 1) + inner * hidden + 3 * heads + inner
    return params, heads * dim * state * _STATE_BYTES + conv * (kernel - 1) * _INPUT_BYTES


def _mamba_1(fields: ConfigFields, hidden: int) -> tuple[int, int]:
    """Projections to input and gate, to step, B and C; the step's own; a short convolution; the projection back."""
    inner = fields.whole("mamba_expand", default=2) * hidden
    state = fields.whole("mamba_d_state", default=16)
    kernel = fields.whole("mamba_d_conv", default=4)
    rank = fields.whole("mamba_dt_rank", default=-(-hidden // 16))
    params = 3 * hidden * inner + inner * (rank + 2 * state) + rank * inner + inner * (state + kernel + 3)
    return params, inner * state * _STATE_BYTES + inner * (kernel - 1) * _INPUT_BYTES


def _gated_delta(fields: ConfigFields, hidden: int) -> tuple[int, int]:
    """Queries, keys, values and a gate of the values' width; decay and step a head; the projection back."""
    keys = fields.whole("linear_num_key_heads") * fields.whole("linear_key_head_dim")
    heads = fields.whole("linear_num_value_heads")
    values = heads * fields.whole("linear_value_head_dim")
    kernel = fields.whole("linear_conv_kernel_dim", default=4)
    conv = 2 * keys + values
    params = hidden * (conv + values + 2 * heads) + conv * kernel + values * hidden + 2 * heads
    state = values * fields.whole("linear_key_head_dim")
    return params, state * _STATE_BYTES + conv * (kernel - 1) * _INPUT_BYTES


def _kimi_delta(fields: ConfigFields, hidden: int) -> tuple[int, int]:
    """Queries, keys, values and outputs of one width; decay and output gate through the width of one head."""
    inner = ConfigFields({**fields.config, **(fields.config.get("linear_attn_config") or {})}, fields.name)
    heads = inner.whole("linear_num_heads", "num_heads")
    dim = inner.whole("linear_head_dim", "head_dim")
    kernel = inner.whole("linear_conv_kernel_dim", "short_conv_kernel_size", default=4)
    width = heads * dim
    params = 4 * hidden * width + 2 * dim * (hidden + width) + hidden * heads + 3 * width * kernel + width
    return params, width * dim * _STATE_BYTES + 3 * width * (kernel - 1) * _INPUT_BYTES


def _lightning(fields: ConfigFields, hidden: int) -> tuple[int, int]:
    """Queries, keys, values, a gate and outputs of the width of all heads."""
    heads = fields.whole("num_attention_heads")
    dim = fields.whole("head_dim", default=hidden // heads)
    return 5 * hidden * heads * dim + hidden, heads * dim * dim * _STATE_BYTES


def _short_convolution(fields: ConfigFields, hidden: int) -> tuple[int, int]:
    """Projections to two gates and the input, a convolution over few tokens, the projection back."""
    kernel = fields.whole("conv_L_cache", default=3)
    return 4 * hidden * hidden + hidden * kernel, hidden * (kernel - 1) * _INPUT_BYTES


_LAYERS: dict[str, Callable[[ConfigFields, int], tuple[int, int]]] = {
    "nemotron_h": _mamba_2,
    "mamba_2": _mamba_2,
    "beside": _mamba_2,
    "mamba_1": _mamba_1,
    "gated_delta": _gated_delta,
    "kimi_delta": _kimi_delta,
    "lightning": _lightning,
    "convolution": _short_convolution,
}
"""Kind of recurrence, as `Architecture.recurrent` names it, to weights and bytes of state of one layer."""
