"""The ResourceManager's REST interface, played by a small server that answers as its documentation says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from framework_hadoop.engines.yarn import application_metrics, kill_tagged

APPS = [
    {
        "id": "application_1_0001",
        "state": "RUNNING",
        "elapsedTime": 4000,
        "memorySeconds": 100,
        "vcoreSeconds": 7,
    },
    {
        "id": "application_1_0002",
        "state": "FINISHED",
        "elapsedTime": 2000,
        "memorySeconds": 50,
        "vcoreSeconds": 3,
    },
]


class ResourceManager(BaseHTTPRequestHandler):
    killed: ClassVar[list[tuple[str, object]]] = []

    def do_GET(self) -> None:
        found = {"app": APPS} if self.path == "/ws/v1/cluster/apps?applicationTags=run-1" else None
        self._answer({"apps": found})

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.killed.append((self.path, body))
        self._answer(body)

    def _answer(self, value: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ResourceManager)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_what_a_runs_applications_used_is_added_up(url: str) -> None:
    values = {metric.name: metric.value for metric in application_metrics(url, "RUN-1")}
    assert values == {"yarn_elapsed_s": 6.0, "yarn_memory_mb_s": 150.0, "yarn_vcore_s": 10.0}


def test_only_unfinished_applications_are_ended(url: str) -> None:
    ResourceManager.killed.clear()
    assert kill_tagged(url, "run-1") == ["application_1_0001"]
    assert ResourceManager.killed == [("/ws/v1/cluster/apps/application_1_0001/state", {"state": "KILLED"})]


def test_figures_are_absent_with_the_reason_when_there_is_nothing_to_ask(url: str) -> None:
    assert all("has no application" in (metric.reason or "") for metric in application_metrics(url, "other"))
    unreachable = application_metrics("http://127.0.0.1:1", "run-1")
    assert unreachable
    assert all(metric.value is None and metric.reason for metric in unreachable)
    assert kill_tagged("http://127.0.0.1:1", "run-1") == []
