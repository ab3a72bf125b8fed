"""What a configuration says of its attention: heads, latent attention, windows, sparse attention."""

from __future__ import annotations

from typing import Any

from framework.errors import ConfigError
from framework_serving.hardware.architectures import Architecture
from framework_serving.hardware.config_fields import ConfigFields

_LOCAL = ("sliding_attention", "chunked_attention")


def attention_layers(
    fields: ConfigFields, kind: Architecture, hidden: int, layers: int, attending: int
) -> dict[str, int]:
    """Return the fields of `ModelShape` about heads, latent attention, windows and sparse attention.

    Args:
        fields, kind, hidden: the configuration, how its architecture is built, its width.
        layers, attending: all layers, and how many of them attend.
    """
    heads = fields.whole("num_attention_heads", "n_head", "n_heads", "num_heads")
    kv_heads = _kv_heads(fields, heads)
    if heads % kv_heads:
        raise ConfigError(
            f"model {fields.name}: {heads} attention heads can't share {kv_heads} heads of keys"
        )
    found = {
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": fields.whole("head_dim", "kv_channels", "attention_head_dim", default=hidden // heads),
        **_latent(fields),
        **_window(fields, kind, layers),
        **_per_layer_heads(fields, layers, kv_heads),
    }
    found |= _two_kinds(fields, found)
    found |= _sparse(fields, found, layers)
    found["mixing_params"] = _mixing(fields, kind, found, hidden, layers, attending)
    return found


def _kv_heads(fields: ConfigFields, heads: int) -> int:
    if fields.config.get("new_decoder_architecture") is False and fields.config.get("multi_query"):
        return 1  # Falcon before its new decoder: one head, whatever `num_kv_heads` says
    if fields.config.get("multi_query") or fields.config.get("multi_query_attention"):
        return fields.whole("multi_query_group_num", "num_kv_heads", default=1)
    return fields.whole("num_key_value_heads", "num_kv_heads", "n_head_kv", default=heads)


def _latent(fields: ConfigFields) -> dict[str, int]:
    rank = fields.optional("kv_lora_rank")
    if not rank:
        return {"value_dim": fields.optional("v_head_dim")}
    return {
        "kv_rank": rank,
        "q_rank": fields.optional("q_lora_rank"),
        "rope_dim": fields.whole("qk_rope_head_dim"),
        "nope_dim": fields.whole("qk_nope_head_dim"),
        "value_dim": fields.whole("v_head_dim"),
    }


def _window(fields: ConfigFields, kind: Architecture, layers: int) -> dict[str, int]:
    """Return the window and how many layers have one."""
    config = fields.config
    window = fields.optional("attention_chunk_size" if kind.window == "chunks" else "sliding_window")
    if not window or not kind.window or config.get("use_sliding_window") is False:
        return {}
    types = config.get("layer_types")
    flags = fields.per_layer("hybrid_layer_pattern", layers)
    if types:
        local = sum(1 for word in types if word in _LOCAL)
    elif flags:
        local = sum(1 for flag in flags if flag)
    elif kind.window == "every_other":
        local = layers // 2
    elif kind.window == "pattern":
        pattern = fields.whole("sliding_window_pattern", "_sliding_window_pattern", default=6)
        local = layers - layers // pattern if pattern else 0
    elif kind.window == "chunks":
        local = layers - layers // 4
    else:
        local = layers
    return {"window": window, "window_layers": local}


def _two_kinds(fields: ConfigFields, found: dict[str, int]) -> dict[str, int]:
    """Return the heads of windowed layers and of the others where a configuration gives them apart."""
    if not found.get("window_layers"):
        return {}
    if "swa_num_key_value_heads" in fields.config:
        return {
            "window_kv_heads": fields.whole("swa_num_key_value_heads"),
            "window_head_dim": fields.whole("swa_head_dim", default=found["head_dim"]),
        }
    wide = fields.optional("global_head_dim") or _widest(fields)
    if wide and "kv_heads_sum" not in found:
        return {
            "window_kv_heads": found["kv_heads"],
            "window_head_dim": found["head_dim"],
            "kv_heads": fields.whole("num_global_key_value_heads", default=found["kv_heads"]),
            "head_dim": wide,
        }
    return {}


def _widest(fields: ConfigFields) -> int:
    """Return the width of a head in the layers that a configuration lists apart; 0 where it lists none."""
    apart = fields.config.get("per_layer_config") or {}
    return max((int(layer.get("head_dim") or 0) for layer in apart.values()), default=0)


def _per_layer_heads(fields: ConfigFields, layers: int, kv_heads: int) -> dict[str, int]:
    counts = fields.config.get("num_key_value_heads_per_layer")
    if counts:
        return {"kv_heads_sum": sum(counts)}
    shared = fields.optional("num_kv_shared_layers")  # they read the keys and values of an earlier layer
    return {"kv_heads_sum": (layers - shared) * kv_heads} if shared else {}


def _sparse(fields: ConfigFields, found: dict[str, int], layers: int) -> dict[str, int]:
    """Return how an index chooses the tokens that a layer attends to (DeepSeek-V3.2, GLM-5, MiniMax-M3)."""
    config = fields.config
    blocks: Any = config.get("sparse_attention_config") or {}
    if blocks.get("use_sparse_attention"):
        flags = [flag for flag in blocks.get("sparse_attention_freq") or [1] * layers if flag]
        return {
            "index_heads": int(blocks["sparse_num_index_heads"]),
            "index_dim": int(blocks["sparse_index_dim"]),
            "index_layers": len(flags),
            "window": int(blocks["sparse_topk_blocks"]) * int(blocks["sparse_block_size"]),
            "window_layers": len(flags),
        }
    if not fields.optional("index_topk"):
        return {}
    own = [word for word in fields.per_layer("indexer_types", layers) if word == "full"]
    return {
        "index_heads": fields.whole("index_n_heads"),
        "index_dim": fields.whole("index_head_dim"),
        "index_layers": len(own) or layers,
        "window": fields.whole("index_topk"),
        "window_layers": layers,
    }


def _mixing(
    fields: ConfigFields, kind: Architecture, found: dict[str, int], hidden: int, layers: int, attending: int
) -> int:
    """Return weights beside queries, keys, values and outputs: output gates, indexes, inputs of each layer; less what
    is not there, where keys serve as values."""
    total = 3 * layers * hidden * fields.optional("hidden_size_per_layer_input")
    if fields.config.get("attn_output_gate", kind.output_gate):
        total += attending * hidden * found["heads"] * found["head_dim"]
    if fields.config.get("mla_use_output_gate"):
        total += attending * hidden * found["heads"] * found["value_dim"]
    if fields.config.get("attention_k_eq_v") and found.get("window_kv_heads"):
        full = attending - found["window_layers"]  # their values are their keys: cached twice, projected once
        total -= full * hidden * found["kv_heads"] * found["head_dim"]
    if found.get("index_layers"):
        queries = found["index_heads"] * found["index_dim"]
        from_rank = found.get("q_rank") or hidden
        weights = hidden * found["index_heads"] if found.get("kv_rank") else 0
        total += found["index_layers"] * (from_rank * queries + hidden * found["index_dim"] + weights)
    return total
