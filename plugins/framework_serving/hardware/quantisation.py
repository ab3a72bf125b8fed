"""Number types that a checkpoint's `quantization_config` states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.errors import ConfigError


def stored_types(config: Mapping[str, Any], *, moe: bool) -> dict[str, str]:
    """Return `weight_type`, `expert_type` and `kv_type` as `ModelShape` takes them; nothing for 16-bit checkpoints.

    Raises `ConfigError` for a method that is not known.
    """
    section = config.get("quantization_config") or config.get("compression_config")
    if not isinstance(section, Mapping):
        return {}
    method = str(section.get("quant_method") or section.get("quant_algo") or "").lower()
    word = _word(section, method)
    if not word:
        return {}
    ignored = " ".join(
        str(item) for item in (section.get("ignore") or section.get("modules_to_not_convert") or ())
    )
    experts_only = moe and ("self_attn" in ignored or "attention" in ignored)
    types = {"expert_type": word} if experts_only else {"weight_type": word}
    if _kv_is_fp8(section):
        types["kv_type"] = "fp8"
    return types


def _word(section: Mapping[str, Any], method: str) -> str:
    if method in ("fp8", "fbgemm_fp8", "mxfp4"):
        return method
    if method in ("awq", "gptq", "gptq_marlin", "awq_marlin", "auto-round"):
        bits = int(section.get("bits") or section.get("w_bit") or 4)
        return "int4" if bits == 4 else "int8"
    if method in ("modelopt", "modelopt_fp4"):
        algorithm = str(section.get("quant_algo") or "").upper()
        if not algorithm and isinstance(section.get("config_groups"), Mapping):
            return _of_groups(section)
        return "nvfp4" if "FP4" in algorithm else "fp8"
    if method in ("compressed-tensors", "compressed_tensors"):
        return _of_groups(section)
    if method in ("nvfp4", "fp4"):
        return "nvfp4"
    if method in ("bitsandbytes", "bnb"):
        return "int4" if section.get("load_in_4bit") else "int8"
    if not method:
        return ""
    raise ConfigError(f"quantization_config: quant_method '{method}' is not modelled")


def _of_groups(section: Mapping[str, Any]) -> str:
    groups = section.get("config_groups") or {}
    weights = next((group.get("weights") or {} for group in groups.values()), {})
    bits, kind = int(weights.get("num_bits") or 16), str(weights.get("type") or "int")
    if bits == 16:
        return ""
    if bits == 8:
        return "fp8" if kind == "float" else "int8"
    return "nvfp4" if kind == "float" else "int4"


def _kv_is_fp8(section: Mapping[str, Any]) -> bool:
    scheme = section.get("kv_cache_scheme")
    if isinstance(scheme, Mapping):
        return int(scheme.get("num_bits") or 16) == 8
    return str(section.get("kv_cache_quant_algo") or "").upper() == "FP8"
