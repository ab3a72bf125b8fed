"""When the next request is due."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush, heapreplace
from math import inf
from types import MappingProxyType
from typing import Final


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

    def released(self, row: int, now_s: float) -> None:  # noqa: B027 - an open loop does not care
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


class LinkedLoop(Schedule):
    """Requests may have to wait for others: users send one after another, and turns of a session follow each other.

    A user has one request open. When it has left, the user pauses; then comes the next turn of the session or, if it
    was the last, the first request of the next session that nobody has begun, but not before its arrival time.
    Without users, sessions begin at their arrival times. A request that waits for another attempt keeps its user
    busy.

    Args:
        rows: of this process, in order of arrival.
        arrivals_s: their times.
        users: how many there are; None: sessions need none.
        following: row → the next turn of its session.
        think_s: row → pause after it.
    """

    def __init__(
        self,
        rows: Sequence[int],
        arrivals_s: Sequence[float],
        users: int | None = None,
        following: Mapping[int, int] = MappingProxyType({}),
        think_s: Mapping[int, float] = MappingProxyType({}),
    ) -> None:
        super().__init__(rows)
        later = set(following.values())
        first = [(time, row) for time, row in zip(arrivals_s, rows, strict=True) if row not in later]
        begun = len(first) if users is None else users
        self._due: list[tuple[float, int, int]] = [(time, row, row) for time, row in first[:begun]]  # a heap
        self._sessions = deque(first[begun:])
        self._users, self._following, self._think_s = users, following, think_s

    def fresh_due_s(self) -> float:
        """Return when the first of those is due that wait for nothing any more."""
        self._settle()
        return self._due[0][0] if self._due else inf

    def _settle(self) -> None:
        """Let users who are free before the next session arrives wait for it, and go where there is none left."""
        due = self._due
        while due and due[0][2] == _ANY:
            if not self._sessions:
                heappop(due)
            elif self._sessions[0][0] > due[0][0]:
                arrival_s, row = self._sessions.popleft()
                heapreplace(due, (arrival_s, row, row))
            else:
                return

    def pop(self) -> tuple[int, float]:
        """Take the next request: (row, when it was due)."""
        fresh = self.fresh_due_s()
        if self._retries and self._retries[0][0] < fresh:
            due_s, row = heappop(self._retries)
            return row, due_s
        due_s, _, row = heappop(self._due)
        if row == _ANY:  # users take sessions in order of time, so that only now it shows which one it is
            row = self._sessions.popleft()[1]
        self._next += 1
        return row, due_s

    def released(self, row: int, now_s: float) -> None:
        """Let what waits for this request fall due after the pause of its user."""
        after = self._following.get(row, _ANY)
        if after != _ANY or (self._users is not None and self._sessions):
            heappush(self._due, (now_s + self._think_s.get(row, 0.0), row, after))

    def upcoming(self, until_s: float) -> int:
        """Return how many fall due before then, of those that wait for nothing any more."""
        return sum(due_s <= until_s for due_s, _, _ in self._due)


_ANY: Final = -1  # in the place of a request: whichever session is next
