"""Results of `vllm bench serve`, `bench latency`, `bench throughput`, and of SGLang's `bench_serving`.

All are one JSON object a run; `--append-result` and SGLang write one a line. With `--save-detailed` it
holds lists with an entry a request; those of the first versions, and SGLang's, lack the time of sending, so no
request table can be made of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from framework.contracts import ImportedRun, SanityCheck
from framework.errors import InputError
from framework.input_files.file_head import FileHead, json_records
from framework_serving.result_files.gathered_run import Outcome, at, content_of, number
from framework_serving.result_files.metric_names import BENCH_SERVE, BENCH_THROUGHPUT, PARALLELISM, statistic
from framework_serving.result_files.request_rows import RequestRow, requests_of

VLLM, SGLANG = "vllm-bench", "sglang-bench"

_SERVE_KEYS = frozenset({"duration", "completed", "request_throughput", "output_throughput"})
_SGLANG_KEYS = frozenset({"total_throughput", "mean_e2e_latency_ms"})
_LATENCY_KEYS = frozenset({"avg_latency", "latencies", "percentiles"})
_THROUGHPUT_KEYS = frozenset({"elapsed_time", "num_requests", "tokens_per_second"})
_LISTS = (
    "input_lens",
    "output_lens",
    "ttfts",
    "itls",
    "errors",
    "start_times",
    "latencies",
    "generated_texts",
    "queue_times",
)
_CONFIG = frozenset(
    {
        "date",
        "backend",
        "endpoint_type",
        "label",
        "model_id",
        "tokenizer_id",
        "request_rate",
        "burstiness",
        "max_concurrency",
    }
)


def recognise_vllm(head: FileHead) -> str | None:
    """Say whether a file is a result of vLLM's benchmarks, and of which."""
    if not (form := _form(head.keys)) or form == SGLANG:
        return None
    return f"results of vllm bench {form}"


def recognise_sglang(head: FileHead) -> str | None:
    """Say whether a file is a result of SGLang's `bench_serving`."""
    return "results of SGLang bench_serving" if _form(head.keys) == SGLANG else None


def read_vllm(file: Path) -> Iterator[ImportedRun]:
    """Yield the runs of a file. Raises `InputError` naming file and line."""
    return _read(file, VLLM)


def read_sglang(file: Path) -> Iterator[ImportedRun]:
    """Yield the runs of a file. Raises `InputError` naming file and line."""
    return _read(file, SGLANG)


def _form(keys: frozenset[str]) -> str | None:
    if keys >= _SERVE_KEYS:
        return SGLANG if keys >= _SGLANG_KEYS else "serve"
    if keys >= _LATENCY_KEYS:
        return "latency"
    return "throughput" if keys >= _THROUGHPUT_KEYS else None


def _read(file: Path, kind: str) -> Iterator[ImportedRun]:
    for line, value in json_records(file):
        for record in value if isinstance(value, list) else [value]:
            form = _form(frozenset(record)) if isinstance(record, dict) else None
            if form is None or (form == SGLANG) != (kind == SGLANG):
                raise InputError(f"{file}, line {line}: is not a result of {kind}")
            content = content_of(record)
            try:
                made = {"latency": _latency, "throughput": _throughput}.get(form, _serve)(record, kind)
            except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
                raise InputError(f"{file}, line {line}: {error}") from error
            date = record.get("date")
            yield made.run(f"{date}-{content[:8]}" if isinstance(date, str) else content[:12], content)


