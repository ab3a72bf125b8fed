"""The sampler's process: reads a probe on schedule and writes what it saw to a file, line by line.

    python -m framework_metrics.sampling.sampler '{"probe": "package.module:Class", …}'

A process of its own, because a vendor's library may hang or crash, and because the run's own threads would hold
samples up. The first line of the file says what can be read, or why nothing can. SIGTERM ends it after one more
reading; `framework.processes.child_process` sends it, also when the run dies, and kills a reading that hangs.
Every line is flushed: what was seen before a crash is kept. Nothing slow to load is imported here.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TextIO

from framework.errors import one_line
from framework_metrics.sampling.probe import Opened, Probe, Reading, UnavailableError
from framework_metrics.sampling.sampling_times import Schedule

_END = frozenset({signal.SIGTERM})


def main() -> int:
    """Sample until SIGTERM; return the exit status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _END)  # it is waited for, between two readings
    spec: dict[str, Any] = json.loads(sys.argv[1])
    module, _, name = spec["probe"].partition(":")
    with open(spec["file"], "w", encoding="utf-8") as file:
        try:
            probe: Probe = getattr(import_module(module), name)(**spec["settings"])
            opened = probe.open()
        except UnavailableError as reason:
            _line(file, {"unavailable": str(reason)})
            return 0
        except Exception as error:  # a vendor's library may raise anything
            _line(file, {"unavailable": f"{type(error).__name__}: {one_line(error)}"})
            return 0
        _line(file, {"columns": list(opened.columns), "absent": opened.absent, "facts": opened.facts})
        _sample(probe, opened, float(spec["period_s"]), file)
    return 0


def _sample(probe: Probe, opened: Opened, period_s: float, file: TextIO) -> None:
    """Read at the first moment, at every deadline, and once more at the end."""
    told: set[str] = set()
    schedule = Schedule(time.monotonic(), period_s)
    last = False
    while True:
        _write_row(probe, opened.columns, told, file)
        if last:
            break
        now = time.monotonic()
        last = signal.sigtimedwait(_END, max(0.0, schedule.next_deadline_s(now) - now)) is not None
    _line(file, {"missed": schedule.missed, "cpu_s": time.process_time(), "facts": probe.close()})


def _write_row(probe: Probe, columns: Sequence[str], told: set[str], file: TextIO) -> None:
    """Write time and readings of one tick, and the reason of a reading that fails for the first time."""
    begin = time.monotonic()
    readings = probe.read()
    t_s = 0.5 * (begin + time.monotonic())
    _line(file, [round(t_s, 6), *(_number(reading) for reading in readings)])
    for column, reading in zip(columns, readings, strict=True):
        if column not in told and _number(reading) is None:
            told.add(column)
            reason = (
                str(reading) if isinstance(reading, UnavailableError) else f"the sensor returned {reading!r}"
            )
            _line(file, {"trouble": column, "t_s": t_s, "reason": reason})


def _number(reading: Reading) -> float | None:
    usable = isinstance(reading, int | float) and math.isfinite(reading)
    return reading if usable else None  # type: ignore[return-value]


def _line(file: TextIO, content: Any) -> None:
    file.write(json.dumps(content, separators=(",", ":")) + "\n")
    file.flush()


if __name__ == "__main__":
    sys.exit(main())
