"""What a sampler reads: columns that are fixed when it opens, and one row of numbers a tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class UnavailableError(Exception):
    """A quantity that can't be read here or now; its text is the reason, one line."""


Reading = float | UnavailableError


@dataclass(frozen=True)
class Opened:
    """What a probe found when it opened.

    Attributes:
        columns: names of the quantities that can be read, in the order of `Probe.read`.
        absent: why a quantity can't be read, by name.
        facts: what else should be known of the sensors (JSON values).
    """

    columns: Sequence[str]
    absent: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class Probe(Protocol):
    """Reads sensors. Lives in the sampler's process only, built there from its settings."""

    def open(self) -> Opened:
        """Find out what can be read. Raises `UnavailableError` if nothing can."""
        ...

    def read(self) -> Sequence[Reading]:
        """Return one reading a column; an `UnavailableError` in place of a number is a missing value."""
        ...

    def close(self) -> dict[str, Any]:
        """Let go of the sensors; return facts that are known only now."""
        ...
