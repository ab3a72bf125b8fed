"""Sessions: requests that follow each other, each beginning with the prompt and the answer of the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework.configuration.plain_values import whole
from framework.contracts import Json
from framework_serving import tables
from framework_serving.hardware.model_shape import KV_BLOCK_TOKENS
from framework_serving.workloads.settings import SessionSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    IntArray = npt.NDArray[np.int64]
    FloatArray = npt.NDArray[np.float64]

_SESSION_BITS = 24  # block names: the session above, the place of the block below


@dataclass(frozen=True)
class Sessions:
    """Rows of a request table as turns of sessions: those of one session are next to each other.

    Attributes:
        turns: requests of a session; the last session may have fewer.
        shared_tokens: tokens that all prompts begin with.
    """

    turns: int
    shared_tokens: int

    @classmethod
    def of(cls, settings: SessionSettings) -> Sessions:
        """Return checked sessions. Raises `ConfigError` naming the key."""
        return cls(
            whole(settings.turns, "workload.sessions.turns", least=1),
            whole(settings.shared_tokens, "workload.sessions.shared_tokens", least=0),
        )

    @property
    def linked(self) -> bool:
        """Whether a request waits for another."""
        return self.turns > 1

    def count(self, requests: int | None) -> int | None:
        """Return the sessions that so many requests belong to."""
        return None if requests is None else -(-requests // self.turns)

    def per_turn(self, begins: FloatArray, n: int) -> FloatArray:
        """Return the earliest time of each of n turns: that of its session."""
        import numpy as np

        return np.repeat(begins, self.turns)[:n]

    def prompts(self, inputs: IntArray, outputs: IntArray) -> IntArray:
        """Return prompt lengths from the new tokens of each turn and its answer."""
        import numpy as np

        if not self.linked:
            return inputs + self.shared_tokens
        before = np.concatenate([[0], np.cumsum(inputs + outputs)[:-1]])
        starts = np.arange(len(inputs)) // self.turns * self.turns
        prompts: IntArray = inputs + before - before[starts] + self.shared_tokens
        return prompts

    def add_columns(self, requests: pa.Table) -> tuple[pa.Table, dict[str, Json]]:
        """Return the table with what each request follows and which blocks its prompt shares; and facts of them.

        Blocks are KV blocks: of a prompt, all full ones. The answer within a later prompt is made up, since prompts
        are made in advance: a prefix cache finds the prompt before again, not its answer.
        """
        import numpy as np
        import pyarrow as pa

        facts: dict[str, Json] = {}
        if self.linked:
            rows = np.arange(requests.num_rows)
            follows = pa.array(rows - 1, pa.int64(), mask=rows % self.turns == 0)
            requests = requests.append_column(tables.follows_field(), follows)
            facts["sessions"] = -(-requests.num_rows // self.turns)
        if self.linked or self.shared_tokens:
            requests = requests.append_column(tables.prefix_hashes_field(), self._blocks(requests))
            facts["prefix_block_tokens"] = KV_BLOCK_TOKENS
        return requests, facts

    def _blocks(self, requests: pa.Table) -> pa.Array:
        """Return the names of each prompt's full blocks that a later prompt may begin with."""
        import numpy as np
        import pyarrow as pa

        full = requests["input_tokens"].to_numpy() // KV_BLOCK_TOKENS
        shared = self.shared_tokens // KV_BLOCK_TOKENS
        if not self.linked:
            full = np.minimum(full, shared)
        ends = np.cumsum(full)
        place = np.arange(ends[-1]) - np.repeat(ends - full, full)
        session = np.repeat(np.arange(len(full)) // self.turns + 1, full)
        names = np.where(place < shared, place, (session << _SESSION_BITS) + place)
        offsets = np.concatenate([[0], ends]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(names, pa.int64()))
