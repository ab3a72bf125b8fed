"""A small store behind the dashboard's application, asked without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from framework.dashboard.desk import Desk
from framework.dashboard.guard import Admission
from framework.dashboard.web_app import build_app
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.query_limits import QueryLimits
from framework.store.side_files.answers import write_advice
from tests.framework.report.sample_study import advice, done_run, study

SCRIPT = "<script>alert(1)</script>"
HOSTILE = f'"><img src=x onerror=alert(1)>{SCRIPT}'
HOME = "http://localhost:8765"
LIMITS = QueryLimits(timeout_s=0.5, memory_gib=0.2, rows=50)

Client = Callable[..., TestClient]


def hostile_run() -> RunRecord:
    run = done_run(40, experiment=HOSTILE)
    return replace(run, run_id="2026-99999", run_key="hostile")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a study, a failed run, advice, samples, a log, and names that are markup."""
    folder = tmp_path_factory.mktemp("store") / "outputs"
    folder.mkdir()
    times = [float(second) for second in range(20)]
    samples = pa.table(
        {"t_s": times * 2, "name": ["running"] * 20 + [SCRIPT] * 20, "value": [*times, *times]},
        schema=pa.schema([("t_s", pa.float64()), ("name", pa.string()), ("value", pa.float64())]),
    )
    log = folder / "engine.log"
    log.write_text(f"began\n{SCRIPT}\n")
    for index, record in enumerate([*study(), hostile_run()]):
        special = index == 0 or record.experiment == HOSTILE
        tables = {"samples": samples} if special else {}
        write_bundle(folder, record, tables, {"log/engine.log": log} if special else {})
    write_advice(folder, [advice(["2026-00003"])], "study", "study-abc")
    ingest(folder)
    return folder


@pytest.fixture(scope="module")
def client(outputs: Path) -> Iterator[Client]:
    """Return a function that opens the application as a browser on this machine would."""

    desks: list[Desk] = []

    def opened(admission: Admission | None = None, **headers: str) -> TestClient:
        desks.append(Desk(outputs, LIMITS))
        app = build_app(desks[-1], admission or Admission())
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return TestClient(
            app, base_url=HOME, headers=names, raise_server_exceptions=False, follow_redirects=False
        )

    return opened


@pytest.fixture(scope="module")
def here(client: Client) -> TestClient:
    return client()
