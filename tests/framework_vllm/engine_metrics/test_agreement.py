from __future__ import annotations

import zlib
from math import inf

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.contracts import Metric
from framework_serving.tables import requests_out
from framework_vllm.client.load_contracts import LoadOutcome, client_requests_schema
from framework_vllm.engine_metrics.agreement import agreement, differing_buckets
from framework_vllm.engine_metrics.exposition import Histogram
from framework_vllm.engine_metrics.record import EngineRecord, engine_record
from framework_vllm.engine_metrics.scraper import Scrape, ServerScraper
from tests.docs.pages import documented_checks

FAMILIES = {
    "time_to_first_token_seconds": [0.020, 0.040],
    "inter_token_latency_seconds": [0.010] * 6,
    "request_generation_tokens": [4.0, 4.0],
    "request_prompt_tokens": [10.0, 10.0],
}
DOCUMENTED = documented_checks("vllm.md", "Do client and engine agree")


def histogram(name: str, values: list[float]) -> str:
    lines = [f"# TYPE vllm:{name} histogram"]
    for bound in (0.025, 5.0, inf):
        count = sum(value <= bound for value in values)
        lines.append(f'vllm:{name}_bucket{{le="{str(bound).replace("inf", "+Inf")}"}} {count}')
    return "\n".join([*lines, f"vllm:{name}_count {len(values)}", f"vllm:{name}_sum {sum(values)}"])


def record(output_tokens: float = 8.0, input_tokens: float = 20.0) -> EngineRecord:
    def text(scale: float) -> str:
        counters = {"generation_tokens": scale * output_tokens, "prompt_tokens": scale * input_tokens}
        parts = [histogram(name, values if scale else []) for name, values in FAMILIES.items()]
        parts += [
            f"# TYPE vllm:{name}_total counter\nvllm:{name}_total {value}" for name, value in counters.items()
        ]
        parts.append("# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 0")
        return "\n".join(parts) + "\n"

    scraper = ServerScraper("http://nowhere", {}, None)
    scraper.scrapes = [
        Scrape(t_s, t_s, zlib.compress(text(scale).encode())) for t_s, scale in ((0.0, 0.0), (1.0, 1.0))
    ]
    return engine_record([scraper], 0.5)


def load(
    first_token_s: tuple[float, float] = (0.021, 0.041),
    itl_ms: float = 10.0,
    stated: tuple[int, int] = (4, 4),
    status: str = "finished",
    retries: int = 0,
) -> LoadOutcome:
    requests = [
        {
            "request_id": number, "arrival_s": 0.0, "first_token_s": first_token_s[number], "last_token_s": 1.0,
            "input_tokens": 10, "output_tokens": 4, "status": status,
        }
        for number in range(2)
    ]  # fmt: skip
    seen = [
        {"request_id": number, "sent_s": 0.0, "attempts": 1, "events": 4, "prompt_tokens": 10,
         "completion_tokens": stated[number]}
        for number in range(2)
    ]  # fmt: skip
    return LoadOutcome(
        pa.Table.from_pylist(requests, requests_out()),
        pa.Table.from_pylist(seen, client_requests_schema()),
        0.0,
        1.0,
        [Metric("itl_mean_ms", itl_ms, "ms")],
        {"client_retries": retries},
    )


def verdicts(outcome: LoadOutcome, engine: EngineRecord) -> dict[str, str]:
    found = agreement(outcome, engine)
    assert {check.name for check in found} <= DOCUMENTED
    return {check.name: check.verdict for check in found}


def test_a_client_that_saw_what_the_engine_did_passes_everything() -> None:
    found = verdicts(load(), record())
    assert set(found.values()) == {"pass"}
    of_the_device, without_metrics = {"device_named"}, {"engine_metrics"}
    assert set(found) == DOCUMENTED - of_the_device - without_metrics


def test_tokens_that_only_one_of_them_saw_fail_the_run() -> None:
    assert verdicts(load(), record(output_tokens=9.0))["engine_output_tokens"] == "fail"
    assert verdicts(load(), record(input_tokens=19.0))["engine_input_tokens"] == "fail"
    assert verdicts(load(stated=(4, 5)), record())["usage_output_tokens"] == "fail"


def test_after_a_retry_the_engine_may_have_counted_more() -> None:
    assert verdicts(load(retries=1), record(output_tokens=9.0))["engine_output_tokens"] == "warn"


def test_totals_are_not_compared_where_requests_were_cut() -> None:
    assert "engine_output_tokens" not in verdicts(load(status="running"), record(output_tokens=6.0))


@pytest.mark.parametrize(
    ("late_s", "verdict"), [(0.0, "pass"), (0.0019, "pass"), (0.004, "warn"), (1.0, "warn")]
)
def test_a_first_token_that_comes_late_is_remarked(late_s: float, verdict: str) -> None:
    outcome = load(first_token_s=(0.020 + late_s, 0.040 + late_s))
    assert verdicts(outcome, record())["engine_ttft"] == verdict


@pytest.mark.parametrize(
    ("itl_ms", "verdict"), [(10.4, "pass"), (9.6, "pass"), (11.0, "warn"), (0.001, "fail"), (16.0, "fail")]
)
def test_a_client_that_did_not_see_the_tokens_come_fails_the_run(itl_ms: float, verdict: str) -> None:
    assert verdicts(load(itl_ms=itl_ms), record())["engine_itl"] == verdict


def test_without_metrics_of_the_engine_there_is_a_remark_and_nothing_to_compare() -> None:
    found = verdicts(load(), EngineRecord([], "/metrics: HTTP 404"))
    assert found == {"usage_input_tokens": "pass", "usage_output_tokens": "pass", "engine_metrics": "warn"}


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(0, 50))
def test_a_histogram_of_the_values_themselves_differs_nowhere_and_one_value_more_does(
    values: list[int], further: int
) -> None:
    data = np.array(values, dtype=np.int64)
    bounds = (5.0, 20.0, inf)
    own = Histogram({bound: float((data <= bound).sum()) for bound in bounds})
    assert differing_buckets(own, data) == 0
    assert differing_buckets(own, np.append(data, further)) >= 1
