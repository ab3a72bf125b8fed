"""GuideLLM's table (`benchmarks.csv`) and page (`benchmarks.html`), in the form of its `benchmarks.json`.

The table has three header rows (group, state of the requests with unit, statistic) and a row for each benchmark. The
page contains what its script draws as a JSON object: tails and medians of finished requests, rates of all requests.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from framework.errors import InputError
from framework.input_files.opening import opened_text
from framework_serving.result_files.gathered_run import at, number

PAGE_VARIABLE = "window.GUIDELLM_REPORT = "
_STATES = ("Successful", "Incomplete", "Errored", "Total")
_NAMES = {
    ("Request Latency", "Sec"): "request_latency",
    ("Time to First Token", "ms"): "time_to_first_token_ms",
    ("Time per Output Token", "ms"): "time_per_output_token_ms",
    ("Inter Token Latency", "ms"): "inter_token_latency_ms",
    ("Server Throughput", "Requests/Sec"): "requests_per_second",
    ("Server Throughput", "Concurrency"): "request_concurrency",
    ("Token Metrics", "Input Tokens"): "prompt_token_count",
    ("Token Metrics", "Output Tokens"): "output_token_count",
    ("Token Metrics", "Total Tokens"): "total_token_count",
    ("Token Throughput", "Input Tokens/Sec"): "prompt_tokens_per_second",
    ("Token Throughput", "Output Tokens/Sec"): "output_tokens_per_second",
    ("Token Throughput", "Total Tokens/Sec"): "tokens_per_second",
}
"""Group and unit of a column of the table → name of the metric in the JSON report."""

_IN_PERCENTILES = ("min", "p001", "p01", "p05", "p10", "p25", "p75", "p90", "p95", "p99", "max")
_TAILS = {
    "ttft": ("time_to_first_token_ms", 1.0),
    "request_latency": ("request_latency", 1e-3),
    "itl": ("inter_token_latency_ms", 1.0),
    "tpot": ("time_per_output_token_ms", 1.0),
}
_RATES = {
    "request_rate": "requests_per_second",
    "total_tps": "tokens_per_second",
    "input_tps": "prompt_tokens_per_second",
    "output_tps": "output_tokens_per_second",
}
"""Names on the page → metric of the JSON report, and its unit there."""


def table_benchmarks(file: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Yield (report, benchmark, what has no place in it) of each row of a table.

    Raises:
        InputError: a header or a row of another form; names file and line.
    """
    with opened_text(file) as text:
        rows = csv.reader(text, strict=True)
        try:
            header = list(zip(next(rows), next(rows), next(rows), strict=True))
        except (StopIteration, ValueError, csv.Error):
            raise InputError(f"{file}: has no three header rows of one width") from None
        twice = next((column for column in header if header.count(column) > 1), None)
        if twice is not None:
            raise InputError(f"{file}: column '{' / '.join(filter(None, twice))}' occurs twice")
        try:
            for cells in rows:
                if len(cells) != len(header):
                    raise InputError(
                        f"{file}, line {rows.line_num}: {len(cells)} cells under {len(header)} columns"
                    )
                if cells == [group for group, _, _ in header]:
                    raise InputError(f"{file}, line {rows.line_num}: a second table begins: two files in one")
                yield _benchmark_of_row(dict(zip(header, map(_value, cells), strict=True)))
        except csv.Error as error:
            raise InputError(f"{file}, line {rows.line_num}: {error}") from None


def _value(cell: str) -> Any:
    """Return a cell as JSON, where it is JSON; empty is None."""
    try:
        return json.loads(cell) if cell.strip() else None
    except (ValueError, RecursionError):
        return cell


def _benchmark_of_row(
    row: Mapping[tuple[str, str, str], Any],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    metrics: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for (group, unit, statistic), value in row.items():
        state, _, of = unit.partition(" ")
        name = _NAMES.get((group, of))
        if name is None or state not in _STATES:
            rest[".".join(part for part in (group, unit, statistic) if part)] = value
            continue
        figures = metrics.setdefault(name, {}).setdefault(state.lower(), {})
        if statistic == "Percentiles" and isinstance(value, list) and len(value) == len(_IN_PERCENTILES):
            figures["percentiles"] = dict(zip(_IN_PERCENTILES, value, strict=True))
        elif statistic in ("Mean", "Median"):
            figures[statistic.lower()] = value
        else:
            rest[f"{name}.{state.lower()}.{statistic}"] = value
    counts = {state: rest.pop(f"Request Counts.{state}", None) for state in _STATES}
    metrics["request_totals"] = {state.lower(): count for state, count in counts.items()}
    benchmark = {
        "metrics": metrics,
        "duration": rest.pop("Timings.Duration.Sec", None),
        "config": {
            "id_": rest.pop("Benchmark.ID", None),
            "strategy": _strategy(rest.pop("Benchmark.Strategy", None)),
            "backend": rest.pop("Run Info.Backend", None),
        },
    }
    return {"metadata": rest.pop("Runtime Info.Metadata", None)}, benchmark, rest


def page_benchmarks(file: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Yield (report, benchmark, what has no place in it) of each benchmark that a page draws.

    Its rates are over all requests: where some were not finished they keep their own names.

    Raises:
        InputError: a page without its data, or one that breaks off.
    """
    with opened_text(file) as text:
        content = text.read()
    begin = content.find(PAGE_VARIABLE)
    try:
        view, _ = json.JSONDecoder().raw_decode(content, begin + len(PAGE_VARIABLE))
        header, runs = view["header"], view["runs"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise InputError(f"{file}: is not a whole page of GuideLLM: its data can't be read") from None
    if begin < 0 or not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise InputError(f"{file}: is not a whole page of GuideLLM: it contains no list of runs")
    report = {"metadata": {"guidellm_version": at(header, "guidellm_version")}}
    for run in runs:
        yield report, *_benchmark_of_run(dict(run), at(header, "model"))


def _benchmark_of_run(run: dict[str, Any], model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    totals = {state.lower(): run.pop(state.lower(), None) for state in _STATES}
    metrics: dict[str, Any] = {"request_totals": totals}
    for theirs, (name, unit) in _TAILS.items():
        found = {end: number(run.pop(f"{theirs}_{end}_ms", None)) for end in ("p95", "p99")}
        tails = {end: value * unit for end, value in found.items() if value is not None}
        metrics[name] = {"successful": {"percentiles": tails}}
    if totals["successful"] == totals["total"]:
        for theirs, name in _RATES.items():
            metrics[name] = {"successful": {"mean": run.pop(theirs, None)}}
    strategy = _strategy(run.pop("label", None))
    rate = number(run.pop("configured_request_rate", None))
    if rate is not None:
        strategy["rate"] = rate
    return {"metrics": metrics, "config": {"strategy": strategy, "backend": {"model": model}}}, run


def _strategy(label: Any) -> dict[str, Any]:
    """Return a strategy of which only the label is told: `poisson@2.50`, `concurrent@8`, `throughput@unlimited`."""
    kind, _, value = str(label or "").partition("@")
    try:
        found = float(value)
    except ValueError:
        return {"type_": kind}
    return {"type_": kind, "streams" if kind == "concurrent" else "rate": found}
