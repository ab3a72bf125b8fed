"""What a configuration says of its MLPs and experts."""

from __future__ import annotations

from framework.errors import ConfigError
from framework_serving.hardware.architectures import Architecture
from framework_serving.hardware.config_fields import ConfigFields

_WIDTH = (
    "dense_intermediate_size",
    "intermediate_size",
    "ffn_dim",
    "ffn_hidden_size",
    "n_inner",
    "ff_intermediate_size",
)
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_CHOSEN = ("num_experts_per_tok", "experts_per_token", "top_k_experts", "num_experts_per_token", "moe_k")
_EXPERT_WIDTH = ("moe_intermediate_size", "expert_ffn_hidden_size")
_SHARED_WIDTH = (
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "shared_intermediate_size",
)
_SHARED_COUNT = ("n_shared_experts", "moe_num_shared_experts", "num_shared_experts")
_DENSE_FIRST = ("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers")


def mlp_layers(
    fields: ConfigFields, kind: Architecture, layers: int, hidden: int
) -> tuple[int, dict[str, int]]:
    """Return the width of an ordinary MLP, and the fields of `ModelShape` about experts."""
    width = fields.whole(*_WIDTH, default=4 * hidden)
    shared = fields.optional(*_SHARED_WIDTH)
    experts = fields.optional(*_EXPERTS)
    if fields.config.get("block_auto_adjust_ff_dim"):
        width = _adjusted(fields, width)
    if not kind.block or not experts:
        return (shared if kind.block and shared else width), {}
    chosen = fields.optional(*_CHOSEN)
    if not chosen:
        raise ConfigError(f"model {fields.name}: its configuration has no '{_CHOSEN[0]}'")
    if chosen > experts:
        raise ConfigError(f"model {fields.name}: a token can't go to {chosen} of {experts} experts")
    expert = fields.whole(*_EXPERT_WIDTH, default=fields.whole("intermediate_size", default=width))
    dense = _dense_layers(fields, layers)
    if kind.block == "deepseek":
        shared = shared or fields.optional(*_SHARED_COUNT) * expert
    elif kind.block == "llama4":
        shared, expert = width, width
        width = fields.whole("intermediate_size_mlp", default=width)
        dense = layers - layers // fields.whole("interleave_moe_layer_step", default=1)
    elif kind.block == "gemma4":
        shared = width  # every layer has an ordinary MLP beside its experts
    return width, {
        "experts": experts,
        "experts_per_token": chosen,
        "expert_intermediate": expert,
        "expert_hidden": fields.optional("moe_latent_size", "routed_expert_hidden_size"),
        "shared_intermediate": shared,
        "dense_layers": dense,
    }


def _adjusted(fields: ConfigFields, width: int) -> int:
    """Return two thirds of a stated width, times a factor, up to a multiple (LFM2)."""
    factor = fields.config.get("block_ffn_dim_multiplier") or 1.0
    step = fields.whole("block_multiple_of", default=1)
    return -(-int(factor * int(2 * width / 3)) // step) * step


def _dense_layers(fields: ConfigFields, layers: int) -> int:
    """Return how many layers have an ordinary MLP instead of experts."""
    words = fields.per_layer("mlp_layer_types", layers)
    if words:
        return sum(1 for word in words if word == "dense")
    flags = fields.per_layer("moe_layer_freq", layers)
    if flags:
        return sum(1 for flag in flags if not flag)
    first = fields.optional(*_DENSE_FIRST)
    if first:
        return first
    if fields.config.get("expert_layer_period"):
        step, place = fields.whole("expert_layer_period"), fields.optional("expert_layer_offset")
        return sum(1 for layer in range(layers) if layer % step != place)
    step = fields.whole("decoder_sparse_step", default=1)
    only = fields.config.get("mlp_only_layers") or []
    return sum(1 for layer in range(layers) if layer in only or (layer + 1) % step)
