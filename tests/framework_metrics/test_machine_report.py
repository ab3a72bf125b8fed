"""Section "The machine", over a store of our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from framework.contracts import Figure, ReportScope, TableBlock
from framework_metrics.machine_report import MAX_RUNS, POINTS, sections


class Store:
    """The tables that the section reads."""

    def __init__(self) -> None:
        self._database = duckdb.connect()
        for table in (
            "metrics(run_id TEXT, name TEXT, value DOUBLE, source TEXT)",
            "checks(run_id TEXT, name TEXT, verdict TEXT, detail TEXT)",
            "samples(run_id TEXT, t_s DOUBLE, name TEXT, value DOUBLE)",
            "params(run_id TEXT, name TEXT, value TEXT, number DOUBLE)",
            "varied(run_id TEXT, name TEXT)",
        ):
            self._database.execute(f"CREATE TABLE {table}")

    def add(self, table: str, *rows: Sequence[Any]) -> None:
        marks = ", ".join("?" for _ in rows[0])
        self._database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        return self._database.sql(sql, params=list(parameters)).to_arrow_table()


@pytest.fixture
def store() -> Store:
    return Store()


def _measured(store: Store, run: str, watts: float = 300.0) -> None:
    store.add("checks", (run, "energy_window", "pass", "fine"), (run, "gpu_clocks", "warn", "gpu0: slow"))
    store.add("metrics", (run, "power_mean_w", watts, "energy_j (nvml energy counter) / duration"))
    store.add("params", (run, "backend.max_num_seqs", "8", 8.0))
    store.add("varied", (run, "backend.max_num_seqs"))


def test_measured_runs_are_listed_with_what_they_varied_and_what_was_remarked(store: Store) -> None:
    _measured(store, "a")
    store.add("metrics", ("a", "gpu_sm_active_mean_pct", None, "nvml"))
    (section,) = sections(ReportScope(store, "study", ["a"]))
    (table,) = section.blocks
    assert isinstance(table, TableBlock)
    assert list(table.columns) == ["run", "power W", "remarks"]
    assert [list(row) for row in table.rows] == [["max_num_seqs 8", "300", "gpu0: slow"]]


def test_what_a_model_told_is_no_measurement(store: Store) -> None:
    store.add("metrics", ("a", "power_mean_w", 300.0, "twin power model"))
    assert sections(ReportScope(store, "study", ["a"])) == []
    store.add("metrics", ("a", "run_cpu_s", 3.0, "psutil"), ("a", "run_cpu_mean_cores", 0.5, "psutil"))
    (section,) = sections(ReportScope(store, "study", ["a"]))
    (table,) = section.blocks
    assert isinstance(table, TableBlock)
    assert list(table.columns) == ["run", "CPU cores"]


@pytest.mark.slow
def test_curves_are_thinned_by_averaging_and_only_some_runs_are_drawn(store: Store) -> None:
    runs = [f"run{number:02}" for number in range(MAX_RUNS + 2)]
    for run in runs:
        _measured(store, run)
        store.add("samples", *((run, t / 10, "gpu_power_w", float(t % 2)) for t in range(-20, 1600)))
    (section,) = sections(ReportScope(store, "study", runs))
    figure = section.blocks[1]
    assert isinstance(figure, Figure)
    assert len(figure.spec["data"]) == MAX_RUNS
    curve = figure.spec["data"][0]
    assert POINTS / 2 < len(curve["x"]) <= POINTS + 2
    assert curve["x"] == sorted(curve["x"])
    assert sum(curve["y"]) / len(curve["y"]) == pytest.approx(0.5, abs=0.05)
    assert "Before 0, the engine starts" in figure.caption
    assert f"first {MAX_RUNS} runs" in figure.caption
