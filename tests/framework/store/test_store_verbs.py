from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest

from framework.cli import sql_verb, store_verbs
from framework.errors import ConfigError
from framework.store.database.ingest import ingest


@pytest.fixture
def store(outputs, add_run):
    add_run("run-1", {"total_tok_s": 1.5, "itl_mean_ms": 2.0}, params={"backend.max_num_seqs": 8})
    add_run("run-2", {"total_tok_s": 2.5}, params={"backend.max_num_seqs": 64})
    ingest(outputs)
    return str(outputs)


def test_json_is_an_array_of_objects_and_nothing_else(store, capsys):
    sql_verb.run_sql("SELECT run_id, itl_mean_ms, [1, 2] AS l FROM results ORDER BY 1", "json", store)
    out = capsys.readouterr()
    assert json.loads(out.out) == [
        {"run_id": "run-1", "itl_mean_ms": 2.0, "l": [1, 2]},
        {"run_id": "run-2", "itl_mean_ms": None, "l": [1, 2]},
    ]
    assert out.err == ""


def test_csv_has_a_header_and_empty_fields_for_null(store, capsys):
    sql_verb.run_sql("SELECT run_id, itl_mean_ms, true AS ok FROM results ORDER BY 1", "csv", store)
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == [
        ["run_id", "itl_mean_ms", "ok"],
        ["run-1", "2.0", "true"],
        ["run-2", "", "true"],
    ]


@pytest.mark.parametrize("format", ["csv", "json"])
def test_every_kind_of_value_can_be_printed(store, capsys, format):
    kinds = (
        "1::HUGEINT AS huge, 1.5::DECIMAL(4,2) AS exact, 'nan'::DOUBLE AS no_number, 'inf'::DOUBLE AS much, "
        "DATE '2026-01-01' AS day, TIMESTAMP '2026-01-01 00:00:01' AS moment, INTERVAL 90 SECOND AS span, "
        "TIME '01:02:03' AS clock, {'a': [1, NULL]} AS nested, MAP {'k': 1.5} AS map, 'ab'::BLOB AS bytes, "
        "uuid() AS id, NULL AS nothing, 'a,\"b' AS text, 1 AS twice, 2 AS twice"
    )
    sql_verb.run_sql(f"SELECT {kinds}", format, store)
    out = capsys.readouterr().out
    if format == "json":
        (row,) = json.loads(out, parse_constant=lambda name: pytest.fail(name))
        assert (row["no_number"], row["huge"], row["exact"], row["span"]) == (None, 1, 1.5, 90.0)
        assert (row["moment"], row["nested"], row["twice_2"]) == ("2026-01-01T00:00:01", {"a": [1, None]}, 2)
    else:
        header, row = csv.reader(io.StringIO(out))
        assert dict(zip(header, row, strict=True))["text"] == 'a,"b'


@pytest.mark.parametrize("format", ["csv", "json", "table"])
def test_a_query_without_rows_is_no_error(store, capsys, format):
    assert sql_verb.run_sql("SELECT run_id FROM results WHERE false", format, store) == 0
    assert "run-1" not in capsys.readouterr().out


def test_an_unknown_format_is_named(store):
    with pytest.raises(ConfigError, match=r"unknown format 'jsn' \(did you mean 'json'\?\)"):
        sql_verb.run_sql("SELECT 1", "jsn", store)


def test_runs_that_wait_for_an_ingest_are_mentioned_beside_the_data(store, add_run, capsys):
    add_run("run-3")
    sql_verb.run_sql("SELECT count(*) AS n FROM results", "json", store)
    out = capsys.readouterr()
    assert json.loads(out.out) == [{"n": 2}]
    assert "1 finished runs are not in the store yet" in out.err


def test_ingest_says_what_it_did_and_what_it_refused(outputs, add_run, capsys):
    add_run("run-1")
    (add_run("torn") / "run.json").write_text("{")
    assert store_verbs.run_ingest(str(outputs)) == 0
    out = capsys.readouterr()
    assert out.out.startswith("1 runs added, 0 there already")
    assert out.err.startswith("quarantined: ")
    assert out.err.count("\n") == 1


def test_compact_says_what_it_packed(store, capsys):
    assert store_verbs.run_compact(store) == 0
    assert capsys.readouterr().out == "2 bundles packed into 1 packs, 0 left as they are\n"


def test_compare_shows_settings_metrics_and_what_got_worse(outputs, store, add_run, capsys, define_metrics):
    from framework.contracts import MetricDefinition

    define_metrics(MetricDefinition("total_tok_s", "tok/s", "", "higher"))
    add_run("run-3", {"total_tok_s": 1.0}, params={"backend.max_num_seqs": 4})
    ingest(outputs)
    assert store_verbs.run_compare("run-2", "run-3", store) == 0
    out = capsys.readouterr().out
    assert "backend.max_num_seqs" in out
    assert "run-3 is worse than run-2 by more than noise" in out


@pytest.mark.integration
def test_sql_stays_light(store):
    query = "SELECT count(*) FROM results"
    code = (
        "import sys; from framework.cli.sql_verb import run_sql; "
        f"run_sql({query!r}, 'csv', {store!r}); "
        "heavy = {'pyarrow', 'numpy', 'pandas', 'fsspec', 'rich', 'hydra'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
