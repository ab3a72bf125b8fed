"""What a sampler wrote, read back: one column of numbers a quantity, and what went wrong on the way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """One sampled quantity where it could be read: `t_s` in seconds of `time.monotonic()`, ascending."""

    t_s: Floats
    values: Floats


@dataclass(frozen=True)
class Recording:
    """Everything that one sampler saw.

    Attributes:
        columns: the quantities.
        t_s: shape (ticks,), seconds of `time.monotonic()`, ascending.
        values: shape (ticks, columns); NaN where a reading failed.
        absent: why a quantity could not be read at all, by name.
        troubles: the first failure of a quantity that could be read before, by name.
        facts: of the sensors.
        missed: deadlines that passed unread; None if the sampler did not end in order.
        cpu_s: CPU time of the sampler's process; None in the same way.
        ended_early: why the sampler ended before the end of the run; None if it ended in order.
    """

    columns: tuple[str, ...]
    t_s: Floats
    values: Floats
    absent: dict[str, str]
    troubles: dict[str, str]
    facts: dict[str, Any]
    missed: int | None
    cpu_s: float | None
    ended_early: str | None = None

    def series(self, column: str) -> Series | None:
        """Return a quantity without its gaps; None if it was never read."""
        import numpy as np

        if column not in self.columns:
            return None
        values = self.values[:, self.columns.index(column)]
        known = np.isfinite(values)
        return Series(self.t_s[known], values[known]) if known.any() else None

    def explained(self, column: str, gap: Exception) -> str:
        """Return why a series does not do, with what went wrong while it was read, if that is known."""
        why = self.troubles.get(column) or self.ended_early
        return f"{gap} ({why})" if why else str(gap)

    def reason(self, column: str) -> str:
        """Return why a quantity has no, or no complete, series."""
        told = self.absent.get(column) or self.troubles.get(column) or self.ended_early
        return told or f"no reading of {column}"


@dataclass
class _Lines:
    """The lines of a sampler's file by kind."""

    columns: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    rows: list[list[float | None]] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)
    end: dict[str, Any] | None = None


def read_recording(file: Path, ended_early: str | None) -> Recording:
    """Read a sampler's file; a last line that was cut off is left out.

    Args:
        file: what the sampler wrote.
        ended_early: what is known of an end out of order, None if there is nothing to say.
    """
    import numpy as np

    lines = _parse(file)
    table = np.array(lines.rows, dtype=np.float64).reshape(len(lines.rows), 1 + len(lines.columns))
    if lines.end is None and ended_early is None:
        ended_early = "the sampler ended before the end of the run"
    end = lines.end or {}
    return Recording(
        columns=tuple(lines.columns),
        t_s=table[:, 0],
        values=table[:, 1:],
        absent=lines.absent,
        troubles=lines.troubles,
        facts={**lines.facts, **end.get("facts", {})},
        missed=end.get("missed"),
        cpu_s=end.get("cpu_s"),
        ended_early=None if lines.end is not None else ended_early,
    )


def _parse(file: Path) -> _Lines:
    lines = _Lines()
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        content = json.loads(line)
        if isinstance(content, list):
            lines.rows.append(content)
        elif "columns" in content:
            lines.columns, lines.absent, lines.facts = content["columns"], content["absent"], content["facts"]
        elif "trouble" in content:
            lines.troubles.setdefault(content["trouble"], content["reason"])
        else:
            lines.end = content
    return lines
