"""Number types that a checkpoint's `quantization_config` states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from framework.errors import ConfigError

_MX_GROUP = 32
"""Weights that share a scale in the formats MXFP4 and MXFP8; 16 in NVFP4."""
_ALGORITHMS = (
    ("NVFP4", "nvfp4"),
    ("MXFP4", "mxfp4"),
    ("FP4", "nvfp4"),
    ("W4A", "int4"),
    ("INT4", "int4"),
    ("FP8", "fp8"),
    ("INT8", "int8"),
    ("W8A", "int8"),
)
"""Part of the name of an algorithm, the first that fits, to its number type."""


def stored_types(config: Mapping[str, Any], *, moe: bool) -> dict[str, str]:
    """Return `weight_type`, `expert_type` and `kv_type` as `ModelShape` takes them; nothing for 16-bit checkpoints.

    Raises `ConfigError` for a method that is not known.
    """
    section = config.get("quantization_config") or config.get("compression_config")
    if not isinstance(section, Mapping):
        return {}
    types = _mixed(section) if section.get("quantized_layers") else _everywhere(section, moe)
    if not types:
        return {}
    if _kv_is_fp8(section):
        types["kv_type"] = "fp8"
    return types


def _everywhere(section: Mapping[str, Any], moe: bool) -> dict[str, str]:
    """Return the one number type of a checkpoint: of all weights, or of the experts where attention is left out."""
    word = _word(section)
    left_out = [str(item) for item in section.get("ignore") or section.get("modules_to_not_convert") or ()]
    experts_only = moe and any(_is_attention(item) for item in left_out)
    return {"expert_type" if experts_only else "weight_type": word} if word else {}


def _is_attention(module: str) -> bool:
    """Return whether a module left in 16 bits is one of attention's projections, and not its norms or its index."""
    inside = any(part in module for part in ("self_attn", "attention", ".attn"))
    return inside and not any(part in module for part in ("norm", "index"))


def _mixed(section: Mapping[str, Any]) -> dict[str, str]:
    """Return the number types of a checkpoint that states one for each layer: of experts, and of most others."""
    layers = section["quantized_layers"]
    words = [(str(name), _of_algorithm(str(layer.get("quant_algo")))) for name, layer in layers.items()]
    experts = Counter(word for name, word in words if "expert" in name and "shared" not in name)
    others = Counter(word for name, word in words if "expert" not in name)
    found = {
        key: kinds.most_common(1)[0][0]
        for key, kinds in (("expert_type", experts), ("weight_type", others))
        if kinds
    }
    if "weight_type" not in found and str(section.get("quant_method")).lower() == "fp8":
        found["weight_type"] = "fp8"  # what is not listed is as it was before the experts were stored anew
    return found


def _word(section: Mapping[str, Any]) -> str:
    method = str(section.get("quant_method") or section.get("quant_algo") or "").lower()
    if method in ("fp8", "fbgemm_fp8", "ptpc_fp8"):
        return "fp8"
    if method == "mxfp4":
        return method
    if method in ("awq", "gptq", "gptq_marlin", "awq_marlin", "auto-round"):
        bits = int(section.get("bits") or section.get("w_bit") or 4)
        return "int4" if bits == 4 else "int8"
    if method in ("modelopt", "modelopt_fp4"):
        algorithm = str(section.get("quant_algo") or "")
        if not algorithm and isinstance(section.get("config_groups"), Mapping):
            return _of_groups(section)
        return _of_algorithm(algorithm or "FP8")
    if method in ("compressed-tensors", "compressed_tensors"):
        return _of_groups(section)
    if method in ("nvfp4", "fp4"):
        return "nvfp4"
    if method in ("bitsandbytes", "bnb"):
        return "int4" if section.get("load_in_4bit") else "int8"
    if not method:
        return ""
    raise ConfigError(f"quantization_config: quant_method '{method}' is not modelled")


def _of_algorithm(name: str) -> str:
    """Return the number type of an algorithm of NVIDIA's Model Optimizer."""
    word = name.upper()
    for part, kind in _ALGORITHMS:
        if part in word:
            return kind
    raise ConfigError(f"quantization_config: quant_algo '{name}' is not modelled")


def _of_groups(section: Mapping[str, Any]) -> str:
    groups = section.get("config_groups") or {}
    weights = next((group.get("weights") or {} for group in groups.values()), {})
    bits, kind = int(weights.get("num_bits") or 16), str(weights.get("type") or "int")
    if bits == 16:
        return ""
    if bits == 8:
        return "fp8" if kind == "float" else "int8"
    if kind != "float":
        return "int4"
    return "mxfp4" if weights.get("group_size") == _MX_GROUP else "nvfp4"


def _kv_is_fp8(section: Mapping[str, Any]) -> bool:
    scheme = section.get("kv_cache_scheme")
    if isinstance(scheme, Mapping):
        return int(scheme.get("num_bits") or 16) == 8
    return "FP8" in (str(scheme).upper(), str(section.get("kv_cache_quant_algo")).upper())
