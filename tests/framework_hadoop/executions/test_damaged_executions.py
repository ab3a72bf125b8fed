"""Damaged files of executions: the right numbers, or one clear line; never a crash, never an impossible number."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from framework.contracts import ImportedTable
from framework.errors import InputError
from framework_hadoop.executions.recorded import read_aloja, read_hibench_report
from tests.framework_hadoop.aloja_files import HEADINGS, executions
from tests.support.damaged_files import mutations

HIBENCH = """Type         Date   Time     Input_data_size      Duration(s)    Throughput(bytes/s)  Throughput/node
HadoopWordcount 2024-05-02 10:11:12 3200000000           40.000               80000000             20000000
ScalaSparkTerasort 2024-05-02 10:21:12 32000000000          160.000              200000000            50000000
HadoopKmeans 2024-05-02 10:31:12 1000000000           12.500               80000000             20000000
"""


def aloja_file() -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADINGS)
    writer.writeheader()
    writer.writerows(executions(12))
    return text.getvalue().encode()


def times(table: ImportedTable) -> np.ndarray:
    return np.asarray(table.metrics["exe_time_s"].to_numpy(zero_copy_only=False), dtype=float)


def aloja_ends_well(folder: Path, count: int) -> None:
    data, file, lines = aloja_file(), folder / "runs.csv", list[str]()
    for mutant in mutations(data, count):
        file.write_bytes(mutant)
        try:
            found = list(read_aloja(file))
        except InputError as error:
            lines.append(str(error))
            continue
        for table in found:
            known = times(table)[~np.isnan(times(table))]
            assert np.all((known > 0) & np.isfinite(known))
            assert len(set(table.origin_ids)) == len(table.origin_ids)
            for values in table.params.values():
                numbers = [value for value in values.to_pylist() if isinstance(value, int | float)]
                assert np.all(np.isfinite(numbers))
    assert [line for line in lines if "\n" in line or str(file) not in line] == []


def hibench_ends_well(folder: Path, count: int) -> None:
    data, file, lines = HIBENCH.encode(), folder / "hibench.report", list[str]()
    for mutant in mutations(data, count):
        file.write_bytes(mutant)
        try:
            (found,) = list(read_hibench_report(file))
        except InputError as error:
            lines.append(str(error))
            continue
        seconds = times(found)
        sizes = np.asarray(found.params["workload.data_size_bytes"].to_pylist(), dtype=float)
        rate = sizes / seconds
        # a size or a time that was changed contradicts its throughput, so none gets through
        assert {round(value / 1e6) for value in rate.tolist()} <= {80, 200, 0}
        assert (
            {round(value, 1) for value in seconds.tolist()} <= {40.0, 160.0, 12.5}
            or len(seconds) < 3
            or not (set(sizes.tolist()) <= {3.2e9, 32e9, 1e9})
        )


def test_damaged_files_of_aloja_end_in_numbers_or_in_one_line(tmp_path: Path) -> None:
    aloja_ends_well(tmp_path, 60)


def test_damaged_reports_of_hibench_end_in_numbers_or_in_one_line(tmp_path: Path) -> None:
    hibench_ends_well(tmp_path, 300)


@pytest.mark.slow
def test_two_thousand_damaged_files_of_executions_end_in_numbers_or_in_one_line(tmp_path: Path) -> None:
    aloja_ends_well(tmp_path, 2000)
    hibench_ends_well(tmp_path, 2000)
