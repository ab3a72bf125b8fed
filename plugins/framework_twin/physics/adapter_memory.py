"""GPU memory that adapter slots take, down to the rounding of PyTorch's caching allocator.

Every adapted matrix gets one stacked buffer for all slots, sized by the largest accepted rank, not by
the adapters' own ranks. Buffers between 1 and 10 MiB share 20 MiB segments, so up to a third of the
reserved memory can be lost to packing: why measured KV capacities don't fall linearly with the slots.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from functools import lru_cache

from framework_serving.hardware.model_shape import ModelShape

MIB = 1024**2
_ROUND = 512
_SMALL_LIMIT = MIB
_SMALL_SEGMENT = 2 * MIB
_PACKED_LIMIT = 10 * MIB
_PACKED_SEGMENT = 20 * MIB
_LARGE_GRANULE = 2 * MIB
_EXTRA_WORDS = 256


@lru_cache(maxsize=4096)
def adapter_slot_bytes(shape: ModelShape, slots: int, max_rank: int, word_tables: float, shards: int) -> int:
    """Return the bytes reserved for `slots` adapter slots of rank `max_rank` on one of `shards` GPUs.

    `word_tables` is the number of buffers of 256 added vocabulary words that the engine keeps for each
    slot where it adapts embeddings (vLLM's `lora_extra_vocab_size`).
    """
    sizes = [slots * count * shape.dtype_bytes for count in _buffer_elements(shape, max_rank, shards)]
    if shape.lora_embeddings:
        words = (shape.vocab + _EXTRA_WORDS) * max_rank
        ends = [words, max_rank * shape.hidden] * 2
        sizes += [slots * count * shape.dtype_bytes for count in ends]
        sizes.append(int(slots * word_tables * _EXTRA_WORDS * shape.hidden * shape.dtype_bytes))
    return _reserved_bytes(sizes)


def _buffer_elements(shape: ModelShape, rank: int, shards: int) -> list[int]:
    """Elements a slot of each stacked factor, in the order in which the engine allocates them.

    With tensor parallelism the engine shards the second factor of a column-parallel matrix and the
    first factor of a row-parallel one.
    """
    query = shape.heads * shape.head_dim // shards
    kv = max(1, shape.kv_heads // shards) * shape.head_dim
    inner = shape.intermediate // shards
    hidden = shape.hidden
    ups = 2 if shape.gated_mlp else 1
    layer = (
        [hidden] * 3 + [query, kv, kv] + [query, hidden] + [hidden] * ups + [inner] * ups + [inner, hidden]
    )
    return [rank * width for width in layer] * shape.layers


def _reserved_bytes(sizes: list[int]) -> int:
    """Bytes of segments that a best-fit caching allocator (PyTorch's) requests for `sizes` in order."""
    free_small: list[int] = []
    free_large: list[int] = []
    reserved = 0
    for size in sizes:
        rounded = -(-size // _ROUND) * _ROUND
        small = rounded <= _SMALL_LIMIT
        free = free_small if small else free_large
        place = bisect_left(free, rounded)
        if place < len(free):
            block = free.pop(place)
        else:
            block = _segment_bytes(rounded, small)
            reserved += block
        rest = block - rounded
        if rest >= _ROUND if small else rest > _SMALL_LIMIT:
            insort(free, rest)
    return reserved


def _segment_bytes(size: int, small: bool) -> int:
    if small:
        return _SMALL_SEGMENT
    if size < _PACKED_LIMIT:
        return _PACKED_SEGMENT
    return -(-size // _LARGE_GRANULE) * _LARGE_GRANULE
