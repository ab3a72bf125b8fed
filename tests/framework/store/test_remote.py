from __future__ import annotations

import uuid

import pytest

from framework.errors import StoreError
from framework.store.bundles.bundle import write_bundle
from framework.store.bundles.heartbeat import Heartbeat
from framework.store.bundles.remote import is_url
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.lookup import done_job_keys


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path) -> str:
    return f"memory://{uuid.uuid4()}" if request.param == "memory" else f"file://{tmp_path}/bucket"


@pytest.mark.slow
def test_bundles_behind_a_url_go_into_a_local_database_once(outputs, url, add_run, record, samples):
    add_run("local-1")
    write_bundle(url, record("remote-1"), {"samples": samples()})
    assert ingest(outputs, bundles=url).added == 2
    write_bundle(url, record("remote-2"), {"samples": samples()})
    report = ingest(outputs)
    assert (report.added, report.skipped) == (1, 2)
    assert Store(outputs).rows("SELECT run_id, location FROM bundles ORDER BY 1")[1] == [
        ("local-1", "runs"),
        ("remote-1", url),
        ("remote-2", url),
    ]
    assert ingest(outputs, rebuild=True).added == 3
    assert Store(outputs).rows("SELECT count(*) FROM samples")[1] == [(12,)]


def test_a_run_behind_a_url_is_done_for_who_resumes_there_or_here(outputs, url, add_run, record, load_run):
    add_run("local-1")
    write_bundle(url, record("remote-1"), {})
    assert done_job_keys(url, ["job-remote-1", "job-local-1"]) == {"job-remote-1": "remote-1"}
    ingest(outputs, bundles=url)
    assert done_job_keys(outputs, ["job-remote-1"]) == {"job-remote-1": "remote-1"}
    assert load_run("remote-1").record == record("remote-1")


def test_the_first_remote_bundle_of_a_run_id_stays(url, record):
    write_bundle(url, record(), {})
    with pytest.raises(StoreError, match="already exists"):
        write_bundle(url, record(), {})


def test_an_upload_that_did_not_end_is_not_a_bundle_and_a_torn_one_is_quarantined(
    outputs, url, record, add_run
):
    from fsspec.core import url_to_fs

    add_run("local-1")
    for run_id in ("partial", "torn", "whole"):
        write_bundle(url, record(run_id), {})
    file_system, root = url_to_fs(url)
    file_system.rm_file(f"{root}/runs/partial/run.json")
    file_system.pipe_file(f"{root}/runs/torn/metrics.parquet", b"PAR1")
    report = ingest(outputs, bundles=url)
    assert report.added == 2
    ((name, reason),) = [(item.name, item.reason) for item in report.quarantined]
    assert name == "torn"
    assert "metrics.parquet has 4 bytes" in reason
    assert ingest(outputs).quarantined == []


def test_a_remote_that_is_out_of_reach_is_a_warning_not_an_end(outputs, add_run, record, monkeypatch):
    url = f"memory://{uuid.uuid4()}"
    write_bundle(url, record("remote-1"), {})
    ingest_first = add_run("local-1")
    assert ingest_first
    ingest(outputs, bundles=url)
    add_run("local-2")
    from fsspec.implementations.memory import MemoryFileSystem

    def unreachable(*_, **__):
        raise TimeoutError("no route to host\nsecond line")

    monkeypatch.setattr(MemoryFileSystem, "glob", unreachable)
    report = ingest(outputs)
    assert report.added == 1
    assert report.warnings == [f"can't read {url}: no route to host"]


def test_a_database_can_not_live_behind_a_url(url):
    with pytest.raises(StoreError, match="the database is a local file"):
        ingest(url)


def test_a_heartbeat_behind_a_url_does_nothing_and_makes_no_folder(url, record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Heartbeat(url, record()):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("s3://bucket/x", True),
        ("simplecache::s3://b", True),
        ("outputs", False),
        ("/a/b", False),
        ("://", False),
    ],
)
def test_urls_are_told_from_folders(location, expected):
    assert is_url(location) is expected
