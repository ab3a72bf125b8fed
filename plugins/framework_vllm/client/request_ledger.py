"""What one client process writes down about its requests, on the shared board and in its report."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import Any

from framework_vllm.client.wire.connections import Connection
from framework_vllm.client.workers.board import FAILED, FINISHED, OPEN, STREAMING, Board


@dataclass
class LoopReport:
    """What a client process has to say beyond the board.

    Attributes:
        errors: row → why it failed.
        finish_reasons: row → why its answer ended, where that is not `length`.
        connections, resent, retried: counts. `resent`: the server had closed an idle connection just then.
        busy_max_s: longest time between two looks at the sockets, so the most by which a time can be late.
        cpu_s, wall_s: time of this process and of the clock.
    """

    errors: dict[int, str] = field(default_factory=dict)
    finish_reasons: dict[int, str] = field(default_factory=dict)
    connections: int = 0
    resent: int = 0
    retried: int = 0
    busy_max_s: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0


class Ledger:
    """Writes the rows of one client process; the board's columns are its only memory of a request.

    Args:
        board: shared with every other process.
        process: number of this one.
    """

    def __init__(self, board: Board, process: int) -> None:
        self.report = LoopReport()
        self._targets = board.targets
        self._first_cell = process * board.targets
        self._column: dict[str, Any] = {name: board.view(name) for name in _SELDOM}
        self._due_s, self._sent_s, self._lag_s = (
            board.view("due_s"),
            board.view("sent_s"),
            board.view("lag_s"),
        )
        self._first_s, self._last_s = board.view("first_s"), board.view("last_s")
        self._token_times_s, self._token_at = board.view("token_times_s"), board.view("token_at")
        self._tokens, self._state = board.view("tokens"), board.view("state")
        self._attempts, self._open = board.view("attempts"), board.view("open")

    def attempts(self, row: int) -> int:
        """Return how often a request was sent, or begun to be."""
        return int(self._attempts[row])

    def least_loaded(self, row: int) -> int:
        """Return the target with the fewest open requests of all processes; ties go round with the row."""
        loads = [sum(self._open[target :: self._targets]) for target in range(self._targets)]
        return min(range(self._targets), key=lambda target: (loads[target], (target - row) % self._targets))

    def due(self, row: int, due_s: float) -> None:
        """Note when a request fell due for the first time."""
        if isnan(self._due_s[row]):
            self._due_s[row] = due_s

    def begun(self, row: int, target: int) -> None:
        """Note an attempt at a request."""
        self._column["target"][row] = target
        self._attempts[row] += 1
        self._state[row] = OPEN
        self._open[self._first_cell + target] += 1

    def connected(self, connection: Connection, row: int, room: int) -> None:
        """Give a connection the place of its request's token times."""
        connection.row, connection.token_at, connection.room, connection.tokens = (
            row,
            self._token_at[row],
            room,
            0,
        )

    def sent(self, row: int, now_s: float) -> None:
        """Note that the kernel has taken a request's last byte."""
        self._sent_s[row] = now_s
        if isnan(self._lag_s[row]):
            self._lag_s[row] = now_s - self._due_s[row]

    def tokens(self, connection: Connection, tokens: int, now_s: float) -> None:
        """Note the arrival of tokens."""
        row, seen = connection.row, connection.tokens
        if seen == 0:
            connection.first_s = now_s
            self._first_s[row] = now_s
            self._state[row] = STREAMING
        offset_s = now_s - connection.first_s
        times, at = self._token_times_s, connection.token_at
        connection.tokens = total = seen + tokens
        for place in range(at + seen, at + min(total, connection.room)):
            times[place] = offset_s
        self._tokens[row] = total
        self._last_s[row] = now_s

    def left(self, connection: Connection) -> None:
        """Note what an answer said, when its request leaves the connection."""
        row, stream, column = connection.row, connection.stream, self._column
        column["http_status"][row] = stream.status
        column["events"][row] = stream.events
        told = connection.room if stream.completion_tokens is None else stream.completion_tokens
        column["counted"][row] = stream.counted or stream.tokens == told  # one an event, and it adds up
        if stream.prompt_tokens is not None:
            column["prompt_tokens"][row] = stream.prompt_tokens
        if stream.completion_tokens is not None:
            column["completion_tokens"][row] = stream.completion_tokens
        for name, value in zip(_ENGINE, (stream.queue_s, stream.prefill_s, stream.decode_s), strict=True):
            if value is not None:
                column[name][row] = value
        self.unconnected(connection.target)

    def unconnected(self, target: int) -> None:
        """Note that a target has one open request less."""
        self._open[self._first_cell + target] -= 1

    def finished(self, row: int, reason: str | None) -> None:
        """Note that a request was served to its end."""
        if reason not in ("length", None):
            self.report.finish_reasons[row] = str(reason)
        self._state[row] = FINISHED

    def gave_up(self, row: int, reason: str, state: int = FAILED) -> None:
        """Note that a request failed or was refused, and why."""
        self.report.errors[row] = reason
        self._state[row] = state


_ENGINE = ("engine_queue_s", "engine_prefill_s", "engine_decode_s")
_SELDOM = (*_ENGINE, "events", "prompt_tokens", "completion_tokens", "target", "http_status", "counted")
