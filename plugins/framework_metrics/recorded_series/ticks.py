"""Recorded readings, tick by tick, as the recording that a live sampler would have made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from framework_metrics.sampling.recording import Recording

NOT_THERE = "not in the recorded file"


@dataclass
class Ticks:
    """Grows row by row. A new tick begins when a device comes round again.

    Attributes:
        gpus: facts of each device, by label.
        same_time: readings that a device has at the time of its reading before; they are left out.
    """

    gpus: dict[str, dict[str, Any]] = field(default_factory=dict)
    same_time: int = 0
    _times: list[float] = field(default_factory=list)
    _rows: list[dict[str, float]] = field(default_factory=list)
    _present: set[str] = field(default_factory=set)
    _last_s: float = -np.inf

    def add(self, t_s: float, label: str, values: Mapping[str, float], **facts: Any) -> None:
        """Add one row of one device; `values` by quantity, without those that the file lacks.

        Raises:
            ValueError: time went back.
        """
        if not np.isfinite(t_s):
            raise ValueError(f"time {t_s} is not a time")
        if t_s < self._last_s:
            raise ValueError(f"time decreases, from {self._last_s:g} s to {t_s:g} s")
        self._last_s = t_s
        self._describe(label, facts)
        if label in self._present and t_s == self._times[-1]:
            self.same_time += 1  # which of the two holds is not known, and between them no time passed
            return
        if not self._rows or label in self._present:
            self._times.append(t_s)
            self._rows.append({})
            self._present = set()
        self._present.add(label)
        self._rows[-1].update({f"{label}.{quantity}": value for quantity, value in values.items()})

    def _describe(self, label: str, facts: Mapping[str, Any]) -> None:
        known = {"label": label, "board": label, "uuid": None, "mig": False, "name": None}
        self.gpus.setdefault(label, {**known, "sm_clock_max_mhz": None}).update(facts)

    def recording(self, source: str, **facts: Any) -> Recording:
        """Return all of it; `source` names where power came from."""
        from framework_metrics.nvml.quantities import PLAUSIBLE

        columns = sorted({column for row in self._rows for column in row})
        values = np.array([[row.get(column, np.nan) for column in columns] for row in self._rows])
        expected = [f"{label}.{quantity}" for label in self.gpus for quantity in PLAUSIBLE]
        return Recording(
            columns=tuple(columns),
            t_s=np.array(self._times),
            values=values.reshape(len(self._rows), len(columns)),
            absent={column: NOT_THERE for column in expected if column not in columns},
            troubles={},
            facts={
                "gpus": list(self.gpus.values()),
                "power_source": source,
                "same_time": self.same_time,
                **facts,
            },
            missed=None,
            cpu_s=None,
        )
