from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.contracts import Metric, SanityCheck
from framework.errors import StoreError
from framework.run_record import Failure, RunRecord
from framework.store.bundles.bundle import read_bundle, verify_bundle, write_bundle
from framework.store.bundles.record_json import leaves, record_from_json, record_to_json


def test_a_bundle_gives_back_the_record_and_the_tables_it_was_written_from(outputs, record, samples):
    written = record(failure=Failure("backend", "ValueError", "no", "tail"), status="failed")
    path = write_bundle(outputs, written, {"samples": samples()})
    bundle = read_bundle(path)
    assert bundle.record == written
    assert bundle.tables["samples"].drop_columns(["run_id"]).equals(samples())
    assert set(bundle.tables["samples"]["run_id"].to_pylist()) == {"run-1"}
    assert bundle.tables["params"].num_rows == len(list(leaves(written.config)))


def test_every_table_is_plain_parquet_with_its_run_id(outputs, record, samples):
    path = write_bundle(outputs, record(), {"samples": samples()})
    for name in ("metrics", "params", "samples"):
        assert pq.read_table(path / f"{name}.parquet").column_names[0] == "run_id"


def test_the_first_bundle_of_a_run_id_stays(outputs, record):
    path = write_bundle(outputs, record(), {})
    with pytest.raises(StoreError, match="already exists"):
        write_bundle(outputs, record(experiment="other"), {})
    assert read_bundle(path).record.experiment == "memory_gap"


def test_a_refused_table_leaves_nothing_behind(outputs, record):
    with pytest.raises(StoreError, match=r"'samples': column 'valu'.*did you mean 'value'"):
        write_bundle(outputs, record(), {"samples": pa.table({"t_s": [0.0], "name": ["a"], "valu": [1.0]})})
    assert not outputs.exists() or os.listdir(outputs / "runs") == []


def test_an_artifact_that_vanished_leaves_nothing_behind(outputs, record, tmp_path):
    with pytest.raises(StoreError, match=r"keep the artifact .*engine\.log: it does not exist"):
        write_bundle(outputs, record(), {}, {"log/engine.log": tmp_path / "engine.log"})
    assert os.listdir(outputs / "runs") == []


def test_an_altered_artifact_is_found_by_verify(outputs, record, tmp_path):
    log = tmp_path / "engine.log"
    log.write_text("engine up")
    path = write_bundle(outputs, record(), {}, {"log/engine.log": log})
    verify_bundle(path)
    (path / "artifacts/log/engine.log").write_text("engine UP")
    with pytest.raises(StoreError, match=r"artifacts/log/engine.log does not match its checksum"):
        verify_bundle(path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_no_finite_number_is_absent_with_a_reason(outputs, record, value):
    path = write_bundle(outputs, record(metrics=[Metric("ttft_mean_ms", value)]), {})
    (row,) = read_bundle(path).tables["metrics"].to_pylist()
    assert row["value"] is None
    assert "not a finite number" in row["reason"]


def test_run_json_is_strict_json_even_with_an_infinite_rate(outputs, record):
    path = write_bundle(outputs, record(config={"workload": {"rate_rps": math.inf}}), {})
    json.loads((path / "run.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    (row,) = read_bundle(path).tables["params"].to_pylist()
    assert (row["value"], row["number"]) == ("inf", math.inf)


def test_an_explicit_null_is_not_a_text_and_not_a_zero(outputs, record):
    path = write_bundle(outputs, record(config={"backend": {"quantization": None}}), {})
    (row,) = read_bundle(path).tables["params"].to_pylist()
    assert (row["value"], row["number"]) == (None, None)


DYING_WRITER = """
import os, signal, sys
from framework.store import durable
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
calls = 0
def dying(function):
    def wrapper(*args, **kwargs):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapper
durable.write_flushed = dying(durable.write_flushed)
durable.flush_folder = dying(durable.flush_folder)
os.rename = dying(os.rename)
write_bundle(sys.argv[1], RunRecord("run-1", "k", "e", "b", "done", "2026-01-01T00:00:00+00:00"), {})
"""


@pytest.mark.integration
@pytest.mark.parametrize("step", range(1, 7))
def test_a_writer_killed_at_any_step_leaves_a_whole_bundle_or_none(outputs, step):
    subprocess.run([sys.executable, "-c", DYING_WRITER, str(outputs), str(step)], check=False)
    visible = [name for name in os.listdir(outputs / "runs") if not name.startswith(".")]
    for name in visible:
        verify_bundle(outputs / "runs" / name)
    assert visible in ([], ["run-1"])


names = st.text(st.characters(codec="utf-8", exclude_characters="."), min_size=1, max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
trees = st.recursive(
    scalars | numbers,
    lambda inner: st.dictionaries(names, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
)
metrics = st.builds(
    Metric,
    name=names,
    value=st.none() | numbers,
    unit=st.sampled_from(["", "ms"]),
    source=st.text(st.characters(codec="utf-8"), max_size=5),
    reason=st.none() | st.text(st.characters(codec="utf-8"), max_size=5),
    low=st.none() | numbers,
    updates=st.none() | st.integers(0, 2**40),
)
records = st.builds(
    RunRecord,
    run_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,30}", fullmatch=True),
    run_key=names,
    experiment=names,
    backend=names,
    status=st.sampled_from(["done", "failed"]),
    started_at=st.datetimes().map(lambda moment: moment.isoformat() + "+00:00"),
    sweep_index=st.none() | st.integers(0, 10**6),
    sanity=st.sampled_from([None, "pass", "warn", "fail"]),
    checks=st.lists(st.builds(SanityCheck, names, st.sampled_from(["pass", "fail"]), names), max_size=2).map(
        tuple
    ),
    metrics=st.lists(metrics, max_size=4, unique_by=lambda metric: metric.name).map(tuple),
    config=st.dictionaries(names, trees, max_size=3),
    facts=st.dictionaries(names, trees, max_size=3),
    failure=st.none() | st.builds(Failure, names, names, names),
)


@given(records)
def test_a_record_survives_json(written):
    document = json.loads(json.dumps(record_to_json(written)))
    assert record_from_json(document, "test") == written


@settings(max_examples=40, deadline=None)
@given(written=records)
def test_a_bundle_survives_the_disk(tmp_path_factory, written):
    path = write_bundle(tmp_path_factory.mktemp("outputs"), written, {})
    bundle = read_bundle(path)
    assert bundle.record == written
    assert bundle.tables["metrics"]["value"].to_pylist() == [metric.value for metric in written.metrics]
    assert bundle.tables["params"]["name"].to_pylist() == [name for name, _ in leaves(written.config)]


@settings(max_examples=40, deadline=None)
@given(
    table=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "run_id"),
        st.sampled_from(
            [pa.array(column) for column in ([1, None], ["a", None], [-0.0, None], [True, None], [[1], None])]
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_table_that_no_plugin_declares_survives_the_disk(tmp_path_factory, table):
    written = pa.table(table)
    record = RunRecord("run-1", "k", "e", "b", "done", "2026-01-01T00:00:00+00:00")
    path = write_bundle(tmp_path_factory.mktemp("outputs"), record, {"extra": written})
    assert read_bundle(path).tables["extra"].drop_columns(["run_id"]).equals(written)
