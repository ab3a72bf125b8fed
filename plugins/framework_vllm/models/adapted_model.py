"""The matrices of a model that LoRA adapters change: names as PEFT writes them, and their dimensions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import InputError

if TYPE_CHECKING:
    from framework_serving.hardware.model_shape import ModelShape

_LLAMA_LIKE = ("llama", "mistral", "qwen2", "qwen3")
_OPT_LIKE = ("opt",)


@dataclass(frozen=True)
class AdaptedModel:
    """What an adapter file must fit.

    Attributes:
        layers_path: dotted path of the list of layers inside the model (`model.layers`).
        layers: number of layers.
        matrices: path of a matrix inside a layer (`self_attn.q_proj`) to (outputs, inputs).
    """

    layers_path: str
    layers: int
    matrices: Mapping[str, tuple[int, int]]

    @classmethod
    def from_config(cls, folder: Path) -> AdaptedModel:
        """Read the dimensions from a model folder's `config.json`.

        Raises `InputError` for a file that can't be read or an architecture that isn't known; names both.
        """
        path = folder / "config.json"
        try:
            config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: can't be read as a model's configuration: {error}") from error
        kind = str(config.get("model_type"))
        try:
            hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
            head_dim = int(config.get("head_dim") or hidden // heads)
            kv_dim = int(config.get("num_key_value_heads") or heads) * head_dim
            layers = int(config["num_hidden_layers"])
            inner = int(config["ffn_dim" if kind in _OPT_LIKE else "intermediate_size"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: {error} is missing or not a whole number") from error
        if kind in _LLAMA_LIKE:
            return _llama_like(layers, hidden, heads * head_dim, kv_dim, inner)
        if kind in _OPT_LIKE:
            return _opt_like(layers, hidden, inner)
        known = ", ".join((*_LLAMA_LIKE, *_OPT_LIKE))
        raise InputError(f"{path}: model_type '{kind}' is not supported for random adapters ({known})")

    @classmethod
    def from_shape(cls, shape: ModelShape) -> AdaptedModel:
        """Return the same from a shape of `conf/model`: gated MLPs are Llama-like, the others OPT-like."""
        if shape.gated_mlp:
            q_dim, kv_dim = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
            return _llama_like(shape.layers, shape.hidden, q_dim, kv_dim, shape.intermediate)
        return _opt_like(shape.layers, shape.hidden, shape.intermediate)

    @property
    def targets(self) -> list[str]:
        """Names of the adapted modules as PEFT lists them (`q_proj`)."""
        return [path.rpartition(".")[2] for path in self.matrices]


def _llama_like(layers: int, hidden: int, q_dim: int, kv_dim: int, inner: int) -> AdaptedModel:
    matrices = {
        "self_attn.q_proj": (q_dim, hidden),
        "self_attn.k_proj": (kv_dim, hidden),
        "self_attn.v_proj": (kv_dim, hidden),
        "self_attn.o_proj": (hidden, q_dim),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    return AdaptedModel("model.layers", layers, matrices)


def _opt_like(layers: int, hidden: int, inner: int) -> AdaptedModel:
    attention = {f"self_attn.{name}": (hidden, hidden) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    return AdaptedModel(
        "model.decoder.layers", layers, {**attention, "fc1": (inner, hidden), "fc2": (hidden, inner)}
    )
