"""Energy that other tools measured: windows of Zeus, and `emissions.csv` of CodeCarbon, a run for each row."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from framework.contracts import ImportedRun, Metric, Result, SanityCheck
from framework.errors import InputError
from framework.identity.run_key import canonical_hash
from framework.input_files.file_head import delimiter_of
from framework.input_files.opening import opened_text
from framework_metrics.energy.carbon import JOULES_PER_KWH
from framework_metrics.recorded_series.lines import ShortRowError, check_width
from framework_metrics.recorded_series.ticks import Ticks

_ZEUS_GPU = re.compile(r"gpu(\d+)_energy$")
_MOST_WATTS = 5000.0  # of one GPU, as for every other reading of power
_TOLERANCE = 0.02


def read_zeus(file: Path, grid: str | None = None) -> Iterator[ImportedRun]:
    """Yield a run for each window of Zeus's log, or the one run of its log of power.

    Raises:
        InputError: neither, or a value that is impossible; names file and row.
    """
    rows = list(_rows(file))
    names = set(rows[0][1])
    if {"time", "gpu_id", "power_draw"} <= names:
        yield _zeus_power(file, rows, grid)
        return
    gpus = [name for name in rows[0][1] if _ZEUS_GPU.match(name)]
    if not gpus or not {"window_name", "elapsed_time"} <= names:
        raise InputError(f"{file}: no columns window_name, elapsed_time and gpu0_energy: not a log of Zeus")
    for number, row in rows:
        seconds = _number(file, number, row, "elapsed_time")
        joules = [_number(file, number, row, name) for name in gpus]
        if seconds <= 0:
            raise InputError(f"{file}, row {number}: elapsed_time is {row['elapsed_time']}, not a duration")
        for name, energy in zip(gpus, joules, strict=True):
            if energy / seconds > _MOST_WATTS:
                raise InputError(
                    f"{file}, row {number}: {name} means {energy / seconds:.0f} W, which no GPU draws"
                )
        yield _run(
            "zeus",
            row,
            {"name": row["window_name"], "kind": "zeus"},
            [
                Metric("energy_j", sum(joules), "J", "zeus", window_s=seconds),
                Metric("power_mean_w", sum(joules) / seconds, "W", "zeus", window_s=seconds),
            ],
            [],
        )


def _zeus_power(file: Path, rows: list[tuple[int, dict[str, str]]], grid: str | None) -> ImportedRun:
    from framework_metrics.recorded_series.imported import imported_run

    ticks, begin_s = Ticks(), _number(file, rows[0][0], rows[0][1], "time")
    for number, row in rows:
        watts = _number(file, number, row, "power_draw")
        if watts > _MOST_WATTS:
            raise InputError(f"{file}, row {number}: power_draw is {watts:g} W, which no GPU draws")
        try:
            at_s = _number(file, number, row, "time") - begin_s
            ticks.add(at_s, f"gpu{int(row['gpu_id'])}", {"power_w": watts})
        except ValueError as error:
            raise InputError(f"{file}, row {number}: {error}") from None
    return imported_run("zeus", file, ticks.recording("zeus power"), grid=grid)


def read_codecarbon(file: Path) -> Iterator[ImportedRun]:
    """Yield a run for each row of CodeCarbon's `emissions.csv`.

    Raises:
        InputError: another table, or figures that contradict each other; names file and row.
    """
    needed = ("duration", "energy_consumed", "emissions", "run_id")
    for number, row in _rows(file):
        lacking = next((name for name in needed if name not in row), None)
        if lacking is not None:
            raise InputError(f"{file}: no column '{lacking}': not CodeCarbon's emissions.csv")
        seconds, kwh = (_number(file, number, row, name) for name in ("duration", "energy_consumed"))
        parts = {
            name: _number(file, number, row, f"{name}_energy")
            for name in ("gpu", "cpu", "ram")
            if row.get(f"{name}_energy")
        }
        metrics = [
            Metric("energy_total_j", kwh * JOULES_PER_KWH, "J", "codecarbon", window_s=seconds),
            Metric(
                "carbon_g",
                1000 * _number(file, number, row, "emissions"),
                "g",
                "codecarbon",
                window_s=seconds,
            ),
        ]
        names = {"gpu": "energy_j", "cpu": "cpu_energy_j", "ram": "dram_energy_j"}
        metrics += [
            Metric(names[part], value * JOULES_PER_KWH, "J", "codecarbon", window_s=seconds)
            for part, value in parts.items()
        ]
        total = sum(parts.values())
        checks = []
        if parts and kwh > 0:
            agree = abs(total - kwh) <= _TOLERANCE * kwh
            detail = f"energy_consumed is {kwh:g} kWh, its parts {total:g} kWh"
            checks.append(SanityCheck("figures_agree", "pass" if agree else "fail", "" if agree else detail))
        if seconds > 0 and row.get("gpu_power") and parts.get("gpu"):
            watts, drawn = _number(file, number, row, "gpu_power"), parts["gpu"] * JOULES_PER_KWH / seconds
            if not 0.5 <= watts / max(drawn, 1e-9) <= 2:
                detail = f"gpu_power is {watts:g} W, gpu_energy over duration {drawn:.4g} W"
                checks.append(SanityCheck("power_agrees", "warn", detail))
        yield _run(
            "codecarbon",
            row,
            {"name": row.get("project_name") or "codecarbon", "kind": "codecarbon"},
            metrics,
            checks,
        )


def _run(
    kind: str, row: dict[str, str], series: dict[str, str], metrics: list[Metric], checks: list[SanityCheck]
) -> ImportedRun:
    return ImportedRun(
        origin_id=canonical_hash(row),
        experiment=f"import:{kind}",
        backend="recorded",
        config={"backend": {"name": "recorded"}, "series": series},
        result=Result(
            metrics=metrics, facts={name: text for name, text in row.items() if text}, checks=checks
        ),
    )


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row from 1, cells by column); a last row that was cut off is an error, as any other short one."""
    with opened_text(file) as text:
        first = text.readline()
        if not first.strip():
            raise InputError(f"{file}: empty")
        delimiter = delimiter_of(first)
        header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
        if len(set(header)) < len(header):
            raise InputError(f"{file}: a column is in the header twice")
        number = 0
        for cells in csv.reader(text, delimiter=delimiter):
            if not any(cell.strip() for cell in cells):
                continue
            number += 1
            try:
                check_width(cells, header, "columns")
            except (ShortRowError, ValueError) as error:
                raise InputError(f"{file}, row {number}: {error}") from None
            yield number, dict(zip(header, (cell.strip() for cell in cells), strict=True))
    if not number:
        raise InputError(f"{file}: no row below the header")


def _number(file: Path, number: int, row: dict[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise InputError(f"{file}, row {number}: {name} is {row[name]!r}, not a number ≥ 0")
    return value
