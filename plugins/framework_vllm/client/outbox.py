"""Prompts made ahead of their time, within a memory limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from framework_vllm.client.prompts import PromptMaker
from framework_vllm.client.wire.request_bytes import RequestEncoder

if TYPE_CHECKING:
    from framework_vllm.client.workers.shares import LoadShare

PREPARED_BYTES: Final = 256 * 2**20
"""Prompts that one process holds at most: some 60 million tokens as JSON."""


class Outbox:
    """Gives a request as bytes. Its prompt, the costly part, is made before it is due, if there is time.

    Args:
        share: the requests of this process.
        encoder: makes messages.
        prompts: makes prompts.
        attempts: the board's column: a request that was sent already needs no prompt in advance.

    Attributes:
        behind: there are prompts to make, and memory for them.
    """

    def __init__(
        self, share: LoadShare, encoder: RequestEncoder, prompts: PromptMaker, attempts: memoryview[int]
    ) -> None:
        self._share, self._encoder, self._prompts, self._attempts = share, encoder, prompts, attempts
        self._ready: dict[int, bytes] = {}
        self._bytes = 0
        self._rows = iter(share.rows)
        self._exhausted = False
        self.behind = True

    def output_tokens(self, row: int) -> int:
        """Return the number of tokens that a request asks for."""
        return int(self._share.output_tokens[self._share.place(row)])

    def take(self, row: int, target: int) -> bytes:
        """Return a request for a target, head and body."""
        prompt = self._ready.pop(row, None)
        if prompt is None:
            prompt = self._prompt(row)
        else:
            self._bytes -= len(prompt)
            self.behind = not self._exhausted
        share, place = self._share, self._share.place(row)
        return self._encoder.encode(
            int(share.request_ids[place]),
            target,
            int(share.adapters[place]),
            prompt,
            int(share.output_tokens[place]),
        )

    def fill(self) -> None:
        """Make prompts up to the memory limit."""
        while self.behind:
            self.prepare_next()

    def prepare_next(self) -> None:
        """Make the prompt of the next request that was never sent."""
        for row in self._rows:
            if self._attempts[row] == 0:
                prompt = self._ready[row] = self._prompt(row)
                self._bytes += len(prompt)
                self.behind = self._bytes < PREPARED_BYTES
                return
        self._exhausted = True
        self.behind = False

    def _prompt(self, row: int) -> bytes:
        share, place = self._share, self._share.place(row)
        hashes = share.hashes[place] if share.hashes is not None else None
        return self._prompts.json(
            int(share.request_ids[place]), int(share.input_tokens[place]), () if hashes is None else hashes
        )
