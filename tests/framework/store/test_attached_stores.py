"""Another outputs folder beside the one that is asked: its tables, views and macros answer for it alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from framework.cli.verbs import run_verb
from framework.contracts import MetricDefinition
from framework.errors import ConfigError, StoreError
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.views.attached_store import attaching

MACROS = (
    "FROM {}pareto('total_tok_s', 'itl_mean_ms')",
    "FROM {}pareto('total_tok_s', 'itl_mean_ms', y_better := 'higher')",
    "FROM {}compare('a', 'b')",
    "FROM {}runs_of('a') ORDER BY ALL",
    "FROM {}setting_front(['total_tok_s', 'itl_mean_ms']) ORDER BY ALL",
    "FROM {}setting_values(['total_tok_s']) ORDER BY ALL",
)
VIEWS = ("FROM {}results ORDER BY ALL", "FROM {}observations ORDER BY ALL", "FROM {}metrics ORDER BY ALL")


@pytest.fixture
def there(outputs, add_run, define_metrics, tmp_path) -> Path:
    """A folder with four runs beside `outputs`, which has one."""
    define_metrics(
        MetricDefinition("total_tok_s", "tok/s", "tokens a second", "higher"),
        MetricDefinition("itl_mean_ms", "ms", "inter-token latency", "lower"),
    )
    for number, (sweep, rate) in enumerate([("a", 900.0), ("a", 1000.0), ("b", 1200.0), ("b", 1300.0)]):
        metrics = {"total_tok_s": rate, "itl_mean_ms": rate / 50}
        add_run(f"{sweep}-{number}", metrics, params={"backend.max_num_seqs": 8 + number % 2}, sweep_id=sweep)
    other = tmp_path / "it's there"
    shutil.move(outputs, other)
    add_run("here", {"total_tok_s": 1.0, "itl_mean_ms": 1.0}, sweep_id="a")
    for folder in (outputs, other):
        ingest(folder)
    return other


@pytest.mark.slow
def test_what_stands_in_an_attached_store_answers_for_that_store(outputs, there) -> None:
    attached = Store(outputs, attach_others=attaching([f"b={there}"]))
    for query in (*MACROS, *VIEWS):
        alone = Store(there).rows(query.format(""))
        assert alone[1], query
        assert attached.rows(query.format("b.")) == alone, query
    assert attached.rows("SELECT run_id FROM results")[1] == [("here",)]


@pytest.mark.slow
def test_sql_and_export_attach_stores(outputs, there, tmp_path, capsys) -> None:
    query = "SELECT (SELECT count(*) FROM results) AS here, count(*) AS there FROM b.results"
    named = ["--attach", f"b={there}", "--attach", f"c={there}", "--outputs", str(outputs)]
    assert run_verb(["sql", query, "--format", "json", *named]) == 0
    assert json.loads(capsys.readouterr().out) == [{"here": 1, "there": 4}]
    assert run_verb(["export", "FROM c.results", str(tmp_path / "c.csv"), *named]) == 0
    assert len((tmp_path / "c.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("given", ["b", "b=", "=x", "a b=x", "store=x"])
def test_a_name_that_can_not_be_attached_is_one_line(given: str) -> None:
    with pytest.raises(ConfigError, match=f"--attach {given}: "):
        attaching([given])


def test_a_folder_without_a_store_is_one_line(outputs, add_run, tmp_path: Path) -> None:
    add_run("here")
    ingest(outputs)
    with pytest.raises(StoreError, match="no runs yet"):
        attaching([f"b={tmp_path}"])
    (tmp_path / "framework.duckdb").write_bytes(b"no database")
    with pytest.raises(StoreError, match="not a readable store"):
        Store(outputs, attach_others=attaching([f"b={tmp_path}"])).rows("SELECT 1")
