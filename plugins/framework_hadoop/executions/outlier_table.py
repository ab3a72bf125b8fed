"""Outlier verdicts for people: a table of the deviating executions, and a CSV file of everything."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from framework.contracts import TableBlock
from framework.errors import InputError
from framework_hadoop.executions.execution_table import Executions
from framework_hadoop.executions.outliers import OutlierReport

_HEADINGS = ("row", "ID", "benchmark", "cluster", "time_s", "expected_s", "ratio", "neighbours", "verdict")


def outlier_table(executions: Executions, report: OutlierReport, title: str) -> TableBlock:
    """Return all executions that are not ok, the most deviating first."""
    size = np.abs(np.log(report.ratio))
    rows = [row for row in np.argsort(-np.nan_to_num(size)) if report.verdict[row] not in ("ok", "no time")]
    return TableBlock(title, _HEADINGS, [_row(executions, report, int(row)) for row in rows])


def write_verdicts(executions: Executions, report: OutlierReport, file: Path) -> None:
    """Write a row for every execution, in file order.

    Raises:
        InputError: the file can't be written.
    """
    try:
        with open(file, "w", newline="", encoding="utf-8") as target:
            writer = csv.writer(target)
            writer.writerow(_HEADINGS)
            writer.writerows(_row(executions, report, row) for row in range(len(executions)))
    except OSError as error:
        raise InputError(f"can't write '{file}': {error.strerror}") from error


def _row(executions: Executions, report: OutlierReport, row: int) -> tuple[object, ...]:
    columns = executions.columns
    measured = np.isfinite(executions.time_s[row])
    return (
        row,
        columns["execution_id"][row],
        columns["benchmark"][row],
        columns["cluster"][row],
        float(executions.time_s[row]) if measured else None,
        round(float(report.predicted_s[row]), 1) if measured else None,
        round(float(report.ratio[row]), 3) if measured else None,
        int(report.neighbours[row]),
        report.verdict[row],
    )
