from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from framework_vllm.engine_metrics.scraper import MetricScraper
from tests.support.waiting import wait_for


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status = 200
    asked: list[dict[str, str]]

    def do_GET(self) -> None:
        self.asked.append({"path": self.path, "authorization": self.headers.get("Authorization", "")})
        body = f"answer {len(self.asked)}".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (_Handler,), {"asked": []})
    made = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def asked(server: ThreadingHTTPServer) -> list[dict[str, str]]:
    return server.RequestHandlerClass.asked  # type: ignore[attr-defined, no-any-return]


def test_it_looks_before_during_and_after_in_order_of_time(server: ThreadingHTTPServer) -> None:
    with MetricScraper([(url(server), {})], 0.05, settle_s=0.0) as scraper:
        assert len(scraper.servers[0].scrapes) == 1
        scraper.load_began()
        wait_for(lambda: len(scraper.servers[0].scrapes) >= 3)
    found = scraper.servers[0].scrapes
    assert [scrape.text for scrape in found] == [f"answer {number + 1}" for number in range(len(found))]
    assert len(found) >= 4
    for earlier, later in itertools.pairwise(found):
        assert earlier.asked_s <= earlier.time_s <= earlier.answered_s <= later.asked_s


def test_without_a_period_it_looks_only_before_and_after(server: ThreadingHTTPServer) -> None:
    with MetricScraper([(url(server), {})], None, settle_s=0.0):
        time.sleep(0.2)
    assert len(asked(server)) == 2


def test_it_carries_the_headers_of_the_server_and_its_prefix(server: ThreadingHTTPServer) -> None:
    target = (f"{url(server)}/engine", {"Authorization": "Bearer x"})
    with MetricScraper([target], None, settle_s=0.0):
        pass
    assert asked(server)[0] == {"path": "/engine/metrics", "authorization": "Bearer x"}


def test_a_server_that_has_no_metrics_is_not_asked_again_and_again(server: ThreadingHTTPServer) -> None:
    server.RequestHandlerClass.status = 404  # type: ignore[attr-defined]
    with MetricScraper([(url(server), {})], 0.01, settle_s=0.0) as scraper:
        time.sleep(0.2)
    assert len(asked(server)) == 2
    assert scraper.servers[0].scrapes == []
    assert scraper.servers[0].trouble == "/metrics: HTTP 404"


def test_a_server_that_goes_away_leaves_what_it_said(server: ThreadingHTTPServer) -> None:
    server.RequestHandlerClass.protocol_version = (
        "HTTP/1.0"  # a connection that is kept outlives the listener
    )
    with MetricScraper([(url(server), {})], None, settle_s=0.0) as scraper:
        server.shutdown()
        server.server_close()
    assert len(scraper.servers[0].scrapes) == 1
    assert scraper.servers[0].trouble is not None
    assert "refused" in scraper.servers[0].trouble
