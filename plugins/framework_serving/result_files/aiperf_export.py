"""AIPerf's `profile_export_aiperf.json`, `.csv` and `profile_export.jsonl`, and genai-perf's JSON and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.contracts import ImportedRun, SanityCheck
from framework.errors import InputError
from framework.identity.run_key import canonical_hash
from framework.input_files.file_head import FileHead, json_records
from framework.input_files.opening import opened_text
from framework_serving.result_files.gathered_run import Outcome, at, content_of, number
from framework_serving.result_files.metric_names import (
    AIPERF,
    AIPERF_STATISTICS,
    FAILED,
    INPUT_TOTAL,
    OUTPUT_TOTAL,
    PROMPTS,
    SECONDS,
)
from framework_serving.result_files.request_rows import RequestRow, requests_of

if TYPE_CHECKING:
    import pyarrow as pa

AIPERF_KIND, GENAI_KIND = "aiperf", "genai-perf"
_DISTRIBUTIONS = ("ttft", "e2e", "tpot")
_LENGTHS = ("input_tokens", "output_tokens")
_NOT_METRICS = frozenset(
    {"schema_version", "aiperf_version", "benchmark_id", "telemetry_data", "input_config", "run_info"}
)
_TITLES = {
    "Request Count": "request_count",
    "Error Request Count": "error_request_count",
    "Total Input Sequence Length": "total_isl",
    "Total Output Sequence Length": "total_osl",
}


def recognise_aiperf(head: FileHead) -> str | None:
    """Say whether a file is an export of AIPerf."""
    return _recognised(head, AIPERF_KIND)


def recognise_genai(head: FileHead) -> str | None:
    """Say whether a file is an export of genai-perf."""
    return _recognised(head, GENAI_KIND)


def _recognised(head: FileHead, kind: str) -> str | None:
    if head.text.startswith("Metric,avg"):
        # both write this table; genai-perf's title is that of its system metrics
        return "CSV export of AIPerf or genai-perf" if kind == AIPERF_KIND else None
    keys = head.keys
    if keys >= {"metadata", "metrics"} and "request_start_ns" in (at(head.record, "metadata") or {}):
        return "requests of AIPerf, JSON lines" if kind == AIPERF_KIND else None
    if "request_throughput" not in keys or "input_config" not in keys:
        return None
    entry = at(head.document, "request_throughput")
    if not isinstance(entry, Mapping) or "avg" not in entry:
        return None
    genai = "perf_analyzer" in (at(head.document, "input_config") or {})
    if genai != (kind == GENAI_KIND):
        return None
    version = at(head.document, "aiperf_version")
    return f"JSON export of {'genai-perf' if genai else 'AIPerf'}{f' {version}' if version else ''}"


def read_aiperf(file: Path) -> Iterator[ImportedRun]:
    """Yield the run of an export. Raises `InputError` naming file and line."""
    return _read(file, AIPERF_KIND)


def read_genai(file: Path) -> Iterator[ImportedRun]:
    """Yield the run of an export. Raises `InputError` naming file and line."""
    return _read(file, GENAI_KIND)


def _read(file: Path, kind: str) -> Iterator[ImportedRun]:
    head = FileHead(file)
    if head.text.startswith("Metric,"):
        yield _from_table(file, kind)
        return
    records = list(json_records(file))
    try:
        if all(number(at(value, "metadata", "request_start_ns")) is not None for _, value in records):
            yield _from_requests([value for _, value in records], _summary_next_to(file))
            return
        for line, value in records:
            if not isinstance(at(value, "request_throughput"), Mapping):
                raise InputError(f"{file}, line {line}: is not an export of {kind}")
            content = content_of(value)
            origin = at(value, "benchmark_id") or "export"
            run = _summary(value, kind).run(f"{origin}-{content[:8]}", content)
            yield replace(run, begin=_shared_by_exports(value), detail=2)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InputError(f"{file}: {error}") from error


def _summary(record: Mapping[str, Any], kind: str) -> Outcome:
    outcome = Outcome(kind)
    _configure(outcome, at(record, "input_config") or {}, kind)
    version = at(record, "aiperf_version")
    if version:
        outcome.facts["client_version"] = f"aiperf {version}"
    for name, entry in record.items():
        if name in _NOT_METRICS:
            continue
        if isinstance(entry, Mapping) and "avg" in entry:
            _entry(outcome, name, entry)
        elif name not in ("start_time", "end_time", "was_cancelled", "is_complete", "error_summary"):
            outcome.leave(name, entry)
    _pooled_gaps(outcome, record)
    if at(record, "was_cancelled") is True or at(record, "is_complete") is False:
        outcome.checks.append(SanityCheck("run_complete", "fail", "the run was cancelled before its end"))
    errors = at(record, "error_summary") or []
    if FAILED not in outcome.figures and "completed" in outcome.figures:
        counted = [number(at(item, "count")) for item in errors]
        outcome.figures[FAILED] = sum(value or 0.0 for value in counted)
    _doubtful_counts(outcome, record)
    return outcome


def _entry(outcome: Outcome, name: str, entry: Mapping[str, Any]) -> None:
    """Take one metric by its own unit; an unknown unit of a time leaves it under its own name."""
    ours, unit = AIPERF.get(name), str(entry.get("unit") or "")
    if ours is None:
        outcome.leave(name, entry.get("avg"))
        return
    timed = ours in _DISTRIBUTIONS or ours == "duration_s"
    if timed and unit not in SECONDS:
        outcome.leave(name, entry.get("avg"))
        outcome.checks.append(
            SanityCheck("units_known", "warn", f"{name} is in '{unit}', which is not a unit of time")
        )
        return
    factor = SECONDS[unit] * (1e3 if ours in _DISTRIBUTIONS else 1.0) if timed else 1.0
    if ours not in (*_DISTRIBUTIONS, *_LENGTHS):
        outcome.take(ours, entry.get("avg"), name, factor)
        return
    for theirs, statistic in AIPERF_STATISTICS.items():
        if ours in _LENGTHS:
            if statistic == "mean":
                outcome.take(f"{ours}_mean", entry.get(theirs), f"{name}.{theirs}")
        else:
            outcome.take(f"{ours}_{statistic}_ms", entry.get(theirs), f"{name}.{theirs}", factor)


def _pooled_gaps(outcome: Outcome, record: Mapping[str, Any]) -> None:
    """Take the gaps between chunks as ITL where every chunk held one token: there are as many as tokens allow."""
    gaps, figures = at(record, "inter_chunk_latency"), outcome.figures
    count, done, tokens = number(at(gaps, "count")), figures.get("completed"), figures.get(OUTPUT_TOTAL)
    if None in (count, done, tokens) or count != (tokens or 0) - (done or 0) or at(gaps, "unit") != "ms":
        return
    for theirs, statistic in AIPERF_STATISTICS.items():
        outcome.take(f"itl_{statistic}_ms", at(gaps, theirs), f"inter_chunk_latency.{theirs}")


def _doubtful_counts(outcome: Outcome, record: Mapping[str, Any]) -> None:
    """Remark token counts that the server contradicts: all figures per token rest on them."""
    doubtful = number(at(record, "usage_discrepancy_count", "avg"))
    if doubtful:
        detail = f"{doubtful:g} requests with other token counts on the server: rates and TPOT are doubtful"
        outcome.checks.append(SanityCheck("token_counts", "warn", detail))


def _configure(outcome: Outcome, config: Mapping[str, Any], kind: str) -> None:
    models = (
        at(config, "models", "items") or at(config, "endpoint", "model_names") or at(config, "model_names")
    )
    first = models[0] if isinstance(models, list) and models else None
    name = at(first, "name") if isinstance(first, Mapping) else first
    outcome.model = str(name) if name else None
    outcome.workload["name"] = "recorded"
    phases = at(config, "phases") or []
    load: Any = (
        next((item for item in phases if at(item, "kind") == "profiling"), {})
        if isinstance(phases, list)
        else {}
    )
    load = load or at(config, "loadgen") or at(config, "perf_analyzer", "stimulus") or {}
    rate = number(at(load, "rate") or at(load, "request_rate"))
    concurrency = number(at(load, "concurrency"))
    if rate:
        spread = at(load, "type") or at(load, "arrival_pattern") or at(load, "request_rate_mode") or "poisson"
        outcome.arrivals = {"kind": "constant" if spread == "constant" else "poisson", "rate_rps": rate}
    elif concurrency:
        outcome.arrivals = {"kind": "concurrency", "concurrency": int(concurrency)}


def _from_table(file: Path, kind: str) -> ImportedRun:
    """Return the run of a CSV export: tables of distributions and of single values, each with its header."""
    with opened_text(file) as text:
        content = text.read()
    try:
        rows = list(csv.reader(io.StringIO(content, newline="")))
    except csv.Error as error:
        raise InputError(f"{file}: {error}") from error
    record: dict[str, Any] = {}
    header: list[str] = []
    for line, cells in enumerate(rows, start=1):
        if not any(cells):
            header = []
        elif not header:
            header = cells
        elif len(cells) != len(header):
            raise InputError(f"{file}, line {line}: {len(cells)} cells under {len(header)} columns")
        elif header[0] == "Metric":
            name, entry = _table_row(file, line, header, cells)
            if name in record:
                raise InputError(f"{file}, line {line}: metric '{cells[0]}' occurs twice")
            record[name] = entry
    if "request_throughput" not in record and "time_to_first_token" not in record:
        raise InputError(f"{file}: is not an export of {kind}: neither request throughput nor TTFT is in it")
    outcome = _summary(record, kind)
    outcome.rounding = 0.005
    digest = content_of(record)
    run = outcome.run(f"export-{digest[:8]}", digest)
    return replace(run, begin=_shared_by_exports(record), detail=1)


_IN_EVERY_EXPORT = ("time_to_first_token", "request_latency")


def _shared_by_exports(record: Mapping[str, Any]) -> str:
    """Return a digest of what all exports of a run say, with the two decimals of the table; "" if it is too little.

    AIPerf writes a JSON file, a table, and the requests of the same run next to each other.
    """
    told = [
        f"{name} {statistic} {value:.2f}"
        for name in _IN_EVERY_EXPORT
        for statistic in ("avg", "min", "max")
        if (value := number(at(record, name, statistic))) is not None
    ]
    return canonical_hash(told) if len(told) == 3 * len(_IN_EVERY_EXPORT) else ""


def _summary_next_to(file: Path) -> Mapping[str, Any] | None:
    """Return the JSON export that AIPerf wrote next to a file of requests; None where there is none."""
    summary = file.with_name(f"{file.name.removesuffix('.jsonl')}_aiperf.json")
    if file.suffix != ".jsonl" or not summary.is_file():
        return None
    try:
        ((_, record), *others) = json_records(summary)
    except InputError:  # told when that file is imported; the requests are whole without it
        return None
    return record if isinstance(record, Mapping) and not others else None


def _table_row(file: Path, line: int, header: list[str], cells: list[str]) -> tuple[str, dict[str, Any]]:
    title, unit = _titled(cells[0])
    entry: dict[str, Any] = {"unit": unit}
    for column, cell in zip(header[1:], cells[1:], strict=True):
        try:
            entry["avg" if column == "Value" else column] = float(cell.replace(",", "")) if cell else None
        except ValueError:
            raise InputError(f"{file}, line {line}: column '{column}' is not a number: {cell!r}") from None
    return _TITLES.get(title, re.sub(r"\W+", "_", title.lower()).strip("_")), entry


def _titled(cell: str) -> tuple[str, str]:
    """Split `Time to First Token (ms)` into title and unit."""
    match = re.fullmatch(r"(.*?)(?: \(([^()]*)\))?", cell.strip())
    return (match[1], match[2] or "") if match else (cell, "")


def _from_requests(records: list[Any], summary: Mapping[str, Any] | None) -> ImportedRun:
    """Return the run of a file with one request a line.

    Its settings and figures are those of the summary of the same run, where there is one; else they follow from the
    requests.
    """
    asked = [item for item in records if at(item, "metadata", "benchmark_phase") in (None, "profiling")]
    requests = requests_of([_request(place, item) for place, item in enumerate(asked)])
    begin = _shared_by_exports(_moments(asked))
    content = content_of(records)
    if summary is not None and begin and _shared_by_exports(summary) == begin:
        outcome = _summary(summary, AIPERF_KIND)
    else:
        outcome, begin = _outcome_of(requests), ""
        _doubtful_requests(outcome, asked)
    if len(asked) < len(records):
        outcome.notes.append(f"{len(records) - len(asked)} requests of the warm-up are left out")
    outcome.requests = requests
    return replace(outcome.run(f"requests-{content[:8]}", content), begin=begin, detail=3)


def _moments(records: list[Any]) -> dict[str, dict[str, float]]:
    """Return mean, least and largest latencies of the requests that were answered, as an export has them."""
    found = {}
    for name in _IN_EVERY_EXPORT:
        values = [number(at(item, "metrics", name, "value")) for item in records if not at(item, "error")]
        known = [value for value in values if value is not None]
        if known:
            found[name] = {"avg": sum(known) / len(known), "min": min(known), "max": max(known)}
    return found


def _outcome_of(requests: pa.Table) -> Outcome:
    outcome = Outcome(AIPERF_KIND, workload={"name": "recorded"})
    outcome.figures[PROMPTS] = requests.num_rows
    totals = {INPUT_TOTAL: "input_tokens", OUTPUT_TOTAL: "output_tokens"}
    done = [status == "finished" for status in requests["status"].to_pylist()]
    for name, column in totals.items():
        values = requests[column].to_pylist()
        outcome.facts[f"workload.{column}_mean"] = sum(values) / len(values) if values else None
        outcome.figures[name] = sum(value for value, good in zip(values, done, strict=True) if good)
    outcome.figures["completed"] = sum(done)
    return outcome


def _doubtful_requests(outcome: Outcome, records: list[Any]) -> None:
    doubtful = 0
    for item in records:
        own = number(at(item, "metrics", "output_sequence_length", "value"))
        server = number(at(item, "metrics", "usage_completion_tokens", "value"))
        doubtful += own is not None and server is not None and own != server
    _doubtful_counts(outcome, {"usage_discrepancy_count": {"avg": doubtful}})


def _request(place: int, item: Mapping[str, Any]) -> RequestRow:
    begin = (number(at(item, "metadata", "request_start_ns")) or 0.0) / 1e9
    metrics = at(item, "metrics") or {}
    inputs, outputs = (
        number(at(metrics, f"{side}_sequence_length", "value")) for side in ("input", "output")
    )
    first_s, whole_s = (_seconds(metrics, name) for name in ("time_to_first_token", "request_latency"))
    error = at(item, "error") or ("cancelled" if at(item, "metadata", "was_cancelled") else None)
    if error is None and (whole_s is None or inputs is None or outputs is None):
        error = "no latency or token count in the file"
    if error is not None:
        return RequestRow(begin, None, None, int(inputs or 0), int(outputs or 0), str(error)[:500])
    if min(first_s or 0.0, whole_s or 0.0, inputs or 0.0, outputs or 0.0) < 0:
        raise ValueError(f"request {place}: a negative time or token count")
    first = None if first_s is None else begin + first_s
    return RequestRow(begin, first, begin + (whole_s or 0.0), int(inputs or 0), int(outputs or 0))


def _seconds(metrics: Mapping[str, Any], name: str) -> float | None:
    value, unit = number(at(metrics, name, "value")), at(metrics, name, "unit")
    return None if value is None or unit not in SECONDS else value * SECONDS[unit]
