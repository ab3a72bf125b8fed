"""When the next request is due."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from math import inf


class Schedule(ABC):
    """Gives requests, as rows of the board, in the order in which they fall due.

    Args:
        rows: of this process, in order of arrival.
    """

    def __init__(self, rows: Sequence[int]) -> None:
        self._rows = rows
        self._next = 0
        self._retries: list[tuple[float, int]] = []  # a heap by time

    @abstractmethod
    def fresh_due_s(self) -> float:
        """Return when the next request that was never sent is due; infinity if none is, for now."""

    @abstractmethod
    def upcoming(self, until_s: float) -> int:
        """Return how many requests fall due before then, as far as that is known."""

    def released(self, now_s: float) -> None:  # noqa: B027 - an open loop does not care
        """Note that a request has left the system."""

    def next_due_s(self) -> float:
        """Return when the next request is due, for the first time or again; infinity if none is, for now."""
        fresh = self.fresh_due_s()
        return min(fresh, self._retries[0][0]) if self._retries else fresh

    def pop(self) -> tuple[int, float]:
        """Take the next request: (row, when it was due)."""
        fresh = self.fresh_due_s()
        if self._retries and self._retries[0][0] < fresh:
            due_s, row = heappop(self._retries)
            return row, due_s
        row = self._rows[self._next]
        self._next += 1
        return row, fresh

    def retry(self, row: int, due_s: float) -> None:
        """Put a request back, due at another time."""
        heappush(self._retries, (due_s, row))

    def left(self) -> int:
        """Return how many requests are still to be sent, for the first time or again."""
        return len(self._rows) - self._next + len(self._retries)


class OpenLoop(Schedule):
    """Requests fall due at their arrival times, whatever became of the earlier ones.

    Args:
        rows: of this process, in order of arrival.
        arrivals_s: their times.
    """

    def __init__(self, rows: Sequence[int], arrivals_s: Sequence[float]) -> None:
        super().__init__(rows)
        self._arrivals_s = [*arrivals_s, inf]

    def fresh_due_s(self) -> float:
        """Return the next arrival."""
        return self._arrivals_s[self._next]

    def upcoming(self, until_s: float) -> int:
        """Return the number of arrivals up to then."""
        return bisect_right(self._arrivals_s, until_s, lo=self._next, hi=len(self._rows)) - self._next


class ClosedLoop(Schedule):
    """A fixed number of requests is open at any time: the next one is due the moment one has left.

    A request that waits for another attempt keeps its slot.

    Args:
        rows: of this process, in the order in which they are sent.
        slots: how many may be open.
    """

    def __init__(self, rows: Sequence[int], slots: int) -> None:
        super().__init__(rows)
        self._free_since_s = deque([0.0] * slots)

    def fresh_due_s(self) -> float:
        """Return since when the slot that is idle longest has been so."""
        return self._free_since_s[0] if self._free_since_s and self._next < len(self._rows) else inf

    def pop(self) -> tuple[int, float]:
        """Take the next request; one that was never sent takes a slot."""
        before = self._next
        taken = super().pop()
        if self._next > before:
            self._free_since_s.popleft()
        return taken

    def released(self, now_s: float) -> None:
        """Free a slot."""
        self._free_since_s.append(now_s)

    def upcoming(self, until_s: float) -> int:
        """Return the number of idle slots that there are requests for."""
        return min(len(self._free_since_s), len(self._rows) - self._next)
