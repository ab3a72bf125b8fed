"""inference-perf's lifecycle reports (summary, stage, per request) and llm-d's benchmark report 0.1 and 0.2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from framework.contracts import ImportedRun
from framework.errors import InputError
from framework.input_files.file_head import FileHead, json_records
from framework_serving.result_files.gathered_run import Outcome, at, content_of, number
from framework_serving.result_files.metric_names import (
    FAILED,
    INPUT_TOTAL,
    LATENCIES_S,
    OUTPUT_TOTAL,
    PARALLELISM,
    PROMPTS,
    RATES,
    SECONDS,
    statistic,
)
from framework_serving.result_files.request_rows import RequestRow, requests_of
from framework_serving.result_files.written_documents import documents

PERF_KIND, LLMD_KIND = "inference-perf", "llm-d"
_PERF_KEYS = frozenset({"load_summary", "successes", "failures"})


def recognise_perf(head: FileHead) -> str | None:
    """Say whether a file is a report of inference-perf."""
    if head.keys >= _PERF_KEYS:
        return "lifecycle report of inference-perf"
    document = head.document if head.text.lstrip()[:1] == "[" else None
    if isinstance(document, list) and document and _is_request(document[0]):
        return f"{len(document)} requests of inference-perf"
    return None


def recognise_llmd(head: FileHead) -> str | None:
    """Say whether a file is a benchmark report of llm-d (JSON or YAML)."""
    if head.text.lstrip()[:1] == "{":
        keys = head.keys
    else:
        keys = frozenset(line.partition(":")[0] for line in head.lines if line[:1].isalpha())
    if keys >= {"version", "scenario", "metrics"} or keys >= {"version", "run", "results"}:
        return "benchmark report of llm-d"
    return None


def _is_request(record: Any) -> bool:
    return isinstance(record, Mapping) and {"start_time", "end_time", "info", "error"} <= record.keys()


def read_perf(file: Path) -> Iterator[ImportedRun]:
    """Yield the run of a report. Raises `InputError` naming file and line."""
    for line, value in json_records(file):
        try:
            if isinstance(value, list) and value and all(_is_request(item) for item in value):
                outcome = _from_requests(value)
            elif isinstance(value, Mapping) and value.keys() >= _PERF_KEYS:
                outcome = _lifecycle(value)
            else:
                raise InputError(f"{file}, line {line}: is not a report of inference-perf")
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            raise InputError(f"{file}, line {line}: {error}") from error
        content = content_of(value)
        yield outcome.run(f"report-{content[:8]}", content)


def _lifecycle(report: Mapping[str, Any]) -> Outcome:
    outcome = Outcome(PERF_KIND, workload={"name": "recorded"})
    done = report["successes"] or {}
    outcome.take("duration_s", report.get("benchmark_time_seconds"), "benchmark_time_seconds")
    outcome.take(PROMPTS, at(report, "load_summary", "count"), "load_summary.count")
    outcome.take("completed", at(done, "count"), "successes.count")
    outcome.take(FAILED, at(report, "failures", "count"), "failures.count")
    outcome.take(INPUT_TOTAL, at(done, "prompt_tokens", "total"), "prompt_tokens.total")
    outcome.take(OUTPUT_TOTAL, at(done, "output_len", "total"), "output_len.total")
    for names, path in (
        ("input_tokens_mean", ("prompt_tokens", "prompt_len")),
        ("output_tokens_mean", ("output_len",)),
    ):
        mean = next((found for key in path if (found := at(done, key, "mean")) is not None), None)
        outcome.take(names, mean, f"{path[0]}.mean")
    for name, figures in (at(done, "latency") or {}).items():
        _distribution(outcome, name, figures, 1e3)
    for name, value in (at(done, "throughput") or {}).items():
        if name in RATES:
            outcome.take(RATES[name], value, f"throughput.{name}")
        else:
            outcome.leave(f"throughput.{name}", value)
    for key in set(done) - {"count", "latency", "throughput"}:
        outcome.leave(key, done[key])
    for key in ("load_summary", "failures", "retries"):
        outcome.leave(
            key, {name: value for name, value in (report.get(key) or {}).items() if name != "count"}
        )
    rate = number(at(report, "load_summary", "requested_rate"))
    clients = number(at(report, "load_summary", "concurrency"))
    if clients:
        outcome.arrivals = {"kind": "concurrency", "concurrency": int(clients)}
    elif rate:
        outcome.arrivals = {"kind": "poisson", "rate_rps": rate}
    return outcome


def _distribution(outcome: Outcome, name: str, figures: Any, factor: float) -> None:
    """Take mean and percentiles of a latency, given in a unit of which one is `factor` milliseconds."""
    ours = LATENCIES_S.get(name)
    if ours is None or not isinstance(figures, Mapping):
        outcome.leave(name, figures)
        return
    for key, value in figures.items():
        wanted = statistic(key)
        if wanted:
            outcome.take(f"{ours}_{wanted}_ms", value, f"{name}.{key}", factor)
        elif key != "units":
            outcome.leave(f"{name}.{key}", value)


def _from_requests(records: list[Mapping[str, Any]]) -> Outcome:
    outcome = Outcome(PERF_KIND, workload={"name": "recorded"})
    rows = [_request(place, record) for place, record in enumerate(records)]
    outcome.requests = requests_of(rows)
    outcome.figures |= {PROMPTS: len(rows), "completed": sum(row.error is None for row in rows)}
    for name, column in (("input_tokens_mean", "input_tokens"), ("output_tokens_mean", "output_tokens")):
        values = outcome.requests[column].to_pylist()
        outcome.facts[f"workload.{name}"] = sum(values) / len(values)
    return outcome


def _request(place: int, record: Mapping[str, Any]) -> RequestRow:
    begin, end = number(record["start_time"]), number(record["end_time"])
    if begin is None or end is None or end < begin:
        raise ValueError(
            f"request {place}: begins at {record['start_time']!r}, ends at {record['end_time']!r}"
        )
    info = record.get("info") or {}
    inputs = number(at(info, "request_metrics", "text", "input_tokens")) or number(at(info, "input_tokens"))
    answer = at(info, "response_metrics") or info
    outputs, times = number(at(answer, "output_tokens")), at(answer, "output_token_times") or []
    error = record.get("error")
    if error is None and (inputs is None or outputs is None):
        error = "no token counts in the file"
    if error is not None:
        text = at(error, "error_msg") or str(error)
        return RequestRow(begin, None, None, int(inputs or 0), int(outputs or 0), str(text)[:500])
    moments = [number(moment) for moment in times]
    if None in moments or min(inputs or 0, outputs or 0) < 0:
        raise ValueError(f"request {place}: a time of a token is not a number, or a count is negative")
    first, last = (moments[0], moments[-1]) if moments else (None, end)
    return RequestRow(begin, first, last, int(inputs or 0), int(outputs or 0))


def read_llmd(file: Path) -> Iterator[ImportedRun]:
    """Yield the run of a benchmark report. Raises `InputError` naming file and line."""
    for line, report in documents(file):
        figures = at(report, "metrics") or at(report, "results", "request_performance", "aggregate")
        if not isinstance(figures, Mapping):
            raise InputError(
                f"{file}, line {line}: is not a benchmark report of llm-d: no metrics of requests"
            )
        content = content_of(report)
        try:
            outcome = _llmd(report, figures)
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            raise InputError(f"{file}, line {line}: {error}") from error
        yield outcome.run(f"{at(report, 'run', 'uid') or 'report'}-{content[:8]}", content)


def _llmd(report: Mapping[str, Any], figures: Mapping[str, Any]) -> Outcome:
    outcome = Outcome(LLMD_KIND, workload={"name": "recorded"})
    scenario = report.get("scenario") or {}
    stack = at(scenario, "stack")
    parts = [at(item, "standardized") for item in stack] if isinstance(stack, list) else []
    engine: Any = next((item for item in parts if at(item, "kind") == "inference_engine"), {})
    model = at(scenario, "model", "name") or at(engine, "model", "name")
    cards = at(scenario, "host", "accelerator") or at(engine, "accelerator")
    card = cards[0] if isinstance(cards, list) and cards else cards
    outcome.model = str(model) if model else None
    outcome.gpu = str(at(card, "model")) if at(card, "model") else None
    for word, key in PARALLELISM.items():
        if degree := number(at(card, "parallelism", word)):
            outcome.backend[key] = int(degree)
    load = at(scenario, "load", "standardized") or {}
    rate, clients = number(at(load, "rate_qps")), number(at(load, "concurrency"))
    if clients:
        outcome.arrivals = {"kind": "concurrency", "concurrency": int(clients)}
    elif rate:
        outcome.arrivals = {"kind": "poisson", "rate_rps": rate}
    outcome.take(
        "duration_s", at(figures, "time", "duration") or at(report, "run", "time", "seconds"), "duration"
    )
    outcome.take(PROMPTS, at(figures, "requests", "total"), "requests.total")
    lost = [number(at(figures, "requests", name)) for name in ("failures", "incomplete")]
    if at(figures, "requests", "failures") is not None:
        outcome.figures[FAILED] = sum(value or 0.0 for value in lost)
        if PROMPTS in outcome.figures:
            outcome.figures["completed"] = outcome.figures[PROMPTS] - outcome.figures[FAILED]
    outcome.take("input_tokens_mean", at(figures, "requests", "input_length", "mean"), "input_length.mean")
    outcome.take("output_tokens_mean", at(figures, "requests", "output_length", "mean"), "output_length.mean")
    for name, entry in (at(figures, "latency") or {}).items():
        unit = str(at(entry, "units") or "")
        if unit in SECONDS:
            _distribution(outcome, name, entry, SECONDS[unit] * 1e3)
        else:
            outcome.leave(f"latency.{name}", entry)
    for name, value in (at(figures, "throughput") or {}).items():
        single = at(value, "mean") if isinstance(value, Mapping) else value
        if name in RATES:
            outcome.take(RATES[name], single, f"throughput.{name}")
        else:
            outcome.leave(f"throughput.{name}", single)
    return outcome
