"""Did a serving run do what it claims? Findings kept apart from its performance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from framework.contracts import Result, SanityCheck, Verdict, WorkloadTables
from framework_serving.tables import REQUEST_STATUSES, is_serving_result

if TYPE_CHECKING:
    import pyarrow as pa

CLIENT_LAG_WARN_MS, CLIENT_LAG_FAIL_MS = 50.0, 1000.0
"""p99 of how late the client sent a request. The published study lost half of its runs to a client that collapsed."""

EARLY_STOP_WARN = 0.01
"""Share of requests that may end before the asked number of tokens without a remark."""

TIME_TOLERANCE_S = 1e-6


def check(workload: WorkloadTables | None, result: Result) -> list[SanityCheck]:
    """Return the findings on a serving run; none for a run of another domain."""
    if not is_serving_result(result.tables):
        return []
    requests = result.tables["requests"]
    found = [*_statuses(requests), *_times(requests), *_usage(result), *_client_lag(result)]
    if workload is not None:
        found.extend(_trace_rows(workload))
    if workload is not None and "requests" in workload.tables:
        found.extend(_accounted(workload.tables["requests"], requests))
        found.extend(_tokens(workload.tables["requests"], requests))
    return found


def _trace_rows(workload: WorkloadTables) -> Iterator[SanityCheck]:
    """Remark rows of a trace that are not among the requests."""
    bad, failed = (workload.facts.get(name) or 0 for name in ("rows_left_out", "failed_requests_left_out"))
    if bad:
        first = workload.facts.get("first_row_left_out")
        yield SanityCheck("trace_rows", "warn", f"{bad} rows of the trace could not be read: {first} …")
    elif failed:
        yield SanityCheck("trace_rows", "pass", f"{failed} requests of the trace failed and are left out")


def _accounted(asked: pa.Table, got: pa.Table) -> Iterator[SanityCheck]:
    import numpy as np

    wanted, present = asked["request_id"].to_numpy(), got["request_id"].to_numpy()
    missing = int(np.isin(wanted, present, invert=True).sum())
    surplus = got.num_rows - (asked.num_rows - missing)
    if missing or surplus:
        detail = f"{missing} of {asked.num_rows} requests have no row, {surplus} rows too many"
        yield SanityCheck("requests_accounted", "fail", detail)
    else:
        yield SanityCheck("requests_accounted", "pass", f"all {asked.num_rows} requests have a row")


def _tokens(asked: pa.Table, got: pa.Table) -> Iterator[SanityCheck]:
    """Compare the tokens of finished requests with those asked for."""
    import numpy as np
    import pyarrow.compute as pc

    done = got.filter(pc.equal(got["status"], "finished"))
    _, row_asked, row_done = np.intersect1d(
        asked["request_id"].to_numpy(), done["request_id"].to_numpy(), return_indices=True
    )
    finished = len(row_done)
    if not finished:
        return
    excess = {
        name: done[name].to_numpy()[row_done] - asked[name].to_numpy()[row_asked]
        for name in ("input_tokens", "output_tokens")
    }
    wrong_input = int((excess["input_tokens"] != 0).sum())
    longer = int((excess["output_tokens"] > 0).sum())
    shorter = int((excess["output_tokens"] < 0).sum())
    verdict: Verdict = "pass"
    if wrong_input or longer:
        verdict = "fail"
    elif shorter > EARLY_STOP_WARN * finished:
        verdict = "warn"
    detail = (
        f"of {finished} finished: {wrong_input} with other input, {longer} longer, {shorter} "
        "shorter output than requested"
    )
    yield SanityCheck("token_counts", verdict, detail)


def _statuses(requests: pa.Table) -> Iterator[SanityCheck]:
    import pyarrow.compute as pc

    counts = {item["values"]: item["counts"] for item in pc.value_counts(requests["status"]).to_pylist()}
    unknown = set(counts) - set(REQUEST_STATUSES)
    if unknown:
        yield SanityCheck("request_status", "fail", f"unknown status: {', '.join(sorted(map(str, unknown)))}")
    bad = {status: counts[status] for status in ("failed", "refused") if counts.get(status)}
    if bad:
        share = sum(bad.values()) / requests.num_rows
        detail = ", ".join(f"{count} {status}" for status, count in bad.items())
        verdict: Verdict = "fail" if share > 0.01 else "warn"
        yield SanityCheck("requests_served", verdict, f"{detail} of {requests.num_rows} requests")
    else:
        yield SanityCheck("requests_served", "pass", "no request failed or was refused")


def _times(requests: pa.Table) -> Iterator[SanityCheck]:
    """Arrival ≤ scheduled ≤ first token ≤ last token, where known; a finished request has all of them."""
    import pyarrow.compute as pc

    order = ("arrival_s", "scheduled_s", "first_token_s", "last_token_s")
    wrong = 0
    for earlier, later in pairwise(order):
        gap = pc.subtract(requests[later], requests[earlier])
        wrong += pc.sum(pc.less(gap, -TIME_TOLERANCE_S)).as_py() or 0
    finished = requests.filter(pc.equal(requests["status"], "finished"))
    unknown = finished["first_token_s"].null_count + finished["last_token_s"].null_count
    verdict: Verdict = "fail" if wrong or unknown else "pass"
    yield SanityCheck(
        "request_times", verdict, f"{wrong} times out of order, {unknown} missing in finished requests"
    )


def _usage(result: Result) -> Iterator[SanityCheck]:
    import pyarrow.compute as pc

    samples = result.tables.get("samples")
    if samples is None:
        return
    usage = samples.filter(pc.equal(samples["name"], "kv_usage"))["value"]
    if len(usage) == 0:
        return
    ends = pc.min_max(usage).as_py()
    inside = ends["min"] >= -1e-9 and ends["max"] <= 1 + 1e-9
    detail = f"KV usage samples from {ends['min']:.3g} to {ends['max']:.3g}"
    yield SanityCheck("kv_usage_range", "pass" if inside else "fail", detail)


def _client_lag(result: Result) -> Iterator[SanityCheck]:
    """Judge `client_lag_p99_ms`, a fact of backends that send requests over a network."""
    lag = result.facts.get("client_lag_p99_ms")
    if not isinstance(lag, int | float):
        return
    verdict: Verdict = "pass" if lag < CLIENT_LAG_WARN_MS else "warn" if lag < CLIENT_LAG_FAIL_MS else "fail"
    yield SanityCheck("client_lag", verdict, f"99 % of requests were sent at most {lag:.3g} ms late")
