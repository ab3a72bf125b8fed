"""The shared table in which client processes note what happened to each request, as it happens.

One row a request, one writer a row: no locks. The load's own process reads it live (progress, saturation), and
what a client process saw survives its death.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any, Final, Literal, cast

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PENDING, OPEN, STREAMING, FINISHED, FAILED, REFUSED = range(6)
"""State of a request: not sent, sent, first token seen, served, and the two ways to fail."""

COLUMNS: Final[dict[str, str]] = {
    "due_s": "d",
    "sent_s": "d",
    "lag_s": "d",
    "first_s": "d",
    "last_s": "d",
    "engine_queue_s": "d",
    "engine_prefill_s": "d",
    "engine_decode_s": "d",
    "token_at": "q",
    "tokens": "i",
    "events": "i",
    "prompt_tokens": "i",
    "completion_tokens": "i",
    "target": "i",
    "http_status": "i",
    "attempts": "i",
    "counted": "i",
    "state": "b",
}
"""Columns and their types (of module `struct`). Times count from t = 0. `token_at`: where a request's token
times begin in `token_times_s`. Unknown is NaN in times, -1 in counts."""


class Board:
    """Columns of `COLUMNS`, every token's time, and open requests by process and target, in shared memory.

    Args:
        rows: number of requests.
        tokens: room for token times: the sum of all tokens asked for.
        processes, targets: size of the table of open requests.
        fd: a board made by another process; None makes one.
    """

    def __init__(self, rows: int, tokens: int, processes: int, targets: int, fd: int | None = None) -> None:
        self.rows, self.tokens, self.processes, self.targets = rows, tokens, processes, targets
        self._places: dict[str, tuple[int, int, str]] = {}
        size = 0
        fields = {name: (rows, kind) for name, kind in COLUMNS.items()}
        fields |= {"token_times_s": (tokens, "f"), "open": (processes * targets, "i")}
        for name, (count, kind) in fields.items():
            length = count * _WIDTH[kind]
            self._places[name] = (size, size + length, kind)
            size += -(-length // 8) * 8
        self.fd = os.memfd_create("load-board") if fd is None else fd
        if fd is None:
            os.ftruncate(self.fd, max(size, 1))
        self._memory = mmap.mmap(self.fd, max(size, 1))

    def view(self, name: str) -> Any:
        """Return a column as a memoryview, for single writes from Python: they are faster than through numpy."""
        start, end, kind = self._places[name]
        return memoryview(self._memory)[start:end].cast(cast("Literal['d']", kind))

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return a column as a numpy array over the same memory."""
        import numpy as np

        start, end, kind = self._places[name]
        return np.frombuffer(
            self._memory, dtype=np.dtype(kind), count=(end - start) // _WIDTH[kind], offset=start
        )

    def reset(self, output_tokens: npt.NDArray[np.int64]) -> None:
        """Mark every request as not sent and give each room for its tokens' times."""
        import numpy as np

        for name, kind in COLUMNS.items():
            if kind == "d":
                self.array(name)[:] = np.nan
        for name in ("prompt_tokens", "completion_tokens", "target"):
            self.array(name)[:] = -1
        self.array("counted")[:] = 1
        offsets = self.array("token_at")
        offsets[:1] = 0
        offsets[1:] = np.cumsum(output_tokens)[:-1]

    def close(self) -> None:
        """Give the descriptor back; the memory goes with the last view of it."""
        os.close(self.fd)


_WIDTH: Final = {"d": 8, "q": 8, "i": 4, "f": 4, "b": 1}
