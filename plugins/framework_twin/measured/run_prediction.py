"""Predict one measured run from its configuration: its workload and its server, as `backend=twin` has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pyarrow.compute as pc

from framework.contracts import Result, WorkloadTables
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_serving.hardware.model_shape import KV_BLOCK_TOKENS
from framework_serving.metrics.serving_metrics import derive
from framework_twin.kernel.inputs import Requests
from framework_twin.kernel.output import SimulationOutput
from framework_twin.measured.measured_runs import MeasuredRun, RunSetup
from framework_twin.measured.realise import realise
from framework_twin.measured.scraped_server import client_view
from framework_twin.physics.profile import StepModel
from framework_twin.server import SimulatedServer
from framework_twin.settings import TwinSettings
from framework_twin.simulation_result import result_of

MEASURED_NAMES = {
    "completed": "completed",
    "duration_s": "duration_s",
    "total_tok_s": "total_tok_s",
    "output_tok_s": "output_tok_s",
    "requests_s": "requests_s",
    "itl_mean_ms": "itl_mean_ms",
    "itl_median_ms": "itl_p50_ms",
    "itl_p99_ms": "itl_p99_ms",
    "kv_usage_peak": "kv_usage_peak",
    "running_mean": "running_mean",
    "running_peak": "running_peak",
    "waiting_peak": "waiting_peak",
    "preemptions": "preemptions",
    "ttft_mean_ms": "ttft_mean_ms",
    "ttft_median_ms": "ttft_p50_ms",
    "ttft_p99_ms": "ttft_p99_ms",
    "tpot_mean_ms": "tpot_mean_ms",
    "ttft_censored_ms": "ttft_censored_ms",
    "power_mean_w": "power_mean_w",
}
"""Column of a table of measured runs, without `measured_` → metric of ours."""

_FURTHER = (
    *("e2e_mean_ms", "e2e_p50_ms", "e2e_p90_ms", "e2e_p95_ms", "e2e_p99_ms", "ttft_p90_ms", "ttft_p95_ms"),
    *("itl_p90_ms", "itl_p95_ms", "tpot_p50_ms", "tpot_p90_ms", "tpot_p95_ms", "tpot_p99_ms"),
)
STORED_NAMES = {**MEASURED_NAMES, **{name: name for name in _FURTHER}}
"""The same for runs of the store, whose results state more figures than a fit looks at."""

SCRAPE_PERIOD_S = {"adapters": 2.4, "memory_gap": 1.0}
"""How often the studies read the gauges of their servers (README of the data): peaks between two readings are
missed."""

_RANDOM_REQUESTS = 30_000
_FEWEST_SEEDS = 3

Realise = Callable[[RunSetup, int], WorkloadTables]


@dataclass(frozen=True)
class RunPrediction:
    """What the twin expects of a run.

    Attributes:
        values: quantity to value, named as the `measured_*` columns without their prefix
            (`itl_mean_ms`), or `prefill_time_s`, `decode_step_mean_ms` for an offline run.
        starved: throughput below what is offered; None where nothing is offered.
        kv_tokens: KV capacity used, given or predicted.
        bands: quantity to (low, high) as the simulation itself states them, the widest over seeds.
    """

    values: Mapping[str, float]
    starved: bool | None
    kv_tokens: int
    bands: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def predict_run(
    setup: RunSetup, model: StepModel, seeds: Sequence[int] | None = None, workload: Realise = realise
) -> RunPrediction:
    """Predict a run; several seeds are averaged. Raises `ConfigError` for a run that can't exist.

    Without `seeds`, random runs take several, short ones more (`default_seeds`).

    `workload` realises the requests; a fit passes one that remembers them.
    """
    samples: list[dict[str, float]] = []
    kv_tokens = 0
    bands: dict[str, tuple[float, float]] = {}
    settings = twin_settings(setup)
    for seed in default_seeds(setup) if seeds is None else seeds:
        tables = workload(setup, seed)
        server = SimulatedServer.start(settings, tables, model)
        kv_tokens = server.engine.kv_blocks * KV_BLOCK_TOKENS
        requests = server.requests(tables)
        output = server.simulate(requests)
        result = result_of(server, tables, requests, output)
        samples.append(
            _offline_values(setup, result)
            if setup.offline
            else _as_observed(setup, requests, output, _online_values(setup, tables, result))
        )
        if setup.source == "store" and not setup.offline:
            _widen(bands, tables, result)
    values = {name: float(np.mean([sample[name] for sample in samples])) for name in samples[0]}
    starved = values.pop("starved", None)
    if setup.arrival != "poisson" or starved is None:
        return RunPrediction(values, None, kv_tokens, bands)
    return RunPrediction(values, starved >= 0.5, kv_tokens, bands)


def _widen(bands: dict[str, tuple[float, float]], workload: WorkloadTables, result: Result) -> None:
    """Take the bands that the simulation states, where they are wider than those so far."""
    found = {metric.name: metric for metric in (*result.metrics, *derive({}, workload, result))}
    for name, ours in STORED_NAMES.items():
        metric = found.get(ours)
        if metric is None or metric.low is None or metric.high is None:
            continue
        low, high = bands.get(name, (metric.low, metric.high))
        bands[name] = (min(low, metric.low), max(high, metric.high))


def predict_measured(
    run: MeasuredRun, model: StepModel, seeds: Sequence[int] | None = None, workload: Realise = realise
) -> RunPrediction:
    """Predict a run that was measured, on the very requests it was sent where these are known."""
    known = run.workload
    if known is None:
        return predict_run(run.setup, model, seeds, workload)
    return predict_run(run.setup, model, (0,), lambda setup, seed: known)


def default_seeds(setup: RunSetup) -> range:
    """Return enough seeds for some 30,000 random requests, three to five; one where nothing is random.

    Means of a long run hardly differ between seeds, but peaks do by 6 %, and waits near saturation by more.
    """
    if setup.arrival != "poisson":
        return range(1 if setup.length_distribution == "fixed" else _FEWEST_SEEDS)
    requests = max(1.0, setup.offered_rps * (setup.duration_limit_s or 0.0), setup.num_prompts or 0)
    return range(max(_FEWEST_SEEDS, min(5, round(_RANDOM_REQUESTS / requests))))


def server_of(setup: RunSetup, model: StepModel, workload: WorkloadTables) -> SimulatedServer:
    """Return the server of a measured run, with the physics given.

    Raises:
        ConfigError: unknown model or GPU, or a server that could not start.
    """
    return SimulatedServer.start(twin_settings(setup), workload, model)


def twin_settings(setup: RunSetup) -> TwinSettings:
    """Return the keys of `backend=twin` that describe a measured run's engine.

    A table gives the share of memory of each replica; ours is that of all replicas on a GPU together. KV blocks come
    from the table, or from the memory model where it gives none.

    Raises:
        ConfigError: unknown model or GPU, or settings that no engine takes.
    """
    adapters = setup.n_adapters > 0
    blocks = setup.kv_cache_tokens // KV_BLOCK_TOKENS if setup.kv_cache_tokens else None
    settings = TwinSettings(
        model=asdict(model_shape(setup.model)),
        gpu=asdict(gpu_spec(setup.gpu)),
        engine=setup.generation,
        kv_blocks=blocks,
        max_num_seqs=min(setup.max_num_seqs, setup.max_num_batched_tokens),
        max_num_batched_tokens=setup.max_num_batched_tokens,
        chunked_prefill=None if setup.generation == "v1" else setup.chunked_prefill,
        max_model_len=setup.max_model_len,
        gpu_memory_utilization=min(1.0, setup.gpu_memory_utilization * setup.replicas),
        enforce_eager=setup.enforce_eager,
        max_loras=setup.max_loras or None,
        max_cpu_loras=max(setup.max_cpu_loras, setup.max_loras) if adapters else None,
        max_lora_rank=setup.max_lora_rank or None,
        adapters_preloaded=setup.adapters_preloaded,
        replicas=setup.replicas,
        mps=setup.mps,
        front_end_s=0.0 if setup.offline else None,
        sample_period_s=None if setup.offline else SCRAPE_PERIOD_S.get(setup.source),
    )
    settings.check()
    return settings


def _offline_values(setup: RunSetup, result: Result) -> dict[str, float]:
    """Return the times of a run in lock step: the prompts of all requests, then one decode step a token."""
    prefill_s = float(pc.max(result.tables["requests"]["first_token_s"]).as_py())
    steps = max(1.0, setup.output_mean - 1.0)
    decode_s = float(result.facts["duration_s"]) - prefill_s
    return {"prefill_time_s": prefill_s, "decode_step_mean_ms": decode_s / steps * 1e3}


def _as_observed(
    setup: RunSetup, requests: Requests, output: SimulationOutput, values: dict[str, float]
) -> dict[str, float]:
    """Return the values as the study saw them, which read the gauges at intervals: peaks, and a client's waits."""
    series = output.series
    if series is None or setup.replicas > 1:
        return values
    if output.kv_blocks_peak:
        capacity = output.kv_blocks_peak / output.kv_usage_peak
        values = {**values, "kv_usage_peak": float(series.kv_blocks.max()) / capacity}
    values = {
        **values,
        "running_peak": float(series.running.max()),
        "waiting_peak": float(series.waiting.max()),
    }
    if setup.generation != "v1" or requests.adapter is None:
        return values
    view = client_view(output, requests.adapter)
    if view is None:
        return values
    seen = {
        "itl_mean_ms": view.itl_mean_ms,
        "itl_median_ms": view.itl_median_ms,
        "itl_p99_ms": view.itl_p99_ms,
    }
    later: dict[str, float] = {
        name: values[name] + view.ttft_delay_ms
        for name in ("ttft_mean_ms", "ttft_censored_ms")
        if name in values
    }
    return {**values, **seen, **later}


def _online_values(setup: RunSetup, workload: WorkloadTables, result: Result) -> dict[str, float]:
    """Return the run's metrics as the product derives them, by the table's names; absent ones are left out.

    A table's mean of running requests counts idle times, which ours (and so a store's) leaves out.
    """
    names = STORED_NAMES if setup.source == "store" else MEASURED_NAMES
    needed = {*names.values(), "starved"}
    found = {metric.name: metric.value for metric in (*result.metrics, *derive({}, workload, result, needed))}
    values = {name: found.get(ours) for name, ours in names.items()}
    values["starved"] = found.get("starved")
    if setup.source != "store" and values["running_mean"] is not None:
        values["running_mean"] *= float(result.facts["busy_share"])
    if workload.facts.get("horizon_s") is None:
        values.pop("ttft_censored_ms")  # nothing was cut off: the mean says it
    return {name: value for name, value in values.items() if value is not None}
