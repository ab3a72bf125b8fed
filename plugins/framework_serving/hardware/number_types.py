"""Number types of weights and of the KV cache: bytes of an element, and the rate of its products."""

from __future__ import annotations

from dataclasses import dataclass

from framework.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class NumberType:
    """One way to store numbers.

    Attributes:
        name: the word that users type.
        bytes: of one element, its share of the scales included.
        rate: bits of the products that such weights can have (`GpuSpec.rate_tflops`): `16`, `8`, `4`.
    """

    name: str
    bytes: float
    rate: str


# Scales: AWQ and GPTQ one 16-bit scale and zero a group of 128; MX one byte a group of 32 (OCP Microscaling
# specification 1.0); NVFP4 one byte a group of 16. int4 keeps 16-bit activations, so its products run at that rate.
NUMBER_TYPES = {
    kind.name: kind
    for kind in (
        NumberType("bf16", 2.0, "16"),
        NumberType("fp16", 2.0, "16"),
        NumberType("fp32", 4.0, "32"),
        NumberType("fp8", 1.0, "8"),
        NumberType("int8", 1.0, "8"),
        NumberType("int4", 0.5 + 2.5 / 128, "16"),
        NumberType("mxfp4", 0.5 + 1 / 32, "4"),
        NumberType("nvfp4", 0.5 + 1 / 16, "4"),
    )
}
_SAME = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "float32": "fp32",
    "float": "fp32",
    "fp8_block": "fp8",
    "fp8_static": "fp8",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "float8": "fp8",
    "float8_e4m3fn": "fp8",
    "fbgemm_fp8": "fp8",
    "int4_wo": "int4",
    "awq": "int4",
    "gptq": "int4",
    "awq_marlin": "int4",
    "gptq_marlin": "int4",
    "w4a16": "int4",
    "w8a8": "int8",
    "sq": "int8",
    "modelopt": "fp8",
    "modelopt_fp4": "nvfp4",
    "w4a16_mxfp4": "mxfp4",
}
"""Words of checkpoints, engines and published tables for the types above."""


def number_type(word: str, key: str = "number type") -> NumberType:
    """Return the type that a word means. Raises `ConfigError` naming `key` for an unknown word."""
    name = word.strip().lower()
    name = _SAME.get(name, name)
    if name not in NUMBER_TYPES:
        known = [*NUMBER_TYPES, *_SAME]
        raise ConfigError(
            f"{key}: unknown number type '{word}'{did_you_mean(name, known)} (known: {', '.join(NUMBER_TYPES)})"
        )
    return NUMBER_TYPES[name]
