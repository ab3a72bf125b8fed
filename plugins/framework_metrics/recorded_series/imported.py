"""From a recorded series to a run like any other: the same integrator, the same names, the same remarks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from framework.contracts import ImportedRun, Metric, Result, SanityCheck
from framework.input_files.opening import content_to_its_end
from framework_metrics.energy.boards import gpu_energy, gpu_samples
from framework_metrics.energy.carbon import grid_intensity
from framework_metrics.energy.collector import energy_metrics
from framework_metrics.energy.estimate import Energy
from framework_metrics.nvml.readings import metrics_of, named_series
from framework_metrics.sampling.recording import Recording, Series
from framework_metrics.sampling.samples import sample_rows
from framework_metrics.sampling.window import Window

TOKENS = ("prompt_tokens_total", "generation_tokens_total")
"""Counters of an engine whose growth while it was busy gives joules per token."""


def imported_run(
    kind: str,
    file: Path,
    recording: Recording,
    others: Mapping[str, Series] | None = None,
    notes: Sequence[str] = (),
    begin_s: float | None = None,
    grid: str | None = None,
) -> ImportedRun:
    """Return the run that a recording describes; its window is the whole of it.

    Args:
        kind: of the importer.
        file: what was read; its name and content are the run's identity.
        recording: the GPUs' series.
        others: series that belong to no GPU, by name.
        notes: what was assumed.
        begin_s: time that is t = 0; the first sample by default.
        grid: where the energy came from, for its carbon (see `energy.carbon`).
    """
    import pyarrow as pa

    others = others or {}
    notes = list(notes)
    if recording.facts.get("same_time"):
        notes.append(f"{recording.facts['same_time']} readings at the time of the one before are left out")
    recording = _continued(recording, notes)
    window = Window(float(recording.t_s[0]), float(recording.t_s[-1]), of_run=True)
    zero = Window(window.begin_s if begin_s is None else begin_s, window.end_s)
    energy = gpu_energy(recording, window)
    metrics = [*energy_metrics(energy), *_busy_metrics(recording, others)]
    metrics.append(_carbon(energy, grid))
    metrics.extend(metrics_of(recording, window, with_power=False, source="recorded"))
    series = {**named_series(recording), **others}
    samples = [sample_rows(series, zero.begin_s), gpu_samples(recording, zero)]
    stem = file.name.removesuffix(".gz").rpartition(".")[0] or file.name
    digest = hashlib.sha256(content_to_its_end(file)).hexdigest()[:24]
    return ImportedRun(
        origin_id=digest,  # of the content alone: a copy by another name is the same recording
        experiment=f"import:{kind}",
        backend="recorded",
        config={"backend": {"name": "recorded"}, "series": {"name": stem, "kind": kind}},
        result=Result(
            metrics=metrics,
            tables={"samples": pa.concat_tables(samples)},
            facts={
                "gpus": recording.facts["gpus"],
                "samples": len(recording.t_s),
                "window_s": window.length_s,
            },
            checks=list(_checks(energy, recording, notes)),
        ),
    )


@dataclass(frozen=True)
class _Busy:
    """The stretch in which something ran, and how that is known."""

    window: Window
    known_by: str


def busy_stretch(recording: Recording, others: Mapping[str, Series]) -> _Busy | str:
    """Return from when to when something ran: by the engine's `running`, else by the GPUs' utilisation.

    It begins and ends with a sample that shows work, so it is up to two sampling periods short.
    """
    running = others.get("running")
    if running is not None:
        at_work, known_by = running.values > 0, "running requests"
        t_s = running.t_s
    else:
        columns = [column for column in recording.columns if column.endswith(".util_pct")]
        if not columns:
            return "neither running requests nor utilisation in the file"
        places = [recording.columns.index(column) for column in columns]
        at_work = np.nansum(recording.values[:, places], axis=1) > 0
        t_s, known_by = recording.t_s, "utilisation"
    busy = np.flatnonzero(at_work)
    if len(busy) < 2 or t_s[busy[0]] == t_s[busy[-1]]:
        return "there are no two samples with running requests"
    return _Busy(Window(float(t_s[busy[0]]), float(t_s[busy[-1]])), known_by)


def _continued(recording: Recording, notes: list[str]) -> Recording:
    """Return the recording with counters of energy that go on over a restart, where no power replaces them."""
    values = recording.values
    for place, column in enumerate(recording.columns):
        label, _, quantity = column.rpartition(".")
        if quantity != "energy_counter_j" or f"{label}.power_w" in recording.columns:
            continue
        known = np.flatnonzero(np.isfinite(values[:, place]))
        steps = np.diff(values[known, place])
        back = np.flatnonzero(steps < 0)
        if back.size:
            offset = np.concatenate([[0.0], np.cumsum(np.where(steps < 0, values[known, place][:-1], 0.0))])
            values = values.copy()
            values[known, place] += offset
            at_s = recording.t_s[known[back[0] + 1]] - recording.t_s[0]
            notes.append(
                f"{label}: its energy counter starts again after {at_s:.4g} s: "
                "what was used between the last reading and then is missing"
            )
    return recording if values is recording.values else replace(recording, values=values)


def _carbon(energy: Energy | str, grid: str | None) -> Metric:
    if grid is None:
        return Metric.absent("carbon_g", "no grid=COUNTRY or grid=G_PER_KWH was given", "g", "energy")
    intensity = grid_intensity(grid)
    if isinstance(energy, str):
        return Metric.absent("carbon_g", energy, "g", "energy")
    low, high = intensity.grams(energy.low_j), intensity.grams(energy.high_j)
    source = f"{energy.source}, {intensity.g_per_kwh:g} g/kWh ({intensity.source})"
    return Metric("carbon_g", intensity.grams(energy.energy_j), "g", source, None, low, high, energy.window_s)


def _busy_metrics(recording: Recording, others: Mapping[str, Series]) -> Iterator[Metric]:
    """Yield energy and mean power while something ran, above idle, and joules per token where tokens were counted."""
    busy = busy_stretch(recording, others)
    found = busy if isinstance(busy, str) else gpu_energy(recording, busy.window)
    if isinstance(found, str) or isinstance(busy, str):
        for name, unit in (
            ("energy_busy_j", "J"),
            ("power_busy_mean_w", "W"),
            ("energy_above_idle_j", "J"),
            ("energy_j_per_token", "J/token"),
        ):
            yield Metric.absent(name, str(found), unit, "recorded")
        return
    inner, found = found, _with_edges(found, busy.window, recording)
    source, length_s = f"{found.source}, while busy by {busy.known_by}", found.window_s
    bounds = (found.low_j, found.high_j, length_s, found.updates)
    yield Metric("energy_busy_j", found.energy_j, "J", source, None, *bounds)
    bounds = (inner.low_j / inner.window_s, inner.high_j / inner.window_s, length_s, found.updates)
    yield Metric("power_busy_mean_w", inner.mean_w, "W", source, None, *bounds)
    yield _above_idle(found, busy.window, recording)
    yield _per_token(found, busy.window, others, recording)


def _with_edges(energy: Energy, window: Window, recording: Recording) -> Energy:
    """Return the energy of the busy stretch with its edges.

    Work began somewhere between the last idle sample and the first busy one, and ended likewise: half of both periods
    is counted at the mean power while busy; none and all of them are the bounds.
    """
    t_s = recording.t_s
    first, last = int(np.searchsorted(t_s, window.begin_s)), int(np.searchsorted(t_s, window.end_s))
    last = min(last, len(t_s) - 1)
    before_s = float(t_s[first] - t_s[first - 1]) if first > 0 else 0.0
    after_s = float(t_s[last + 1] - t_s[last]) if last + 1 < len(t_s) else 0.0
    edges_j = (before_s + after_s) * energy.mean_w
    return replace(
        energy,
        energy_j=energy.energy_j + edges_j / 2,
        high_j=energy.high_j + edges_j,
        window_s=energy.window_s + (before_s + after_s) / 2,
    )


def _total_power(recording: Recording) -> tuple[np.ndarray, np.ndarray] | None:
    """Return times and the GPUs' power together, where all of them were read; None without power."""
    columns = [place for place, name in enumerate(recording.columns) if name.endswith(".power_w")]
    if not columns:
        return None
    watts = recording.values[:, columns].sum(axis=1)
    known = np.isfinite(watts)
    return (recording.t_s[known], watts[known]) if known.any() else None


