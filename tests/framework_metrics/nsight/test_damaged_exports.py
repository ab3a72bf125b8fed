"""Damaged databases of nsys: numbers that a GPU can have, or one clear line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from framework.errors import InputError
from framework_metrics.nsight.importer import read_nsight
from tests.framework_metrics.nsight_exports import MATMUL, NORM, Trace, write_sqlite
from tests.support.damaged_files import mutations


def mutations_end_well(folder: Path, count: int) -> None:
    kernels = [(place * 1000, place * 1000 + 600, MATMUL if place % 2 else NORM) for place in range(8)]
    data = write_sqlite(Trace(kernels=kernels), folder / f"whole-{count}.sqlite").read_bytes()
    file, lines = folder / "trace.sqlite", list[str]()
    for mutant in mutations(data, count):
        file.write_bytes(mutant)
        try:
            runs = list(read_nsight(file))
        except InputError as error:
            lines.append(str(error))
            continue
        for run in runs:
            values = [metric.value for metric in run.result.metrics if metric.value is not None]
            assert all(math.isfinite(value) and value >= 0 for value in values)
    assert [line for line in lines if "\n" in line] == []


def test_a_damaged_export_ends_in_numbers_or_in_one_line(tmp_path: Path) -> None:
    mutations_end_well(tmp_path, 25)


@pytest.mark.slow
def test_two_thousand_damaged_exports_end_in_numbers_or_in_one_line(tmp_path: Path) -> None:
    mutations_end_well(tmp_path, 2000)
