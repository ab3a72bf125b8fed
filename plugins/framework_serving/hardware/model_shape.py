"""The shape of a decoder-only transformer: what memory and time are derived from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KV_BLOCK_TOKENS = 16
GIB = 1024**3


@dataclass(frozen=True)
class ModelShape:
    """Dimensions of a model, from its published configuration (`conf/model/`).

    Attributes:
        name: as used in run tables (`opt-1.3b`, `llama-3.1-8b-instruct`).
        family: models that share an architecture and a tokenizer (`opt`, `llama-2`).
        layers, hidden, heads, kv_heads, head_dim, intermediate, vocab: the transformer's dimensions.
        gated_mlp: True for a gate/up/down MLP (Llama, Qwen), False for two matrices (OPT).
        tied_embeddings: the output projection shares the input embedding.
        embedding_dim: width of the embedding table (differs from `hidden` only for OPT-350M).
        lora_embeddings: the engine reserves adapter buffers for the embedding and the output projection.
        dtype_bytes: bytes of one weight and of one cached key or value element.
        max_model_len: longest context the model was made for, tokens.
        n_params: number of weights.
    """

    name: str
    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    gated_mlp: bool
    tied_embeddings: bool
    embedding_dim: int
    lora_embeddings: bool
    dtype_bytes: int
    max_model_len: int
    n_params: int

    @classmethod
    def of(cls, group: Mapping[str, Any]) -> ModelShape | None:
        """Return the shape that a configuration group `model` describes; None for `model=none` and similar groups."""
        names = cls.__dataclass_fields__.keys()
        return cls(**{name: group[name] for name in names}) if names <= group.keys() else None

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return self.n_params * self.dtype_bytes

    @property
    def streamed_weight_bytes(self) -> int:
        """Bytes of weights that every step reads: all but an input embedding that is only indexed."""
        untied = 0 if self.tied_embeddings else self.vocab * self.embedding_dim
        return (self.n_params - untied) * self.dtype_bytes

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of keys and values a token leaves in the cache: 2 · layers · kv_heads · head_dim · bytes."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.dtype_bytes

    @property
    def flops_per_token(self) -> float:
        """Multiply-adds of all matrices for one token, counted as two operations; attention apart."""
        return 2.0 * self.streamed_weight_bytes / self.dtype_bytes

    @property
    def attention_flops_per_pair(self) -> float:
        """Operations for one (query, key) pair over all layers: two products of `head_dim` a head."""
        return 4.0 * self.layers * self.heads * self.head_dim

    @property
    def lora_dims_per_rank(self) -> int:
        """Sum of (d_in + d_out) over the adapted matrices of all layers: parameters of one rank unit.

        Adapted are the attention projections (q, k, v, o) and the MLP matrices, as in the adapters of
        arXiv 2508.08343; times `dtype_bytes` and the rank it is the size of one adapter.
        """
        q_dim, kv_dim = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = (self.hidden + q_dim) + 2 * (self.hidden + kv_dim) + (q_dim + self.hidden)
        mlp = (3 if self.gated_mlp else 2) * (self.hidden + self.intermediate)
        return self.layers * (attention + mlp)
