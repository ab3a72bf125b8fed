"""Importers of serving results. Listed by `plugins` and `import`: what reads a file is imported when it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from framework.contracts import ImportedRun, Importer

if TYPE_CHECKING:
    from framework.input_files.file_head import FileHead

_READERS = (
    ("serving", "recorded serving runs, one CSV row each", "runs_csv", "read_serving_runs", "recognise"),
    (
        "vllm-bench",
        "vllm bench serve, latency, throughput (JSON)",
        "bench_serve",
        "read_vllm",
        "recognise_vllm",
    ),
    ("sglang-bench", "SGLang bench_serving (JSON lines)", "bench_serve", "read_sglang", "recognise_sglang"),
    ("guidellm", "GuideLLM benchmarks (JSON, YAML, CSV, HTML)", "guidellm_report", "read", "recognise"),
    (
        "aiperf",
        "AIPerf profile_export (JSON, CSV, JSON lines)",
        "aiperf_export",
        "read_aiperf",
        "recognise_aiperf",
    ),
    ("genai-perf", "genai-perf profile_export (JSON)", "aiperf_export", "read_genai", "recognise_genai"),
    (
        *("inference-perf", "inference-perf lifecycle reports (JSON)"),
        *("inference_perf_report", "read_perf", "recognise_perf"),
    ),
    ("llm-d", "llm-d benchmark report (JSON, YAML)", "inference_perf_report", "read_llmd", "recognise_llmd"),
)


def importers() -> tuple[Importer, ...]:
    """Return an importer for each kind of result file."""
    return tuple(
        Importer(
            kind,
            description,
            _reader(module, read),
            _recogniser(module, recognise),
            otherwise=_belongs if kind == "serving" else None,
        )
        for kind, description, module, read, recognise in _READERS
    )


def _reader(module: str, name: str) -> Callable[[Path], Iterator[ImportedRun]]:
    return lambda file: cast("Iterator[ImportedRun]", _part(module, name)(file))


def _recogniser(module: str, name: str) -> Callable[[FileHead], str | None]:
    return lambda head: cast("str | None", _part(module, name)(head))


def _belongs(head: FileHead) -> str | None:
    """Return what to do with a trace or the configuration of a model: they are inputs of a run, not results."""
    from framework_serving.workloads.recorded.trace_rows import trace_format

    if {"architectures", "model_type"} <= head.keys:
        return f"is the configuration of a model, not a result: model.path={head.path}"
    found = trace_format(head)
    if found is None:
        return None
    option = "trace" if found.name == "columns" else f"trace_{found.name}"
    publisher = f" in the format of {found.publisher}" if found.publisher else ""
    return f"is a trace{publisher}: a load, not a result: workload={option} workload.file={head.path}"


def _part(module: str, name: str) -> Callable[..., object]:
    found = getattr(import_module(f"framework_serving.result_files.{module}"), name)
    return cast("Callable[..., object]", found)
