"""`import serving FILE`: recorded serving runs, one row each, in the schema of `serving_runs_calibration.csv.gz`.

An empty cell is "not measured", so its metric is absent with that reason. Quality flags become the run's sanity
verdict, beside what its figures say of each other. A column `measured_X` is metric X; any other column that is not
known is kept as a fact and told.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from framework.contracts import ImportedRun, Json, Metric, Result, SanityCheck, Verdict
from framework.errors import ConfigError, InputError, did_you_mean
from framework.input_files.file_head import FileHead, delimiter_of
from framework.input_files.opening import opened_text
from framework_serving.hardware.catalogue import catalogue_name
from framework_serving.metrics.metric_definitions import UNITS
from framework_serving.result_files.gathered_run import content_of
from framework_serving.result_files.metric_names import unit_of
from framework_serving.result_files.plausibility import figure_checks

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


_WORKLOAD_COLUMNS = frozenset(
    {
        *("num_prompts", "duration_limit_s", "arrival", "request_rate_rps", "length_distribution"),
        *("input_tokens_std", "output_tokens_std", "n_adapters", "adapter_rates_rps", "adapter_ranks"),
    }
)
_KEPT = ("source", "family", "quality_flags", "batch_size", "kv_cache_tokens")
_KNOWN = {
    *(*METRIC_COLUMNS, *ENGINE_COLUMNS, *_WORKLOAD_COLUMNS, *_KEPT, *REQUIRED),
    *("starved", "gpu_memory_utilization"),
}


def recognise(head: FileHead) -> str | None:
    """Say whether a file is a table of serving runs."""
    if head.encoding is None or not set(REQUIRED) <= set(head.columns):
        return None
    return f"table of serving runs with {len(head.columns)} columns"


def read_serving_runs(file: Path) -> Iterator[ImportedRun]:
    """Yield the runs of a file, CSV with any of the usual separators, compressed or not.

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
    with opened_text(file) as lines:
        first = lines.readline()
        header = next(csv.reader([first], delimiter=delimiter_of(first)), [])
        _check_header(file, header)
        reader = csv.reader(lines, delimiter=delimiter_of(first))
        try:
            for cells in reader:
                line = reader.line_num + 1
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"{file}, line {line}: {len(header)} columns expected, {len(cells)} found"
                    )
                yield line, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise InputError(f"{file}, line {reader.line_num + 1}: {error}") from error


def _check_header(file: Path, header: Sequence[str]) -> None:
    for column in REQUIRED:
        if column not in header:
            raise InputError(f"{file}, line 1: no column '{column}'{did_you_mean(column, header)}")
    for column in header:
        if header.count(column) > 1:
            raise InputError(f"{file}, line 1: column '{column}' occurs twice")


def _imported(row: Mapping[str, str]) -> ImportedRun:
    for column in REQUIRED:
        if not row[column]:
            raise ValueError(f"column '{column}' is empty")
    names = {column: name for column, name in METRIC_COLUMNS.items() if column in row}
    names |= {
        column: column.removeprefix("measured_")
        for column in row
        if column.startswith("measured_") and column not in names
    }
    metrics = [_metric(row, column, name) for column, name in names.items()]
    metrics.extend(_further_metrics(row, {metric.name: metric for metric in metrics}))
    unknown = [column for column in row if column not in _KNOWN and column not in names]
    facts: dict[str, Json] = {name: _plain(row[name]) for name in (*_KEPT, *unknown) if row.get(name)}
    facts |= _workload_facts(row)
    notes = [f"columns without a name of ours, kept as facts: {', '.join(unknown)}"] if unknown else []
    figures = {metric.name: metric.value for metric in metrics if metric.value is not None}
    found = figure_checks(figures, nominal_lengths=True)
    if row.get("duration_limit_s"):  # the run was cut: what was sent and not completed did not fail
        found = [check for check in found if check.name != "requests_served"]
    checks = [*_checks(row), *found]
    return ImportedRun(
        origin_id=row["run_id"],
        experiment="import:serving",
        backend="recorded",
        config={
            "model": {"name": catalogue_name("model", row["model"]) or row["model"]},
            "gpu": {"name": catalogue_name("gpu", row["gpu"]) or row["gpu"]},
            "backend": _engine(row),
            "workload": _workload(row),
        },
        result=Result(metrics=metrics, facts=facts, checks=checks),
        content=content_of({column: cell for column, cell in row.items() if cell}),
        notes=notes,
    )


def _workload_facts(row: Mapping[str, str]) -> dict[str, Json]:
    """Return what is known of the load, under the names that a workload's facts have."""
    named = {
        "workload.num_requests": "num_prompts",
        "workload.horizon_s": "duration_limit_s",
        "workload.offered_rps": "request_rate_rps",
        "workload.input_tokens_mean": "input_tokens_mean",
        "workload.output_tokens_mean": "output_tokens_mean",
        "workload.n_adapters": "n_adapters",
        "engine.generation": "engine_generation",
        "engine_version": "engine",
    }
    return {
        fact: _plain(row[column])
        for fact, column in named.items()
        if row.get(column) and row[column] != "inf"
    }


def _metric(row: Mapping[str, str], column: str, name: str) -> Metric:
    value, unit = _number(row, column), unit_of(name)
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
    except ConfigError:  # told in the metric
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
        "lengths": {"kind": row.get("length_distribution") or None}
        | {
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
