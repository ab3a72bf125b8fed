"""A Llama of toy size with random weights, made on first use: a real engine serves it without any download.

What it says is noise; that it goes through every part of the engine (tokenizer, paged attention, sampling,
adapters) is the point. The weights are wide enough that an adapter changes the sampled tokens.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.configuration.resources import cache_folder
from framework.errors import ConfigError
from framework_vllm.models.safetensors_file import Shape, write_bfloat16

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from framework_serving.hardware.model_shape import ModelShape

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>")
"""Tokens 0, 1 and 2: padding, begin and end of text."""

GENERATED = "generated"
"""Value of `model.path` that asks for generated weights."""

_LARGEST_BYTES = 2**30
_SPREAD = 0.2
_FORMAT = 1  # raise when the bytes that are written change


def generated_model(shape: ModelShape, *, seed: int = 0, cache: Path | None = None) -> Path:
    """Return the folder of a Llama of this shape with random weights, writing it if it is not in the cache.

    Args:
        shape: dimensions from `conf/model`.
        seed: another seed gives other weights.
        cache: folder to keep models in; None: the user's cache folder.

    Raises:
        ConfigError: the shape is not a Llama's, or too large for random weights.
    """
    _check(shape)
    config = _config(shape)
    key = json.dumps([_FORMAT, seed, config], sort_keys=True)
    folder = (
        (cache or cache_folder("vllm"))
        / "models"
        / f"{shape.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    )
    if (folder / "config.json").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        _write(shape, config, seed, draft)
        draft.chmod(0o755)
        try:
            draft.rename(folder)
        except OSError:
            if not (
                folder / "config.json"
            ).is_file():  # otherwise another process was first, with the same bytes
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _check(shape: ModelShape) -> None:
    if not shape.gated_mlp:
        raise ConfigError(
            f"model.path: '{GENERATED}' generates only Llama-like models, and {shape.name} has no gated MLP"
        )
    if shape.vocab <= len(SPECIAL_TOKENS) + 256:
        raise ConfigError(
            f"model.vocab: {shape.vocab} words are too few for the 256 bytes and the special tokens"
        )
    if shape.weight_bytes > _LARGEST_BYTES:
        size = shape.weight_bytes / 2**30
        raise ConfigError(
            f"model.path: '{GENERATED}' generates only small models; {shape.name} would be {size:.1f} GiB of "
            "random weights. Set it to the folder of a downloaded model"
        )


def _write(shape: ModelShape, config: dict[str, Any], seed: int, folder: Path) -> None:
    import numpy as np

    random = np.random.default_rng([seed, shape.hidden, shape.layers])

    def fill(name: str, dimensions: Shape) -> npt.NDArray[np.float32]:
        if name.endswith("norm.weight"):
            return np.ones(dimensions, np.float32)
        return random.standard_normal(dimensions, dtype=np.float32) * np.float32(_SPREAD)

    write_bfloat16(folder / "model.safetensors", _shapes(shape), fill)
    files = {
        "config.json": config,
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
        "tokenizer.json": _tokenizer(shape.vocab),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": SPECIAL_TOKENS[0],
            "bos_token": SPECIAL_TOKENS[1],
            "eos_token": SPECIAL_TOKENS[2],
            "model_max_length": shape.max_model_len,
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _config(shape: ModelShape) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocab,
        "max_position_embeddings": shape.max_model_len,
        "tie_word_embeddings": shape.tied_embeddings,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "torch_dtype": "bfloat16",
    }


def _shapes(shape: ModelShape) -> dict[str, Shape]:
    q_dim, kv_dim = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": (shape.vocab, shape.hidden)}
    for layer in range(shape.layers):
        inside: dict[str, Shape] = {
            "self_attn.q_proj": (q_dim, shape.hidden),
            "self_attn.k_proj": (kv_dim, shape.hidden),
            "self_attn.v_proj": (kv_dim, shape.hidden),
            "self_attn.o_proj": (shape.hidden, q_dim),
            "mlp.gate_proj": (shape.intermediate, shape.hidden),
            "mlp.up_proj": (shape.intermediate, shape.hidden),
            "mlp.down_proj": (shape.hidden, shape.intermediate),
            "input_layernorm": (shape.hidden,),
            "post_attention_layernorm": (shape.hidden,),
        }
        shapes |= {f"model.layers.{layer}.{name}.weight": size for name, size in inside.items()}
    shapes["model.norm.weight"] = (shape.hidden,)
    if not shape.tied_embeddings:
        shapes["lm_head.weight"] = (shape.vocab, shape.hidden)
    return shapes


def _tokenizer(vocab: int) -> dict[str, Any]:
    """Return a byte-level BPE tokenizer without merges; ids above the bytes decode to a word each."""
    words = [*SPECIAL_TOKENS, *_byte_letters()]
    words += [f"Ġw{number}" for number in range(len(words), vocab)]
    special = [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for number, token in enumerate(SPECIAL_TOKENS)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {word: number for number, word in enumerate(words)},
            "merges": [],
        },
    }


def _byte_letters() -> list[str]:
    """Return GPT-2's printable letter for each byte: itself where it prints, else a code point from 256 on."""
    printing = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = iter(range(256, 512))
    return [chr(byte if byte in printing else next(others)) for byte in range(256)]