_LEAST_IDLE_SAMPLES = 3


def _above_idle(busy: Energy, window: Window, recording: Recording) -> Metric:
    """Return the energy while busy less idle power, which is that of the samples a period or more away from work."""
    name = "energy_above_idle_j"
    total = _total_power(recording)
    if total is None:
        return Metric.absent(name, "no power in the recorded file", "J", "recorded")
    t_s, watts = total
    period_s = float(np.median(np.diff(t_s))) if len(t_s) > 1 else 0.0
    idle = watts[(t_s < window.begin_s - 1.5 * period_s) | (t_s > window.end_s + 1.5 * period_s)]
    if len(idle) < _LEAST_IDLE_SAMPLES:
        return Metric.absent(name, "the file has no idle stretch of three samples", "J", "recorded")
    idle_w, low_w, high_w = (float(np.quantile(idle, share)) for share in (0.5, 0.05, 0.95))
    value = busy.energy_j - idle_w * busy.window_s
    low, high = busy.low_j - high_w * busy.window_s, busy.high_j - low_w * busy.window_s
    source = f"energy_busy_j less {idle_w:.4g} W idle"
    return Metric(
        name, value, "J", source, None, min(low, value), max(high, value), busy.window_s, busy.updates
    )


def _per_token(busy: Energy, window: Window, others: Mapping[str, Series], recording: Recording) -> Metric:
    name, unit = "energy_j_per_token", "J/token"
    tokens = 0.0
    for counter in TOKENS:
        series = others.get(counter)
        if series is None:
            return Metric.absent(name, f"{counter} is not in the recorded file", unit, "recorded")
        if series.t_s[-1] < window.end_s or np.any(np.diff(series.values) < 0):
            reason = f"{counter} ends or decreases before the end of the load"
            return Metric.absent(name, reason, unit, "recorded")
        # counted until a sample after the load, so that its last step counts too
        after = min(int(np.searchsorted(series.t_s, window.end_s, side="right")), len(series.values) - 1)
        before = max(int(np.searchsorted(series.t_s, window.begin_s)) - 1, 0)
        tokens += float(series.values[after] - series.values[before])
    if tokens <= 0:
        return Metric.absent(name, "no token was counted", unit, "recorded")
    low, high = busy.low_j / tokens, busy.high_j / tokens
    return Metric(
        name,
        busy.energy_j / tokens,
        unit,
        "energy_busy_j / tokens",
        None,
        low,
        high,
        busy.window_s,
        busy.updates,
    )


def _checks(energy: Energy | str, recording: Recording, notes: Sequence[str]) -> Iterator[SanityCheck]:
    if isinstance(energy, str):
        yield SanityCheck("energy_window", "warn", energy)
    elif energy.flags:
        yield SanityCheck("energy_window", "warn", "; ".join(energy.flags))
    else:
        detail = f"{energy.updates} samples in {energy.window_s:.4g} s"
        yield SanityCheck("energy_window", "pass", detail)
    if notes:
        yield SanityCheck("recorded_series", "warn", "; ".join(notes))
