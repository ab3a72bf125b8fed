"""GuideLLM's report: several benchmarks (a rate each), in `benchmarks.json` or `.yaml` each with its requests.

Its table and its page of the same run say less (`guidellm_exports`); of several forms the one that says most counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from framework.contracts import ImportedRun, SanityCheck
from framework.errors import InputError
from framework.identity.run_key import canonical_hash
from framework.input_files.file_head import FileHead
from framework_serving.result_files.gathered_run import Outcome, at, content_of, number
from framework_serving.result_files.guidellm_exports import page_benchmarks, table_benchmarks
from framework_serving.result_files.metric_names import FAILED, GUIDELLM, PROMPTS, statistic
from framework_serving.result_files.request_rows import RequestRow, requests_of
from framework_serving.result_files.written_documents import documents

KIND = "guidellm"
_SECONDS = {"e2e": 1e3}
_SCALARS = ("requests_s", "output_tok_s", "total_tok_s", "goodput_requests_s")
_DETAIL = {"page": 1, "table": 2}
_STATES = ("successful", "errored", "incomplete")


def recognise(head: FileHead) -> str | None:
    """Say whether a file is a report of GuideLLM, in which form, and of which version."""
    form = _form(head)
    if form != "JSON":
        return f"report of GuideLLM ({form})" if form else None
    benchmarks = at(head.document, "benchmarks")
    version = at(head.document, "metadata", "guidellm_version")
    return f"report of GuideLLM{f' {version}' if version else ''} with {len(benchmarks)} benchmarks"


def _form(head: FileHead) -> str | None:
    """Return `JSON`, `YAML`, `table` or `page`; None for what is no report of GuideLLM."""
    text = head.text.lstrip()
    if text.startswith("<"):
        return "page" if "GuideLLM" in text else None
    if text.startswith("benchmarks:"):
        return "YAML" if "\n    strategy:" in text else None
    if text.startswith("{"):
        benchmarks = at(head.document, "benchmarks")
        if not isinstance(benchmarks, list) or not (head.keys & {"metadata", "args", "config"}):
            return None
        return "JSON" if all(isinstance(item, dict) and "metrics" in item for item in benchmarks) else None
    return "table" if {"Run Info", "Benchmark", "Token Metrics"} <= set(head.columns) else None


def read(file: Path) -> Iterator[ImportedRun]:
    """Yield a run for each benchmark. Raises `InputError` naming file and benchmark."""
    form = _form(FileHead(file))
    if form in ("table", "page"):
        found = table_benchmarks(file) if form == "table" else page_benchmarks(file)
        parts = [(report, benchmark, rest) for report, benchmark, rest in found]
    else:
        parts = [(report, benchmark, {}) for report, benchmark in _written(file)]
    for place, (report, benchmark, rest) in enumerate(parts):
        if not isinstance(at(benchmark, "metrics"), Mapping):
            raise InputError(f"{file}, benchmark {place}: contains no metrics")
        content = content_of([benchmark, rest] if rest else benchmark)
        try:
            made = _benchmark(report, benchmark)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise InputError(f"{file}, benchmark {place}: {error}") from error
        for name, value in rest.items():
            made.leave(name, value)
        identity = at(benchmark, "config", "id_") or at(benchmark, "id_") or place
        run = made.run(f"{identity}-{content[:8]}", content)
        yield replace(run, begin=_shared_by_forms(benchmark), detail=_DETAIL.get(form or "", 3))
    if not parts:
        raise InputError(f"{file}: contains no benchmark")


def _written(file: Path) -> Iterator[tuple[Any, Any]]:
    for line, report in documents(file):
        benchmarks = at(report, "benchmarks")
        if not isinstance(benchmarks, list):
            raise InputError(f"{file}, line {line}: is not a report of GuideLLM: no list 'benchmarks'")
        yield from ((report, benchmark) for benchmark in benchmarks)


def _shared_by_forms(benchmark: Any) -> str:
    """Return a digest of what all forms of a report say of a benchmark; "" where requests failed, or little is said.

    The page knows no benchmark's id, and rates of all requests only.
    """
    metrics = at(benchmark, "metrics")
    if at(metrics, "request_totals", "successful") != at(metrics, "request_totals", "total"):
        return ""
    rates = [at(metrics, name, "successful", "mean") for name in ("requests_per_second", "tokens_per_second")]
    tails = [
        at(metrics, name, "successful", "percentiles", end)
        for name in ("time_to_first_token_ms", "request_latency")
        for end in ("p95", "p99")
    ]
    told = [number(value) for value in (*rates, *tails)]
    return "" if None in told else canonical_hash([f"{value:.9g}" for value in told])


def _benchmark(report: Mapping[str, Any], benchmark: Mapping[str, Any]) -> Outcome:
    outcome = Outcome(KIND, workload={"name": "recorded"})
    spec = at(report, "config", "spec") or at(report, "args") or {}
    model = at(benchmark, "config", "backend", "model") or at(spec, "backend", "model") or at(spec, "model")
    outcome.model = model if isinstance(model, str) else None
    strategy = at(benchmark, "config", "strategy") or at(benchmark, "args", "strategy") or {}
    outcome.arrivals = _arrivals(strategy)
    version = at(report, "metadata", "guidellm_version")
    if version:
        outcome.facts["client_version"] = f"guidellm {version}"
    for name, value in benchmark["metrics"].items():
        _metric(outcome, name, value)
    outcome.take("duration_s", benchmark.get("duration"), "duration")
    totals = at(benchmark, "metrics", "request_totals") or {}
    outcome.take("completed", at(totals, "successful"), "request_totals.successful")
    outcome.take(PROMPTS, at(totals, "total"), "request_totals.total")
    lost = [number(at(totals, state)) for state in _STATES[1:]]
    if None not in lost:
        outcome.figures[FAILED] = sum(value or 0.0 for value in lost)
    for warning in benchmark.get("warnings") or []:
        text = at(warning, "message") or str(warning)
        outcome.checks.append(SanityCheck("client_warnings", "warn", str(text)[:300]))
    rows = _rows(benchmark, outcome)
    if rows:
        outcome.requests = requests_of(rows)
    return outcome


def _metric(outcome: Outcome, name: str, by_state: Any) -> None:
    """Take the figures of finished requests; those of others, and what has no name of ours, stay under their own."""
    ours = GUIDELLM.get(name)
    if name == "request_totals":
        return
    done = at(by_state, "successful")
    if done is None and isinstance(by_state, Mapping) and "mean" in by_state:
        done = by_state
    if ours is None or not isinstance(done, Mapping):
        mean = at(done, "mean")
        if number(mean):
            outcome.leave(f"{name}.mean", mean)
        return
    if ours in _SCALARS:
        outcome.take(ours, done.get("mean"), name)
        return
    factor = _SECONDS.get(ours, 1.0)
    suffix = "" if ours.endswith("tokens") else "_ms"
    outcome.take(f"{ours}_mean{suffix}", done.get("mean"), f"{name}.mean", factor)
    for key, value in {"p50": done.get("median"), **(at(done, "percentiles") or {})}.items():
        wanted = statistic(key)
        if wanted and suffix and ours != "itl":
            outcome.take(f"{ours}_{wanted}_ms", value, f"{name}.{key}", factor)
        elif number(value):
            outcome.leave(f"{name}.{key}", value)


def _arrivals(strategy: Mapping[str, Any]) -> dict[str, Any]:
    kind = at(strategy, "type_")
    rate, streams = number(at(strategy, "rate")), number(at(strategy, "streams"))
    if kind in ("constant", "poisson", "async") and rate:
        return {"kind": "constant" if kind == "constant" else "poisson", "rate_rps": rate}
    if kind == "concurrent" and (streams or rate):
        return {"kind": "concurrency", "concurrency": int(streams or rate or 0)}
    if kind == "synchronous":
        return {"kind": "concurrency", "concurrency": 1}
    if kind == "throughput":
        return {"kind": "burst", "rate_rps": None}
    return {}


def _rows(benchmark: Mapping[str, Any], outcome: Outcome) -> list[RequestRow]:
    """Return the requests, if the report holds all of them."""
    groups = benchmark.get("requests")
    if not isinstance(groups, Mapping):
        return []
    rows = []
    for state in _STATES:
        for place, request in enumerate(groups.get(state) or []):
            rows.append(_row(state, place, request))
    known = [row for row in rows if row is not None]
    total = outcome.figures.get(PROMPTS)
    if len(known) < len(rows) or (total is not None and total != len(known)):
        outcome.notes.append(f"the report holds {len(known)} of {total or len(rows):g} requests: not kept")
        return []
    return known


def _row(state: str, place: int, request: Mapping[str, Any]) -> RequestRow | None:
    begin = number(at(request, "request_start_time"))
    end = number(at(request, "request_end_time"))
    first_ms = number(at(request, "time_to_first_token_ms"))
    inputs, outputs = number(at(request, "prompt_tokens")), number(at(request, "output_tokens"))
    if begin is None:
        return None
    if state != "successful":
        reason = at(request, "info", "error") or state
        return RequestRow(begin, None, None, int(inputs or 0), int(outputs or 0), str(reason)[:500])
    if end is None or first_ms is None or inputs is None or outputs is None:
        return None
    if end < begin or first_ms < 0 or min(inputs, outputs) < 0:
        raise ValueError(
            f"request {place}: begins at {begin}, ends at {end}, first token after {first_ms} ms"
        )
    gap_ms = number(at(request, "inter_token_latency_ms"))
    first = begin + first_ms / 1e3
    last = end if gap_ms is None else first + gap_ms * max(outputs - 1, 0) / 1e3
    return RequestRow(begin, first, last, int(inputs), int(outputs))
