"""`import serving FILE`: recorded serving runs, one row each, in the schema of `serving_runs_calibration.csv.gz`.

An empty cell is "not measured", so its metric is absent with that reason. Quality flags become the run's
sanity verdict.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from framework.contracts import ImportedRun, Json, Metric, Result, SanityCheck, Verdict
from framework.errors import ConfigError, InputError, did_you_mean
from framework_serving.metrics.metric_definitions import UNITS

METRIC_COLUMNS = {
    "measured_completed": "completed",
    "measured_prompts_sent": "prompts_sent",
    "measured_duration_s": "duration_s",
    "measured_total_tok_s": "total_tok_s",
    "measured_output_tok_s": "output_tok_s",
    "measured_requests_s": "requests_s",
    "measured_ttft_mean_ms": "ttft_mean_ms",
    "measured_ttft_median_ms": "ttft_p50_ms",
    "measured_ttft_p99_ms": "ttft_p99_ms",
    "measured_ttft_censored_ms": "ttft_censored_ms",
    "measured_itl_mean_ms": "itl_mean_ms",
    "measured_itl_median_ms": "itl_p50_ms",
    "measured_itl_p99_ms": "itl_p99_ms",
    "measured_tpot_mean_ms": "tpot_mean_ms",
    "measured_kv_usage_peak": "kv_usage_peak",
    "measured_running_mean": "running_mean",
    "measured_running_peak": "running_peak",
    "measured_waiting_peak": "waiting_peak",
    "measured_preemptions": "preemptions",
    "measured_power_mean_w": "power_mean_w",
    "measured_gpu_util_mean_pct": "gpu_util_mean_pct",
    "prefill_time_s": "prefill_time_s",
    "decode_step_mean_ms": "decode_step_mean_ms",
    "input_tokens_mean": "input_tokens_mean",
    "output_tokens_mean": "output_tokens_mean",
}
"""Our metric name by column."""

ENGINE_COLUMNS = {
    "engine": "engine_version",
    "engine_generation": "engine",
    "attention_backend": "attention_backend",
    "enforce_eager": "enforce_eager",
    "max_num_seqs": "max_num_seqs",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "chunked_prefill": "chunked_prefill",
    "max_model_len": "max_model_len",
    "replicas": "replicas",
    "mps": "mps",
    "max_loras": "max_loras",
    "max_cpu_loras": "max_cpu_loras",
    "max_lora_rank": "max_lora_rank",
}
"""Our key under `backend` by column; `gpu_memory_utilization` is apart: it is per replica in the file.
`kv_cache_tokens` is what the engine made of these settings, so it is a fact."""

REQUIRED = ("run_id", "model", "gpu")
REMARKS_WITHOUT_DOUBT = frozenset({"clean", "preemptions"})
NOT_MEASURED = "not measured in the recorded run"


def read_serving_runs(file: Path) -> Iterator[ImportedRun]:
    """Yield the runs of a file (CSV, `.gz` or not).

    Raises:
        InputError: the file can't be read, lacks a column, or a row has a bad value; names file and line.
    """
    seen: dict[str, int] = {}
    for line, row in _rows(file):
        try:
            run = _imported(row)
        except ValueError as error:
            raise InputError(f"{file}, line {line}: {error}") from None
        if run.origin_id in seen:
            raise InputError(
                f"{file}, line {line}: run_id '{run.origin_id}' repeats line {seen[run.origin_id]}"
            )
        seen[run.origin_id] = line
        yield run


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        opener = gzip.open if file.suffix == ".gz" else open
        with opener(file, "rt", encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            header = reader.fieldnames or []
            for column in REQUIRED:
                if column not in header:
                    raise InputError(f"{file}, line 1: no column '{column}'{did_you_mean(column, header)}")
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(f"{file}, line {reader.line_num}: {len(header)} columns expected")
                yield reader.line_num, row
    except FileNotFoundError:
        raise InputError(f"no such file '{file}'") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: can't be read: {error or type(error).__name__}") from error


def _imported(row: Mapping[str, str]) -> ImportedRun:
    for column in REQUIRED:
        if not row[column]:
            raise ValueError(f"column '{column}' is empty")
    metrics = [_metric(row, column, name) for column, name in METRIC_COLUMNS.items() if column in row]
    metrics.extend(_further_metrics(row, {metric.name: metric for metric in metrics}))
    kept = ("source", "family", "quality_flags", "batch_size", "kv_cache_tokens")
    facts: dict[str, Json] = {name: _plain(row[name]) for name in kept if row.get(name)}
    return ImportedRun(
        origin_id=row["run_id"],
        experiment="import:serving",
        backend="recorded",
        config={
            "model": {"name": row["model"]},
            "gpu": {"name": row["gpu"]},
            "backend": _engine(row),
            "workload": _workload(row),
        },
        result=Result(metrics=metrics, facts=facts, checks=_checks(row)),
    )


def _metric(row: Mapping[str, str], column: str, name: str) -> Metric:
    value, unit = _number(row, column), UNITS.get(name, _unit(name))
    if value is None:
        return Metric.absent(name, NOT_MEASURED, unit, "recorded")
    return Metric(name, value, unit, "recorded")


def _further_metrics(row: Mapping[str, str], found: Mapping[str, Metric]) -> Iterator[Metric]:
    """Yield what follows from the row: starvation, memory of the KV cache, energy from power and time."""
    starved = row.get("starved", "")
    if starved not in ("", "True", "False"):
        raise ValueError(f"column 'starved' is neither True nor False: {starved!r}")
    if starved:
        yield Metric("starved", float(starved == "True"), "", "recorded")
    else:
        yield Metric.absent("starved", "no offered rate in the recorded run", "", "recorded")
    yield _kv_cache_gib(row)
    power, duration = found.get("power_mean_w"), found.get("duration_s")
    rate = found.get("total_tok_s")
    if power and duration and rate and power.value is not None and duration.value and rate.value:
        energy_j = power.value * duration.value
        yield Metric("energy_j", energy_j, "J", "recorded mean power × duration")
        yield Metric(
            "energy_j_per_token", power.value / rate.value, "J/token", "recorded mean power / throughput"
        )
    else:
        for name in ("energy_j", "energy_j_per_token"):
            yield Metric.absent(name, "no power measured in the recorded run", UNITS[name], "recorded")


def _kv_cache_gib(row: Mapping[str, str]) -> Metric:
    from framework_serving.hardware.catalogue import model_shape

    tokens, replicas = _number(row, "kv_cache_tokens"), _number(row, "replicas") or 1
    if tokens is None:
        return Metric.absent("kv_cache_gib", NOT_MEASURED, "GiB", "recorded")
    try:
        shape = model_shape(row["model"])
    except ConfigError:
        return Metric.absent("kv_cache_gib", f"shape of model '{row['model']}' unknown", "GiB", "recorded")
    return Metric(
        "kv_cache_gib", tokens * replicas * shape.kv_bytes_per_token / 2**30, "GiB", "recorded tokens"
    )


def _engine(row: Mapping[str, str]) -> dict[str, Json]:
    found: dict[str, Json] = {"name": "recorded"}
    found.update({key: _plain(row[column]) for column, key in ENGINE_COLUMNS.items() if row.get(column)})
    share, replicas = _number(row, "gpu_memory_utilization"), _number(row, "replicas") or 1
    if share is not None:
        found["gpu_memory_utilization"] = round(share * replicas, 6)
    return found


def _workload(row: Mapping[str, str]) -> dict[str, Json]:
    rate = row.get("request_rate_rps")
    found: dict[str, Json] = {
        "name": row.get("length_distribution") or "unknown",
        "num_requests": _plain(row.get("num_prompts", "")),
        "duration_s": _plain(row.get("duration_limit_s", "")),
        "arrivals": {
            "kind": row.get("arrival") or None,
            "rate_rps": None if rate == "inf" else _plain(rate or ""),
        },
        "lengths": {
            name: _length(row, column)
            for name, column in (
                ("input_tokens", "input_tokens_mean"),
                ("input_std", "input_tokens_std"),
                ("output_tokens", "output_tokens_mean"),
                ("output_std", "output_tokens_std"),
            )
        },
    }
    for name in ("n_adapters", "adapter_rates_rps", "adapter_ranks"):
        if row.get(name):
            found[name] = _plain(row[name])
    return found


def _length(row: Mapping[str, str], column: str) -> float | None:
    """Return a token count as configured: exact for fixed lengths, else to two digits.

    What a random load realised differs from run to run in the third digit, and is kept as a metric.
    """
    value = _number(row, column)
    if value is None or row.get("length_distribution") == "fixed":
        return value
    return float(f"{value:.2g}")


def _checks(row: Mapping[str, str]) -> list[SanityCheck]:
    """Return the verdict of the quality flags: without `clean` a run is defective, a remark is a warning."""
    if "quality_flags" not in row:
        return []
    flags = [flag for flag in row["quality_flags"].split(";") if flag]
    verdict: Verdict = "pass"
    if "clean" not in flags:
        verdict = "fail"
    elif set(flags) - REMARKS_WITHOUT_DOUBT:
        verdict = "warn"
    return [SanityCheck("quality_flags", verdict, row["quality_flags"] or "no quality flag")]


def _number(row: Mapping[str, str], column: str) -> float | None:
    text = row.get(column, "")
    if text == "":
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise ValueError(f"column '{column}' is not a number: {text!r}")
    return value


def _plain(text: str) -> Any:
    """Return a cell as bool, int, float or text; None if it is empty."""
    if text == "":
        return None
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _unit(name: str) -> str:
    for suffix, unit in (("_ms", "ms"), ("_s", "s"), ("_pct", "%"), ("_w", "W")):
        if name.endswith(suffix):
            return unit
    return ""
