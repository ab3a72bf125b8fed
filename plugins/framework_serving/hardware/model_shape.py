"""The shape of a decoder-only transformer: what memory and time are derived from."""

from __future__ import annotations

from dataclasses import dataclass

from framework_serving.hardware.number_types import number_type

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
        dtype_bytes: bytes of one activation and, where no number type says otherwise, of weights and cached elements.
        max_model_len: longest context the model was made for, tokens.
        n_params: number of weights.
        experts, experts_per_token, expert_intermediate: routed experts of a layer, those of a token, their width.
        shared_intermediate: width of the experts that every token goes to, together.
        dense_layers: layers with an MLP of width `intermediate` instead of experts (all of them without experts).
        expert_hidden: width that routed experts work in, behind projections of all tokens; 0: `hidden`.
        kv_rank, q_rank, rope_dim, nope_dim, value_dim: multi-head latent attention: ranks of the compressed keys and
            values and of the queries, and the parts of a head; `kv_rank` 0: ordinary attention, where `value_dim` is
            the width of a value (0: `head_dim`).
        window, window_layers: tokens that sliding-window layers look back, and how many layers do so.
        window_kv_heads, window_head_dim: heads and their width in those layers; 0: as in the others.
        index_heads, index_dim, index_layers: sparse attention: an index of so many heads of this width, made in so
            many layers, chooses the `window` tokens that a layer reads.
        mixing_params: weights of all attending layers beside queries, keys, values and outputs (gates, indexes).
        attention_layers, mlp_layers: layers that attend and that have an MLP; -1: every layer.
        linear_layers, linear_params, state_bytes: layers with a recurrent state instead of keys and values, weights
            of one, and bytes of a request's state over all of them.
        kv_heads_sum: heads of keys and values summed over layers, where layers differ; 0: `layers · kv_heads`.
        other_params: weights beside the decoder, such as a vision tower.
        weight_type, expert_type, kv_type: number types (`number_types`); empty: 16 bits, `weight_type`, 16 bits.
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
    experts: int = 0
    experts_per_token: int = 0
    expert_intermediate: int = 0
    expert_hidden: int = 0
    shared_intermediate: int = 0
    dense_layers: int = 0
    kv_rank: int = 0
    q_rank: int = 0
    rope_dim: int = 0
    nope_dim: int = 0
    value_dim: int = 0
    window: int = 0
    window_layers: int = 0
    window_kv_heads: int = 0
    window_head_dim: int = 0
    index_heads: int = 0
    index_dim: int = 0
    index_layers: int = 0
    mixing_params: int = 0
    attention_layers: int = -1
    mlp_layers: int = -1
    linear_layers: int = 0
    linear_params: int = 0
    state_bytes: int = 0
    kv_heads_sum: int = 0
    other_params: int = 0
    weight_type: str = ""
    expert_type: str = ""
    kv_type: str = ""

    @property
    def attending(self) -> int:
        """Layers with attention."""
        return self.layers if self.attention_layers < 0 else self.attention_layers

    @property
    def moe_layers(self) -> int:
        """Layers with routed experts."""
        if not self.experts:
            return 0
        return (self.layers if self.mlp_layers < 0 else self.mlp_layers) - self.dense_layers

    @property
    def dense_mlp_layers(self) -> int:
        """Layers with an ordinary MLP."""
        return (self.layers if self.mlp_layers < 0 else self.mlp_layers) - self.moe_layers

    @property
    def active_params(self) -> int:
        """Weights that one token is multiplied with, the embedding's look-up apart."""
        return self.n_params - self.embedding_params - self.other_params - self.idle_expert_params

    @property
    def idle_expert_params(self) -> int:
        """Weights of the experts that one token does not go to."""
        return self.moe_layers * (self.experts - self.experts_per_token) * self.expert_params

    @property
    def expert_params(self) -> int:
        """Weights of one routed expert of one layer."""
        return (3 if self.gated_mlp else 2) * (self.expert_hidden or self.hidden) * self.expert_intermediate

    @property
    def routed_params(self) -> int:
        """Weights of all routed experts of all layers."""
        return self.moe_layers * self.experts * self.expert_params

    @property
    def embedding_params(self) -> int:
        """Weights of an input embedding that is only indexed; 0 where the output projection is the same matrix."""
        return 0 if self.tied_embeddings else self.vocab * self.embedding_dim

    @property
    def _plain_params(self) -> int:
        """Weights that stay in 16 bits whatever the number type: embedding, output projection, vision."""
        ends = self.vocab * self.embedding_dim * (1 if self.tied_embeddings else 2)
        return min(self.n_params, ends + self.other_params)

    @property
    def dense_weight_bytes_each(self) -> float:
        """Bytes of one weight of attention and ordinary MLPs."""
        return (
            number_type(self.weight_type, "model.weight_type").bytes if self.weight_type else self.dtype_bytes
        )

    @property
    def expert_weight_bytes_each(self) -> float:
        """Bytes of one weight of a routed expert."""
        word = self.expert_type or self.weight_type
        return number_type(word, "model.expert_type").bytes if word else self.dtype_bytes

    @property
    def kv_element_bytes(self) -> float:
        """Bytes of one cached element."""
        return number_type(self.kv_type, "model.kv_type").bytes if self.kv_type else self.dtype_bytes

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        plain = self._plain_params
        routed = self.routed_params
        dense = self.n_params - plain - routed
        return round(
            plain * self.dtype_bytes
            + dense * self.dense_weight_bytes_each
            + routed * self.expert_weight_bytes_each
        )

    @property
    def streamed_weight_bytes(self) -> int:
        """Bytes of weights that a step over a large batch reads: all but an embedding that is only indexed."""
        return self.weight_bytes - (self.embedding_params + self.other_params) * self.dtype_bytes

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of keys and values a token leaves in the cache: 2 · layers · kv_heads · head_dim · bytes.

        Latent attention keeps one compressed vector and the shared rotary part a layer instead.
        """
        return round(self._kv_elements * self.kv_element_bytes + self._index_bytes)

    @property
    def window_kv_bytes_per_token(self) -> float:
        """Bytes of `kv_bytes_per_token` that are needed for the last `window` tokens only; 0 where all layers have
        the window, which the engine then treats as one kind, and for sparse attention, which may come back to any.
        """
        if self.index_layers or not 0 < self.window_layers < self.attending:
            return 0.0
        return self.window_share * self.kv_bytes_per_token

    @property
    def _index_bytes(self) -> float:
        """Bytes that a token leaves in the index of sparse attention: 8-bit numbers and a 32-bit scale a layer."""
        return self.index_layers * (self.index_dim + 4)

    @property
    def _kv_elements(self) -> int:
        if self.kv_rank:
            return self.attending * (self.kv_rank + self.rope_dim)
        if self.kv_heads_sum:
            return self.kv_heads_sum * (self.head_dim + (self.value_dim or self.head_dim))
        others = (self.attending - self._other_window_layers) * self.kv_heads
        return others * (self.head_dim + (self.value_dim or self.head_dim)) + self._window_kv_elements

    @property
    def _other_window_layers(self) -> int:
        """Windowed layers whose heads are not those of the other layers."""
        return self.window_layers if self.window_kv_heads else 0

    @property
    def _window_kv_elements(self) -> int:
        """Elements of keys and values of windowed layers with heads of their own."""
        width = self.window_head_dim + (self.value_dim or self.window_head_dim)
        return self._other_window_layers * self.window_kv_heads * width

    @property
    def _query_dims(self) -> tuple[int, int]:
        """Width of the queries over all layers, and over windowed layers with heads of their own."""
        own = self._other_window_layers
        local = own * self.heads * self.window_head_dim
        return (self.attending - own) * self.heads * self.head_dim + local, local

    @property
    def flops_per_token(self) -> float:
        """Multiply-adds of all matrices for one token, counted as two operations; attention apart."""
        return 2.0 * self.active_params

    @property
    def attention_flops_per_pair(self) -> float:
        """Operations for one (query, key) pair over all layers: two products of `head_dim` a head."""
        if self.kv_rank:
            return 2.0 * self.attending * self.heads * (self.nope_dim + self.rope_dim + self.value_dim)
        return 4.0 * self._query_dims[0]

    @property
    def window_share(self) -> float:
        """Share of reading keys and values that is bounded by the window; an index is read whole."""
        if not (self.window and self.attending):
            return 0.0
        if self._other_window_layers:
            return self._window_kv_elements / self._kv_elements
        share = self.window_layers / self.attending
        return share * (1.0 - self._index_bytes / self.kv_bytes_per_token)

    @property
    def window_pair_share(self) -> float:
        """Share of the operations for (query, key) pairs that is bounded by the window."""
        if not (self.window and self.attending):
            return 0.0
        if self._other_window_layers:
            everything, local = self._query_dims
            return local / everything
        share = self.window_layers / self.attending
        index = 2.0 * self.index_layers * self.index_heads * self.index_dim  # 8-bit: at twice the rate
        return share * (1.0 - min(1.0, 0.5 * index / self.attention_flops_per_pair))

    @property
    def attention_params(self) -> int:
        """Weights of one attending layer, the mean over layers."""
        return round((self.mixing_params / self.attending if self.attending else 0) + self._projections)

    @property
    def kv_projection_params(self) -> float:
        """Weights of the projections to keys and values of one attending layer, the mean over layers."""
        return self.hidden * self._kv_elements / self.attending if self.attending else 0.0

    @property
    def output_projection_params(self) -> float:
        """Weights of the projection behind ordinary attention of one attending layer, the mean over layers."""
        if not self.attending:
            return 0.0
        ratio = self.value_dim / self.head_dim if self.value_dim else 1.0
        return self.hidden * ratio * self._query_dims[0] / self.attending

    @property
    def _projections(self) -> float:
        if self.kv_rank:
            queries = self.heads * (self.nope_dim + self.rope_dim)
            down = self.hidden * (self.q_rank + self.kv_rank + self.rope_dim)
            query_up = (self.q_rank or self.hidden) * queries
            up = self.kv_rank * self.heads * (self.nope_dim + self.value_dim)
            return down + query_up + up + self.heads * self.value_dim * self.hidden
        if not self.attending:
            return 0.0
        query = self.hidden * self._query_dims[0] / self.attending
        return query + self.kv_projection_params + self.output_projection_params

    @property
    def mlp_params(self) -> int:
        """Weights of one ordinary MLP."""
        return (3 if self.gated_mlp else 2) * self.hidden * self.intermediate

    @property
    def shared_params(self) -> int:
        """Weights of one layer with experts that every token meets: shared experts, router, projections around."""
        shared = (3 if self.gated_mlp else 2) * self.shared_intermediate
        return self.hidden * (shared + self.experts + 2 * self.expert_hidden)

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
