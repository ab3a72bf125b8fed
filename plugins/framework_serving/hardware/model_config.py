"""From a Hugging Face `config.json` to the shape of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from framework.errors import ConfigError, did_you_mean
from framework_serving.hardware.architectures import ARCHITECTURES, DECODERS, Architecture
from framework_serving.hardware.attention_layers import attention_layers
from framework_serving.hardware.config_fields import ConfigFields
from framework_serving.hardware.expert_layers import mlp_layers
from framework_serving.hardware.model_shape import ModelShape
from framework_serving.hardware.parameter_count import count_parameters
from framework_serving.hardware.quantisation import stored_types
from framework_serving.hardware.recurrent_layers import layer_words, stack

_TEXT_PARTS = ("text_config", "llm_config", "language_config", "thinker_config")
_DEFAULT_CONTEXT = 2048


def shape_of_config(content: Mapping[str, Any], name: str) -> ModelShape:
    """Return the shape of the model that a configuration describes; weights are counted from its dimensions.

    Raises:
        ConfigError: unknown architecture, or a needed field is missing; names it.
    """
    kind, config = _architecture(content, name)
    fields = ConfigFields(config, name)
    layers = _layers(fields, kind)
    hidden = fields.whole("hidden_size", "n_embd", "d_model", "n_embed")
    width, experts = mlp_layers(fields, kind, layers, hidden)
    mixed = stack(fields, kind, layers, hidden)
    attending = mixed.get("attention_layers", layers)
    tied = config.get("tie_word_embeddings", content.get("tie_word_embeddings", kind.tied))
    numbers: dict[str, Any] = {
        "intermediate": width,
        **attention_layers(fields, kind, hidden, layers, attending),
        **experts,
        **mixed,
        **stored_types({**content, **config}, moe=bool(experts.get("experts"))),
    }
    shape = ModelShape(
        name=name,
        family=kind.family,
        layers=layers,
        hidden=hidden,
        vocab=fields.whole("vocab_size", "padded_vocab_size"),
        gated_mlp=kind.gated,
        tied_embeddings=bool(tied),
        embedding_dim=fields.whole("word_embed_proj_dim", default=hidden),
        lora_embeddings=False,
        dtype_bytes=2,
        max_model_len=_context(fields),
        n_params=0,
        other_params=_vision(content) + _inputs_per_layer(fields, layers),
        **numbers,
    )
    return replace(shape, n_params=count_parameters(shape, kind))


def _layers(fields: ConfigFields, kind: Architecture) -> int:
    stated = fields.optional("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    if not stated and kind.recurrent == "nemotron_h":
        return len(layer_words(fields))
    return stated or fields.whole("num_hidden_layers")


def _architecture(content: Mapping[str, Any], name: str) -> tuple[Architecture, Mapping[str, Any]]:
    """Return what is known of the architecture, and the part of the configuration that describes the decoder."""
    names = content.get("architectures") or []
    if not isinstance(names, list):
        raise ConfigError(f"model {name}: 'architectures' is {names!r}, not a list of names")
    if not names:
        raise ConfigError(f"model {name}: its configuration has no 'architectures'")
    config: Mapping[str, Any] = content
    inner: str | None = _TEXT_PARTS[0]
    while inner:
        inner = next((part for part in _TEXT_PARTS if isinstance(config.get(part), Mapping)), "")
        config = config[inner] if inner else config
    inside = config.get("architectures") or [DECODERS.get(str(config.get("model_type")), "")]
    kind = ARCHITECTURES.get(names[0]) or (ARCHITECTURES.get(inside[0]) if config is not content else None)
    if kind is None:
        raise ConfigError(
            f"model {name}: architecture '{names[0]}' is not modelled{did_you_mean(names[0], ARCHITECTURES)}"
        )
    return kind, config


def _context(fields: ConfigFields) -> int:
    return fields.whole(
        "max_position_embeddings",
        "n_positions",
        "seq_length",
        "max_sequence_length",
        "max_seq_len",
        default=_DEFAULT_CONTEXT,
    )


def _inputs_per_layer(fields: ConfigFields, layers: int) -> int:
    """Return weights of an embedding that every layer has for itself (Gemma 3n, Gemma 4): it is only indexed."""
    width = fields.optional("hidden_size_per_layer_input")
    return layers * width * fields.optional("vocab_size_per_layer_input")


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
    matrices = 3 if str(part.get("model_type")).startswith("gemma4") else 2
    return depth * (4 * width * width + matrices * width * inner_width) + joints * merged * (
        merged + out
    ) * bool(out)
