"""The processes of a run: the run itself and everything that it started, the samplers apart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

SAMPLER = "framework_metrics.sampling.sampler"
_SECRET = re.compile(r"key|token$|secret|password", re.IGNORECASE)


@dataclass
class ProcessUse:
    """What one process was last seen to have used.

    Attributes:
        cpu_s: user and system time since it began.
        rss_peak_mib: largest sample of resident memory.
        rss_mib: its last sample; 0 after its end.
    """

    pid: int
    name: str
    command: str
    cpu_s: float = 0.0
    rss_mib: float = 0.0
    rss_peak_mib: float = 0.0
    threads: int = 0


@dataclass
class ProcessTree:
    """Follows a process and its descendants. One that has ended keeps the CPU time that it was last seen with.

    Attributes:
        root: pid of the run.
        seen: every process by (pid, time of its start).
    """

    root: int
    seen: dict[tuple[int, float], ProcessUse] = field(default_factory=dict)
    _alive: dict[tuple[int, float], Any] = field(default_factory=dict)
    _ignored: set[int] = field(default_factory=set)

    def find(self) -> None:
        """Look for processes that are new."""
        import psutil

        for pid in [self.root, *self._descendants(self.root)]:
            if pid in self._ignored:
                continue
            try:
                process = psutil.Process(pid)
                key = (pid, process.create_time())
                if key not in self._alive:
                    command = process.cmdline()
                    if SAMPLER in command:
                        self._ignored.add(pid)
                        continue
                    self._alive[key] = process
                    self.seen[key] = ProcessUse(pid, process.name(), shown(command))
            except psutil.Error:  # gone in between
                continue

    def measure(self) -> None:
        """Read CPU time and memory of every process that is alive."""
        import psutil

        for key, process in list(self._alive.items()):
            use = self.seen[key]
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    use.rss_mib = process.memory_info().rss / 2**20
                    use.threads = max(use.threads, process.num_threads())
            except psutil.Error:
                use.rss_mib = 0.0
                del self._alive[key]
                continue
            use.cpu_s = times.user + times.system
            use.rss_peak_mib = max(use.rss_peak_mib, use.rss_mib)

    @property
    def cpu_s(self) -> float:
        """CPU time of all of them, ended ones included."""
        return sum(use.cpu_s for use in self.seen.values())

    @property
    def rss_mib(self) -> float:
        """Resident memory of those alive; pages that they share count for each."""
        return sum(use.rss_mib for use in self.seen.values())

    def _descendants(self, pid: int) -> Iterator[int]:
        for child in children(pid):
            yield child
            if child not in self._ignored:
                yield from self._descendants(child)


def shown(command: Sequence[str]) -> str:
    """Return a command line for the store: at most 500 characters, without what options call a secret."""
    words: list[str] = []
    hide_next = False
    for word in command:
        option, given, _ = word.partition("=")
        secret = bool(_SECRET.search(option)) and option.startswith("-")
        words.append("…" if hide_next else f"{option}=…" if secret and given else word)
        hide_next = secret and not given
    return " ".join(words)[:500]


def children(pid: int) -> list[int]:
    """Return the children of a process, of all its threads; without a scan of every process on the machine."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found.extend(int(child) for child in file.read().split())
    except OSError:  # it ended, or the kernel keeps no such list
        pass
    return found
