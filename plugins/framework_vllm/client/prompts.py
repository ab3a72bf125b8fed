"""Prompts as token ids, a function of the seed and of what the workload says they share."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    TokenIds = npt.NDArray[np.int64]

_CACHED_BLOCKS = 4096


class PromptMaker:
    """Makes the prompt of any request, the same in every process and at every call.

    A block with a hash holds tokens drawn from (seed, hash), so equal hashes give equal tokens; what follows
    the listed blocks is drawn from (seed, request id), so that two prompts share nothing by accident (16 tokens
    of a vocabulary of 1,000 agree once in 10^48).

    Args:
        vocabulary: token ids to draw from, uniformly.
        seed: of the load.
        prefix_block_tokens: tokens in a hashed block; None if no request lists any.
    """

    def __init__(self, vocabulary: range, seed: int, prefix_block_tokens: int | None) -> None:
        self._vocabulary = vocabulary
        self._seed = seed
        self._block_tokens = prefix_block_tokens or 0
        self._texts = [b"%d" % token for token in vocabulary]
        self._block_text = lru_cache(_CACHED_BLOCKS)(self._make_block_text)

    def token_ids(self, request_id: int, input_tokens: int, hashes: Sequence[int] = ()) -> list[int]:
        """Return the prompt's token ids: `input_tokens` of them, shared blocks first."""
        return [int(text) for text in self.json(request_id, input_tokens, hashes)[1:-1].split(b",") if text]

    def json(self, request_id: int, input_tokens: int, hashes: Sequence[int] = ()) -> bytes:
        """Return the prompt as a JSON list of token ids."""
        parts: list[bytes] = []
        left = input_tokens
        for block in hashes:
            if left < self._block_tokens:
                if left:
                    parts.append(self._text("block", block, self._block_tokens, left))
                    left = 0
                break
            parts.append(self._block_text(block))
            left -= self._block_tokens
        if left:
            parts.append(self._text("request", request_id, left, left))
        return b"[" + b",".join(parts) + b"]"

    def _make_block_text(self, block: int) -> bytes:
        return self._text("block", block, self._block_tokens, self._block_tokens)

    def _text(self, purpose: str, key: int, drawn: int, kept: int) -> bytes:
        """Draw `drawn` tokens and keep the first: a block cut short begins as the whole one does."""
        import numpy as np

        entropy = [self._seed, zlib.crc32(purpose.encode()), key & 0xFFFFFFFFFFFFFFFF]
        draw = np.random.Generator(np.random.PCG64(entropy)).integers(len(self._vocabulary), size=drawn)
        texts = self._texts
        return b",".join([texts[index] for index in draw[:kept].tolist()])
