"""What a server would give: the dashboard's question to the twin, for a setting and the batches around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.analysis.number_format import format_interval
from framework.configuration.group_options import group_option
from framework.configuration.search_path import group_files
from framework.contracts import (
    BatchJob,
    Figure,
    Json,
    Metric,
    Result,
    Selection,
    Slider,
    TableBlock,
    WhatIf,
    WorkloadTables,
)
from framework.errors import UserError
from framework_serving.metrics.metric_definitions import SERVING_METRICS

if TYPE_CHECKING:
    from framework_twin.backend import TwinBackend

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_RATES = (0.1, 0.2, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
_SHOWN = (
    *("output_tok_s", "requests_s", "ttft_p50_ms", "ttft_p99_ms", "itl_mean_ms", "itl_p99_ms", "e2e_p99_ms"),
    *(
        "running_mean",
        "waiting_peak",
        "kv_usage_peak",
        "preemptions",
        "power_mean_w",
        "energy_j_per_output_token",
    ),
)
_CURVES = (("output_tok_s", "output (tok/s)"), ("itl_mean_ms", "ITL (ms)"), ("ttft_p99_ms", "TTFT p99 (ms)"))
_LOAD_S, _LEAST_REQUESTS, _MOST_REQUESTS = 60.0, 200, 1000
_NOT_OFFERED = frozenset({"none", "cpu"})


def questions() -> list[WhatIf]:
    """Return the question with its controls; models and GPUs are those that a study can name."""
    models = sorted(group_files("model").keys() - _NOT_OFFERED)
    gpus = sorted(group_files("gpu").keys() - _NOT_OFFERED)
    if not models or not gpus:
        return []
    controls: list[Slider | Selection] = [
        Selection("model", "model", models, "llama-2-7b" if "llama-2-7b" in models else models[0]),
        Selection("gpu", "GPU", gpus, "h100-64gb" if "h100-64gb" in gpus else gpus[0]),
        Slider("max_num_seqs", "batch (max_num_seqs)", _BATCHES, 64),
        Slider("replicas", "replicas on the GPU", (1, 2, 3, 4, 6, 8), 1),
        Slider("tensor_parallel", "GPUs for one engine", (1, 2, 4, 8), 1),
        Slider("rate_rps", "load", _RATES, 5, "requests/s"),
        Slider("input_tokens", "mean prompt", _TOKENS, 256, "tokens"),
        Slider("output_tokens", "mean answer", _TOKENS[:8], 256, "tokens"),
    ]
    text = (
        "The twin simulates about a minute of this load. Requests arrive at random (Poisson), and their lengths vary "
        "as much as their mean (gamma). All are served to the end, so a load above what the server can take "
        "shows in the waiting times."
    )
    return [WhatIf("serving", "A server under load", text, controls, _answer)]


def _answer(values: Mapping[str, Json]) -> Sequence[Figure | TableBlock | str]:
    from framework_serving.metrics.serving_metrics import derive
    from framework_twin.backend import TwinBackend

    model, gpu = group_option("model", str(values["model"])), group_option("gpu", str(values["gpu"]))
    shared = {
        **{"model": dict(model), "gpu": dict(gpu), "gpus": int(values["tensor_parallel"])},
        **{"tensor_parallel": int(values["tensor_parallel"]), "replicas": int(values["replicas"])},
    }
    workload = _workload(values, model)
    chosen = int(values["max_num_seqs"])
    batches = sorted({*_BATCHES, chosen})
    jobs = [BatchJob({**shared, "max_num_seqs": batch}, workload) for batch in batches]
    twin: TwinBackend = TwinBackend(**{**shared, "max_num_seqs": chosen})
    found: dict[int, dict[str, Metric]] = {}
    results: dict[int, Result] = {}
    for index, result in twin.run_batch(jobs):
        results[batches[index]] = result
        if "requests" in result.tables:
            config = {"model": model, "backend": {**shared, "max_num_seqs": batches[index]}, "workload": {}}
            metrics = [*result.metrics, *derive(config, workload, result, _SHOWN)]
            found[batches[index]] = {metric.name: metric for metric in metrics}
    if chosen not in found:
        raise UserError(results[chosen].checks[0].detail)
    return [_words(found[chosen], results[chosen]), _table(found[chosen]), _curves(found, chosen)]


def _workload(values: Mapping[str, Json], model: Mapping[str, Any]) -> WorkloadTables:
    from framework_serving.workloads.synthetic import SyntheticWorkload

    rate = float(values["rate_rps"])
    number = int(min(max(rate * _LOAD_S, _LEAST_REQUESTS), _MOST_REQUESTS))
    prompt, answer = float(values["input_tokens"]), float(values["output_tokens"])
    longest = int(model.get("max_model_len") or 2048)
    if prompt + answer > longest:
        raise UserError(f"mean prompt and answer exceed the model's {longest} tokens")
    lengths = {
        **{"kind": "gamma", "input_tokens": prompt, "input_std": prompt, "output_tokens": answer},
        **{"output_std": answer, "total_max": longest, "input_max": longest - 2, "output_max": longest - 2},
    }
    arrivals = {"kind": "poisson", "rate_rps": rate}
    return SyntheticWorkload(num_requests=number, lengths=lengths, arrivals=arrivals).build(0)


def _words(metrics: Mapping[str, Metric], result: Result) -> str:
    known = next((check for check in result.checks if check.name == "calibrated_range"), None)
    ground = (
        ""
        if known is None
        else f" {'In' if known.verdict == 'pass' else 'Outside'} what was measured: {known.detail}."
    )
    served = metrics["output_tok_s"].value or 0.0
    wait = metrics["ttft_p99_ms"].value
    waited = "" if wait is None else f"; 99 % of the requests have their first token within {wait:,.0f} ms"
    return f"{served:,.0f} output tokens per second{waited}.{ground}"


def _table(metrics: Mapping[str, Metric]) -> TableBlock:
    meaning = {item.name: item.description for item in SERVING_METRICS}
    rows = []
    for name in _SHOWN:
        metric = metrics.get(name)
        if metric is not None:
            band = format_interval(metric.low, metric.high, metric.unit) or None
            rows.append((name, metric.value, metric.unit, band, metric.reason or meaning.get(name, "")))
    columns = ("metric", "value", "unit", "band", "meaning, or why it is absent")
    return TableBlock("What the twin predicts", columns, rows)


def _curves(found: Mapping[int, Mapping[str, Metric]], chosen: int) -> Figure:
    """Return throughput and latencies over the batch, the chosen one marked."""
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "xaxis": {
            "title": {"text": "max_num_seqs"},
            "type": "log",
            "anchor": "y3",
            "tickvals": list(_BATCHES),
        },
        "height": 520,
    }
    for number, (name, title) in enumerate(_CURVES):
        axis = "" if number == 0 else str(number + 1)
        points = [(batch, metrics[name].value) for batch, metrics in found.items() if name in metrics]
        points = sorted((batch, value) for batch, value in points if value is not None)
        shared = {"type": "scatter", "yaxis": f"y{axis}", "showlegend": False}
        data.append(
            {
                **shared,
                "mode": "lines+markers",
                "name": name,
                "x": [x for x, _ in points],
                "y": [y for _, y in points],
            }
        )
        data.append(
            {
                **shared, "mode": "markers", "name": "chosen",
                "marker": {"size": 14, "symbol": "star", "color": "#FFC400"},
                "x": [x for x, _ in points if x == chosen], "y": [y for x, y in points if x == chosen],
            }
        )  # fmt: skip
        top = 1.0 - number / len(_CURVES)
        layout[f"yaxis{axis}"] = {
            "domain": [max(0.0, top - 1 / len(_CURVES) + 0.03), top], "title": {"text": title}, "rangemode": "tozero",
        }  # fmt: skip
    caption = "The same load with other batches (n = 1 simulation each); the star is the chosen one."
    band = "The band of the chosen batch is in the table."
    return Figure("Other batches", {"data": data, "layout": layout}, caption, band=band)
