"""Count of a model's weights from its dimensions, norms and biases included."""

from __future__ import annotations

from framework_serving.hardware.architectures import Architecture
from framework_serving.hardware.model_shape import ModelShape


def count_parameters(shape: ModelShape, kind: Architecture) -> int:
    """Return the number of weights; `n_params` of the shape is not read."""
    hidden, width = shape.hidden, shape.embedding_dim
    ends = shape.vocab * width * (1 if shape.tied_embeddings else 2)
    if width != hidden:
        ends += 2 * width * hidden
    if kind.learned_positions >= 0:
        ends += (shape.max_model_len + kind.learned_positions) * hidden
    layers = shape.attending * shape.attention_params
    layers += shape.dense_mlp_layers * shape.mlp_params
    layers += shape.moe_layers * (shape.experts * shape.expert_params + shape.shared_params)
    layers += shape.linear_layers * shape.linear_params
    norms = (2 * shape.layers + 1) * hidden * (2 if kind.biases == "all" else 1)
    return ends + layers + norms + _biases(shape, kind) + shape.other_params


def _biases(shape: ModelShape, kind: Architecture) -> int:
    heads = shape.kv_heads_sum / shape.attending if shape.kv_heads_sum else shape.kv_heads
    qkv = round((shape.heads + 2 * heads) * shape.head_dim)
    mlp = shape.hidden + (2 if shape.gated_mlp else 1) * shape.intermediate
    experts = shape.experts * (shape.hidden + 2 * shape.expert_intermediate)
    per_layer = {
        "qkv": qkv,
        "mlp": mlp,
        "all": qkv + shape.hidden + (experts if shape.moe_layers else mlp),
    }
    head = shape.vocab if kind.family == "gpt-j" else 0
    return shape.layers * per_layer.get(kind.biases, 0) + head
