"""From a recording to the energy of the run's GPUs and of the host's packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from framework_metrics.energy.estimate import (
    Energy,
    NoEnergyError,
    counter_energy,
    integrated_energy,
    sum_of,
    unwrapped,
)
from framework_metrics.sampling.recording import Recording, Series
from framework_metrics.sampling.samples import sample_rows
from framework_metrics.sampling.window import Window

if TYPE_CHECKING:
    import pyarrow as pa

COUNTER, POWER = "nvml energy counter", "nvml power"
"""Sources of energy; a recording may name its own in the fact `power_source`."""


def gpu_energy(recording: Recording, window: Window) -> Energy | str:
    """Return the energy of all boards of the run, each once; a text says why it can't be determined."""
    labels = board_labels(recording)
    if not labels:
        return recording.reason("gpu")
    try:
        return sum_of([_board_energy(recording, label, window) for label in labels])
    except NoEnergyError as reason:
        return str(reason)


def board_labels(recording: Recording) -> list[str]:
    """Return the boards behind the run's devices, each once."""
    return list(dict.fromkeys(str(gpu["board"]) for gpu in recording.facts.get("gpus", [])))


def _board_energy(recording: Recording, label: str, window: Window) -> Energy:
    """Return a board's energy by its counter, else by its power."""
    reasons = []
    for column, method, source in (
        (f"{label}.energy_counter_j", counter_energy, COUNTER),
        (f"{label}.power_w", integrated_energy, str(recording.facts.get("power_source", POWER))),
    ):
        series = recording.series(column)
        if series is None:
            reasons.append(f"{source}: {recording.reason(column)}")
            continue
        if len(series.t_s) < 2 and recording.ended_early:
            reasons.append(f"{source}: {recording.ended_early}")
            continue
        try:
            return method(series.t_s, series.values, window, source)
        except NoEnergyError as reason:
            reasons.append(recording.explained(column, reason))
    raise NoEnergyError("; ".join(dict.fromkeys(reasons)))


def rapl_energy(recording: Recording, kind: str, window: Window) -> Energy | str:
    """Return the energy of all `package` or `dram` zones; a text says why it can't be determined."""
    wraps = recording.facts.get("rapl_wrap_at_j", {})
    columns = [column for column in wraps if column.startswith(f"rapl.{kind}")]
    missing = [reason for column, reason in recording.absent.items() if column.startswith(f"rapl.{kind}")]
    if not columns or missing:
        return missing[0] if missing else recording.reason(f"rapl.{kind}")
    try:
        return sum_of([_zone_energy(recording, column, float(wraps[column]), window) for column in columns])
    except NoEnergyError as reason:
        return str(reason)


def _zone_energy(recording: Recording, column: str, wrap_at_j: float, window: Window) -> Energy:
    series = recording.series(column)
    if series is None:
        raise NoEnergyError(f"RAPL: {recording.reason(column)}")
    return counter_energy(series.t_s, unwrapped(series.values, wrap_at_j), window, "RAPL")


def gpu_samples(recording: Recording, window: Window) -> pa.Table:
    """Return the growing energy as rows of `samples`: `gpu_energy_j`, and by board where there are several.

    t counts from the begin of the window, and so do the joules; what was before it is negative.
    """
    grown = {label: _growth(recording, label, window) for label in board_labels(recording)}
    series = {f"{label}_energy_j": found for label, found in grown.items() if found is not None}
    if series and len(series) == len(grown):
        t_s = recording.t_s
        total = np.sum([np.interp(t_s, found.t_s, found.values) for found in series.values()], axis=0)
        series = {"gpu_energy_j": Series(t_s, total), **(series if len(series) > 1 else {})}
    return sample_rows(series, window.begin_s)


def _growth(recording: Recording, label: str, window: Window) -> Series | None:
    """Return a board's energy since the window's begin at each reading, by counter, else by power."""
    counter = recording.series(f"{label}.energy_counter_j")
    if counter is not None and np.all(np.diff(counter.values) >= 0) and np.ptp(counter.values) > 0:
        moved = np.concatenate([[0], np.flatnonzero(np.diff(counter.values) > 0) + 1])
        at_begin = np.interp(window.begin_s, counter.t_s[moved], counter.values[moved])
        return Series(counter.t_s[moved], counter.values[moved] - at_begin)
    power = recording.series(f"{label}.power_w")
    if power is None:
        return None
    steps = 0.5 * (power.values[1:] + power.values[:-1]) * np.diff(power.t_s)
    grown = np.concatenate([[0.0], np.cumsum(steps)])
    return Series(power.t_s, grown - np.interp(window.begin_s, power.t_s, grown))