def _serve(record: Mapping[str, Any], kind: str) -> Outcome:
    outcome = Outcome(kind)
    server = record.get("server_info")
    model = record.get("model_id") or at(server, "model_path")
    outcome.model = str(model) if model else None
    if record.get("backend"):
        outcome.facts["client_backend"] = str(record["backend"])
    _stated_by_user(record, outcome)
    rate, limit = record.get("request_rate"), number(record.get("max_concurrency"))
    outcome.arrivals = _arrivals(rate, number(record.get("burstiness")), limit)
    outcome.workload = {"name": str(record.get("dataset_name") or "recorded")}
    prompts = number(record.get("num_prompts"))
    if prompts is not None:
        outcome.workload["num_requests"] = int(prompts)
    if (parallel := number(at(server, "tp_size"))) is not None:
        outcome.backend["tensor_parallel"] = int(parallel)
    for key, value in record.items():
        name = BENCH_SERVE.get(key) or _percentile(key)
        if name is not None:
            outcome.take(name, value, key)
        elif key not in _CONFIG and key not in _LISTS and key not in USER_KEYS:
            outcome.leave(key, value)
    rows = _rows(record, outcome)
    if rows:
        outcome.requests = requests_of(rows)
        _same_length(outcome, record)
    _gaps(record, outcome)
    return outcome


USER_KEYS = {
    **dict.fromkeys(("gpu", "gpu_name", "accelerator"), "gpu"),
    **{key: ours for short, ours in PARALLELISM.items() for key in (f"{ours}_size", ours, short)},
    **{
        key: key
        for key in ("max_num_seqs", "max_num_batched_tokens", "max_model_len", "gpu_memory_utilization")
    },
}
"""Keys of `--metadata KEY=VALUE` that say what was measured, and ours."""


def _stated_by_user(record: Mapping[str, Any], outcome: Outcome) -> None:
    for key, ours in USER_KEYS.items():
        value = record.get(key)
        if value is None:
            continue
        if ours == "gpu":
            outcome.gpu = str(value)
        elif (found := _from_text(value)) is not None:
            outcome.backend[ours] = int(found) if found == int(found) else found


def _from_text(value: Any) -> float | None:
    try:
        return number(float(value))
    except (TypeError, ValueError):
        return None


def _percentile(key: str) -> str | None:
    """Return our name of `p99.9_ttft_ms` and the like: only of percentiles that we have."""
    head, _, rest = key.partition("_")
    ours = statistic(head)
    return BENCH_SERVE.get(f"p99_{rest}", "").replace("p99", ours) or None if ours else None


def _arrivals(rate: Any, burstiness: float | None, limit: float | None) -> dict[str, Any]:
    """Return the load in our words: a burst for an infinite rate, gaps of cv 1/√burstiness, or clients that wait."""
    finite = number(rate)
    if limit is not None:
        found: dict[str, Any] = {"kind": "concurrency", "concurrency": int(limit)}
        return found | ({"rate_rps": finite} if finite else {})
    if finite is None or finite <= 0:
        return {"kind": "burst", "rate_rps": None}
    if burstiness is None or burstiness == 1 or burstiness <= 0:
        return {"kind": "poisson", "rate_rps": finite}
    return {"kind": "gamma", "rate_rps": finite, "cv": burstiness**-0.5}


def _rows(record: Mapping[str, Any], outcome: Outcome) -> list[RequestRow]:
    """Return the requests, if their lists are there and equally long."""
    names = ("input_lens", "output_lens", "ttfts", "itls", "errors")
    lists = [record.get(name) for name in names]
    present = [name for name, found in zip(names, lists, strict=True) if found]
    if not present:
        return []
    starts = record.get("start_times")
    if starts is None:
        outcome.notes.append("without the time of sending, requests can't be kept")
        return []
    lengths = {name: len(record.get(name) or ()) for name in (*names, "start_times")}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"lists of requests differ in length: {told}")
    latencies = record.get("latencies") or [None] * len(starts)
    rows = zip(starts, *(record[name] for name in names), latencies, strict=True)
    return [_row(place, *row) for place, row in enumerate(rows)]


