"""Rates of what runs, from a log and from engines' counters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from framework.errors import InputError, UserError
from framework_serving.advice.fleet.adapter_list import Deployment
from framework_serving.advice.fleet.running_load import logged_load, read_metrics, scraped_load

pytest.importorskip("prometheus_client")
DEPLOYMENT = Deployment("m", (("l4", 4, ("x", "y")),), {"x": 8, "y": 32}, {"x": 0.3, "y": 0.1})
METRICS = """# TYPE vllm:request_success counter
vllm:request_success_total{{finished_reason="stop"}} {stop}
vllm:request_success_total{{finished_reason="length"}} 5
# TYPE vllm:prompt_tokens counter
vllm:prompt_tokens_total {prompts}
# TYPE vllm:generation_tokens counter
vllm:generation_tokens_total {outputs}
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc 0.97
# TYPE vllm:lora_requests_info gauge
vllm:lora_requests_info{{max_lora="2",running_lora_adapters="x",waiting_lora_adapters=""}} 1.0
vllm:lora_requests_info{{max_lora="2",running_lora_adapters="x",waiting_lora_adapters="x,y"}} 2.0
"""


class Server:
    """Counts 12 more requests, of 100 and 50 tokens, each time it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def text(self, url: str = "") -> str:
        self.reads += 1
        done = 12 * self.reads
        return METRICS.format(stop=done, prompts=100 * done, outputs=50 * done)


def test_an_engine_that_serves_more_than_planned_scales_the_rates_and_shows_its_troubles() -> None:
    found = scraped_load(["a"], 60.0, DEPLOYMENT, Server().text, lambda seconds: None)
    assert found.named.names == ("x", "y")
    assert found.named.adapters.rate_rps.tolist() == pytest.approx([0.6, 0.2])  # 48 in 60 s, 0.4 planned
    assert found.named.adapters.rank.tolist() == [8, 32]
    assert found.named.adapters.input_mean.tolist() == pytest.approx([100, 100])
    text = "; ".join(found.remarks)
    assert "0.8 requests/s, planned 0.4" in text
    assert "runs with --max-loras 2, the deployment says 4" in text
    assert "adapters wait for a slot in 100 % of the readings" in text
    assert "the KV cache is full" in text


def test_adapters_that_were_planned_for_no_request_share_what_is_counted() -> None:
    silent = replace(DEPLOYMENT, rates={"x": 0.0, "y": 0.0})
    found = scraped_load(["a"], 60.0, silent, Server().text, lambda seconds: None)
    assert found.named.adapters.rate_rps.tolist() == pytest.approx([0.4, 0.4])


def test_servers_that_finish_no_request_give_no_rate_to_plan_for() -> None:
    text = METRICS.format(stop=3, prompts=300, outputs=150)
    with pytest.raises(UserError, match="no request was finished in 60 s"):
        scraped_load(["a"], 60.0, DEPLOYMENT, lambda url: text, lambda seconds: None)


@pytest.fixture
def url() -> Iterator[str]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(server.text().encode())

        def log_message(self, *words: object) -> None:
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/metrics"
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_server_is_read_over_http(url: str) -> None:
    found = scraped_load([url], 0.01, DEPLOYMENT)
    assert found.named.adapters.rate_rps.sum() == pytest.approx(4800)


def test_what_can_not_be_read_is_named() -> None:
    with pytest.raises(UserError, match="2 URLs for 1 GPUs"):
        scraped_load(["a", "b"], 1.0, DEPLOYMENT)
    with pytest.raises(UserError, match="ftp://x: must begin with"):
        scraped_load(["ftp://x"], 1.0, DEPLOYMENT)
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1/metrics: does not answer"):
        scraped_load(["127.0.0.1:1/metrics"], 1.0, DEPLOYMENT)
    with pytest.raises(InputError, match=r"here: no vllm:request_success_total"):
        read_metrics("a 1\n", "here")


LOG = "arrival_s,input_tokens,output_tokens,adapter\n"


def test_a_log_gives_the_rate_and_the_tokens_of_each_adapter(tmp_path: Path) -> None:
    rows = [
        f"{second},{100 if second % 2 else 200},50,{'x' if second % 4 else 'new'}" for second in range(101)
    ]
    (tmp_path / "log.csv").write_text(LOG + "\n".join(rows))
    found = logged_load(tmp_path / "log.csv", "adapter", DEPLOYMENT, 16)
    rates = dict(zip(found.named.names, found.named.adapters.rate_rps.tolist(), strict=True))
    assert rates == pytest.approx({"new": 0.26, "x": 0.75, "y": 0.0})
    assert dict(zip(found.named.names, found.named.adapters.rank.tolist(), strict=True)) == {
        "new": 16,
        "x": 8,
        "y": 32,
    }
    assert found.remarks == ("not in the deployment, taken as rank 16: new",)


def test_requests_for_the_base_model_are_one_more_adapter_that_enlarges_no_slot(tmp_path: Path) -> None:
    rows = [f"{second},100,50,{'x' if second % 2 else ''}" for second in range(101)]
    (tmp_path / "log.csv").write_text(LOG + "\n".join(rows))
    found = logged_load(tmp_path / "log.csv", "adapter", DEPLOYMENT, 16)
    assert found.named.names == ("(base model)", "x", "y")
    assert found.named.adapters.rank.tolist() == [8, 8, 32]
    assert found.remarks == (
        "50 % of the requests are for the base model; they are planned as one more adapter",
    )


def test_a_log_without_adapters_says_which_column_was_looked_at(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG + "0,1,1,\n1,1,1,\n")
    with pytest.raises(UserError, match="no request names an adapter in column 'adapter'"):
        logged_load(tmp_path / "log.csv", "adapter", None, 16)
