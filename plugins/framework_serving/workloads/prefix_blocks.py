"""Prefix hashes at the engine's block size, from a trace's coarser blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    IntArray = npt.NDArray[np.int64]


def kv_block_hashes(
    requests: pa.Table, prefix_block_tokens: int, kv_block_tokens: int
) -> tuple[IntArray, IntArray]:
    """Return (offsets, hashes) of the full KV blocks of each prompt, in compressed-row form.

    A trace names blocks of `prefix_block_tokens` (512 in Mooncake's). Its id represents everything up to the
    block's end, so the KV blocks within it are distinguished by (id, position): the j-th of block `id` gets
    `id · per_block + j`. Two prompts that part within a trace block share none of its KV blocks; that is
    the trace's resolution. Prompt tokens beyond the last listed block are not shared with anybody.

    Args:
        requests: a workload's `requests` with `prefix_block_hashes`.
        prefix_block_tokens: tokens in a block of the trace (the workload's fact of that name).
        kv_block_tokens: tokens in a KV block; must divide `prefix_block_tokens`.

    Returns:
        offsets: n_requests + 1 positions into `hashes`.
        hashes: KV block names of request i at `hashes[offsets[i]:offsets[i + 1]]`.
    """
    import numpy as np

    if prefix_block_tokens % kv_block_tokens:
        raise ValueError(f"{kv_block_tokens} tokens don't divide a trace block of {prefix_block_tokens}")
    per_block = prefix_block_tokens // kv_block_tokens
    column = requests["prefix_block_hashes"].combine_chunks()
    listed = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    ids = column.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    full = requests["input_tokens"].to_numpy() // kv_block_tokens
    kept = np.minimum(full, listed * per_block)
    offsets = np.concatenate([[0], np.cumsum(kept)])
    position = np.arange(offsets[-1]) - np.repeat(offsets[:-1], kept)
    first_id = np.repeat(np.concatenate([[0], np.cumsum(listed)[:-1]]), kept)
    hashes = ids[first_id + position // per_block] * per_block + position % per_block
    return offsets, hashes