def _row(
    place: int, start: Any, prompt: Any, tokens: Any, ttft: Any, gaps: Any, error: Any, latency: Any
) -> RequestRow:
    numbers = [number(value) for value in (start, prompt, tokens, ttft)]
    if None in numbers or any(value is not None and value < 0 for value in numbers[1:]):
        raise ValueError(
            f"request {place}: start {start!r}, input {prompt!r}, output {tokens!r}, TTFT {ttft!r}"
        )
    sent, inputs, outputs, first = (float(value or 0.0) for value in numbers)
    if error:
        return RequestRow(sent, None, None, int(inputs), int(outputs), str(error)[:500])
    between = [number(gap) for gap in gaps]
    if None in between or any((gap or 0.0) < 0 for gap in between):
        raise ValueError(f"request {place}: a gap between tokens is not a time")
    last = number(latency)
    end = sent + (last if last is not None else first + sum(gap or 0.0 for gap in between))
    return RequestRow(sent, sent + first, end, int(inputs), int(outputs))


def _same_length(outcome: Outcome, record: Mapping[str, Any]) -> None:
    """Remark lists that hold another number of requests than were sent."""
    asked = number(record.get("num_prompts"))
    if outcome.requests is not None and asked is not None and outcome.requests.num_rows != asked:
        detail = f"{outcome.requests.num_rows} requests are listed of {asked:g}"
        outcome.checks.append(SanityCheck("requests_accounted", "fail", detail))


def _gaps(record: Mapping[str, Any], outcome: Outcome) -> None:
    """Add percentiles of the pooled gaps that the file lists and does not state."""
    lists = [gaps for gaps in record.get("itls") or [] if isinstance(gaps, Sequence)]
    pooled = [gap for gaps in lists for gap in gaps if number(gap) is not None]
    if not pooled:
        return
    import numpy as np

    for name, share in (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99)):
        outcome.figures.setdefault(f"itl_{name}_ms", 1e3 * float(np.percentile(pooled, share)))


def _latency(record: Mapping[str, Any], kind: str) -> Outcome:
    """Return a run of `bench latency`: every request of a batch takes as long as the batch."""
    outcome = Outcome(kind, workload={"name": "bench_latency"}, arrivals={"kind": "burst", "rate_rps": None})
    outcome.model = str(record["model_id"]) if record.get("model_id") else None
    outcome.take("e2e_mean_ms", record["avg_latency"], "avg_latency", 1e3)
    for share, value in dict(record["percentiles"]).items():
        if (ours := statistic(f"p{share}")) is not None:
            outcome.take(f"e2e_{ours}_ms", value, f"percentiles.{share}", 1e3)
        else:
            outcome.leave(f"percentiles.{share}", value)
    taken = [number(value) for value in record["latencies"]]
    known = [value for value in taken if value is not None]
    outcome.facts["iterations"] = len(taken)
    mean, stated = sum(known) / len(known) if known else None, number(record["avg_latency"])
    if mean is not None and stated is not None:
        agrees = len(known) == len(taken) and abs(mean - stated) <= 1e-6 + 0.005 * abs(mean)
        detail = f"avg_latency {stated:g} s, mean of {len(known)} latencies {mean:g} s"
        outcome.checks.append(SanityCheck("figures_agree", "pass" if agrees else "fail", detail))
    for key, value in record.items():
        if key not in (*_LATENCY_KEYS, "model_id"):
            outcome.leave(key, value)
    return outcome


def _throughput(record: Mapping[str, Any], kind: str) -> Outcome:
    outcome = Outcome(
        kind, workload={"name": "bench_throughput"}, arrivals={"kind": "burst", "rate_rps": None}
    )
    outcome.model = str(record["model_id"]) if record.get("model_id") else None
    for key, value in record.items():
        if key in BENCH_THROUGHPUT:
            outcome.take(BENCH_THROUGHPUT[key], value, key)
        elif key != "model_id":
            outcome.leave(key, value)
    requests = outcome.figures.get("completed")
    if requests is not None:
        outcome.workload["num_requests"] = int(requests)
    return outcome
