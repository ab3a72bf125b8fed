from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from framework.contracts import Result, WorkloadTables
from framework.store.database.schema import declared_tables
from framework_serving import tables
from framework_serving.metrics.sanity import check
from tests.docs.pages import documented_checks

DOCUMENTED = documented_checks("serving_metrics.md", "Sanity checks")
COLUMNS = tables.requests_out().names
GOOD = {
    "request_id": [0, 1],
    "arrival_s": [0.0, 1.0],
    "scheduled_s": [0.0, 1.5],
    "first_token_s": [0.5, 2.0],
    "last_token_s": [1.0, 3.0],
    "input_tokens": [10, 20],
    "output_tokens": [3, 4],
    "adapter_id": [None, None],
    "preemptions": [0, 0],
    "status": ["finished", "finished"],
    "error": [None, None],
}


def verdicts(
    facts: dict[str, Any] | None = None, series: pa.Table | None = None, **changed: list[Any]
) -> dict[str, str]:
    got = pa.table({name: changed.get(name, GOOD[name]) for name in COLUMNS}, schema=tables.requests_out())
    asked = pa.table({name: GOOD[name] for name in tables.requests_in().names}, schema=tables.requests_in())
    workload = WorkloadTables({"requests": asked, "adapters": tables.adapters().empty_table()}, "hash")
    present = {"requests": got} | ({"samples": series} if series is not None else {})
    found = check(workload, Result(tables=present, facts=facts or {}))
    assert {item.name for item in found} <= DOCUMENTED
    return {item.name: item.verdict for item in found}


def kv_usage(peak: float) -> pa.Table:
    return pa.table([[0.0], ["kv_usage"], [peak]], schema=declared_tables()["samples"])


def test_clean_run_passes_every_check() -> None:
    assert verdicts() == {
        "requests_served": "pass",
        "request_times": "pass",
        "requests_accounted": "pass",
        "token_counts": "pass",
    }


DEFECTS: list[tuple[dict[str, list[Any]], str, str]] = [
    ({"request_id": [0, 7]}, "requests_accounted", "fail"),
    ({"request_id": [0, 0]}, "requests_accounted", "fail"),
    ({"input_tokens": [10, 21]}, "token_counts", "fail"),
    ({"output_tokens": [3, 5]}, "token_counts", "fail"),
    ({"output_tokens": [3, 2]}, "token_counts", "warn"),
    ({"status": ["finished", "lost"]}, "request_status", "fail"),
    ({"status": ["finished", "failed"]}, "requests_served", "fail"),
    ({"status": ["refused", "finished"]}, "requests_served", "fail"),
    ({"first_token_s": [0.5, 1.0]}, "request_times", "fail"),
    ({"last_token_s": [1.0, None]}, "request_times", "fail"),
]


@pytest.mark.parametrize(("changed", "name", "verdict"), DEFECTS)
def test_defect_is_found_by_its_check(changed: dict[str, list[Any]], name: str, verdict: str) -> None:
    assert verdicts(**changed)[name] == verdict


def test_every_documented_check_is_made() -> None:
    made = {name for changed, _, _ in DEFECTS for name in verdicts(**changed)}
    assert made | set(verdicts({"client_lag_p99_ms": 3.0}, kv_usage(1.0))) == DOCUMENTED


@pytest.mark.parametrize(("lag_ms", "verdict"), [(3.0, "pass"), (200.0, "warn"), (5000.0, "fail")])
def test_client_that_sends_late_is_judged(lag_ms: float, verdict: str) -> None:
    assert verdicts(facts={"client_lag_p99_ms": lag_ms})["client_lag"] == verdict


@pytest.mark.parametrize(("peak", "verdict"), [(1.0, "pass"), (1.2, "fail")])
def test_kv_usage_beyond_the_cache_is_a_defect(peak: float, verdict: str) -> None:
    assert verdicts(series=kv_usage(peak))["kv_usage_range"] == verdict


def test_run_without_its_workload_is_still_checked_for_order() -> None:
    got = pa.table({name: GOOD[name] for name in COLUMNS}, schema=tables.requests_out())
    names = {item.name for item in check(None, Result(tables={"requests": got}))}
    assert names == {"requests_served", "request_times"}


def test_run_of_another_domain_is_not_judged() -> None:
    assert check(None, Result(tables={"jobs": pa.table({"a": [1]})})) == []
