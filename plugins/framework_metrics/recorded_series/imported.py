"""From a recorded series to a run like any other: the same integrator, the same names, the same remarks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from framework.contracts import ImportedRun, Metric, Result, SanityCheck
from framework_metrics.energy.boards import gpu_energy, gpu_samples
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
) -> ImportedRun:
    """Return the run that a recording describes; its window is the whole of it.

    Args:
        kind: of the importer.
        file: what was read; its name and content are the run's identity.
        recording: the GPUs' series.
        others: series that belong to no GPU, by name.
        notes: what was assumed.
        begin_s: time that is t = 0; the first sample by default.
    """
    import pyarrow as pa

    others = others or {}
    window = Window(float(recording.t_s[0]), float(recording.t_s[-1]), of_run=True)
    zero = Window(window.begin_s if begin_s is None else begin_s, window.end_s)
    energy = gpu_energy(recording, window)
    metrics = [*energy_metrics(energy), *_busy_metrics(recording, others)]
    metrics.extend(metrics_of(recording, window, with_power=False, source="recorded"))
    series = {**named_series(recording), **others}
    samples = [sample_rows(series, zero.begin_s), gpu_samples(recording, zero)]
    stem = file.name.removesuffix(".gz").rpartition(".")[0] or file.name
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    return ImportedRun(
        origin_id=f"{stem}-{digest}",
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
    if len(busy) < 2:
        return "there are no two samples with running requests"
    return _Busy(Window(float(t_s[busy[0]]), float(t_s[busy[-1]])), known_by)


def _busy_metrics(recording: Recording, others: Mapping[str, Series]) -> Iterator[Metric]:
    """Yield energy and mean power while something ran, and joules per token where tokens were counted."""
    busy = busy_stretch(recording, others)
    found = busy if isinstance(busy, str) else gpu_energy(recording, busy.window)
    if isinstance(found, str) or isinstance(busy, str):
        for name, unit in (
            ("energy_busy_j", "J"),
            ("power_busy_mean_w", "W"),
            ("energy_j_per_token", "J/token"),
        ):
            yield Metric.absent(name, str(found), unit, "recorded")
        return
    source, length_s = f"{found.source}, while busy by {busy.known_by}", found.window_s
    bounds = (found.low_j, found.high_j, length_s, found.updates)
    yield Metric("energy_busy_j", found.energy_j, "J", source, None, *bounds)
    bounds = (found.low_j / length_s, found.high_j / length_s, length_s, found.updates)
    yield Metric("power_busy_mean_w", found.mean_w, "W", source, None, *bounds)
    yield _per_token(found, busy.window, others, recording)


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
