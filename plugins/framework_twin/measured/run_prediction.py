"""Predict one measured run from its configuration: realise the workload, simulate, summarise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_serving.hardware.model_shape import KV_BLOCK_TOKENS
from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests
from framework_twin.kernel.output import SimulationOutput, Status
from framework_twin.kernel.simulate import simulate
from framework_twin.measured.measured_runs import MeasuredRun, RunSetup
from framework_twin.measured.realise import realise
from framework_twin.physics.engine_memory import EngineMemory, kv_capacity
from framework_twin.physics.power import activity
from framework_twin.physics.profile import StepModel

FRONT_END_S = 6e-3
"""What a client waits beside the engine for its first token: HTTP, tokenising, the way between processes.

Median of measured minus simulated mean TTFT of lightly loaded V1 servers (under 10 running requests).
"""

_RANDOM_REQUESTS = 30_000
STARVED_SHARE = 0.9
"""A run is starved below this share of the offered token rate (adapter_serving.md §2)."""


@dataclass(frozen=True)
class RunPrediction:
    """What the twin expects of a run.

    Attributes:
        values: quantity to value, named as the `measured_*` columns without their prefix
            (`itl_mean_ms`), or `prefill_time_s`, `decode_step_mean_ms` for an offline run.
        starved: throughput below 0.9 of what is offered; None where nothing is offered.
        kv_tokens: KV capacity used, given or predicted.
    """

    values: Mapping[str, float]
    starved: bool | None
    kv_tokens: int


def predict_run(
    setup: RunSetup,
    model: StepModel,
    seeds: Sequence[int] | None = None,
    workload: Callable[[RunSetup, int], Requests] = realise,
) -> RunPrediction:
    """Predict a run; several seeds are averaged. Raises `ConfigError` for a run that can't exist.

    Without `seeds`, short random runs take several and long ones, whose noise is small, a single one.

    `workload` realises the requests; a fit passes one that remembers them.
    """
    engine = engine_config(setup)
    adapters = adapter_table(setup, model)
    law = model.coefficients.law(eager=setup.enforce_eager, mps=setup.mps)
    samples = []
    for seed in default_seeds(setup) if seeds is None else seeds:
        requests = workload(setup, seed)
        output = simulate(engine, requests, law, adapters)
        summarise = _offline_summary if setup.offline else _online_summary
        samples.append(summarise(setup, model, requests, output))
    values = {name: float(np.mean([sample[name] for sample in samples])) for name in samples[0]}
    starved = None
    if setup.arrival == "poisson" and setup.duration_limit_s:
        starved = values["total_tok_s"] < STARVED_SHARE * setup.offered_tok_s
    return RunPrediction(values, starved, engine.kv_blocks * KV_BLOCK_TOKENS)


def predict_measured(
    run: MeasuredRun,
    model: StepModel,
    seeds: Sequence[int] | None = None,
    workload: Callable[[RunSetup, int], Requests] = realise,
) -> RunPrediction:
    """Predict a run that was measured, on the very requests it was sent where these are known."""
    known = run.requests
    if known is None:
        return predict_run(run.setup, model, seeds, workload)
    return predict_run(run.setup, model, (0,), lambda setup, seed: known)


def default_seeds(setup: RunSetup) -> range:
    """Return enough seeds for some 30,000 random requests, at most five; one where nothing is random."""
    if setup.arrival != "poisson":
        return range(1 if setup.length_distribution == "fixed" else 3)
    requests = max(1.0, setup.offered_rps * (setup.duration_limit_s or 0.0), setup.num_prompts or 0)
    return range(max(1, min(5, round(_RANDOM_REQUESTS / requests))))


def engine_config(setup: RunSetup) -> EngineConfig:
    """Return the engine of a run; KV blocks from the table, or from the memory model where it gives none."""
    tokens = setup.kv_cache_tokens or predicted_kv_tokens(setup)
    return EngineConfig(
        generation="v1" if setup.generation == "v1" else "v0",
        kv_blocks=tokens // KV_BLOCK_TOKENS,
        max_num_seqs=min(setup.max_num_seqs, setup.max_num_batched_tokens),
        max_num_batched_tokens=setup.max_num_batched_tokens,
        chunked_prefill=setup.chunked_prefill,
        max_model_len=setup.max_model_len,
        max_loras=setup.max_loras if setup.n_adapters else 0,
        max_cpu_loras=max(setup.max_cpu_loras, setup.max_loras) if setup.n_adapters else None,
        max_lora_rank=setup.max_lora_rank,
        adapters_preloaded=False,
        horizon_s=setup.duration_limit_s,
        replicas=setup.replicas,
        replicas_on_gpu=setup.replicas,
    )


def adapter_table(setup: RunSetup, model: StepModel) -> AdapterTable | None:
    """Return the run's adapters with their load times, None where it uses none."""
    if not setup.n_adapters:
        return None
    ranks = setup.adapter_ranks or (setup.max_lora_rank,) * setup.n_adapters
    return model.loads.table(ranks, setup.max_lora_rank)


def predicted_kv_tokens(setup: RunSetup) -> int:
    """Return the KV capacity from the memory model."""
    memory = EngineMemory(
        generation=setup.generation,
        gpu_memory_utilization=setup.gpu_memory_utilization,
        max_num_seqs=setup.max_num_seqs,
        max_num_batched_tokens=setup.max_num_batched_tokens,
        max_model_len=setup.max_model_len,
        max_loras=setup.max_loras,
        max_lora_rank=setup.max_lora_rank,
    )
    return kv_capacity(model_shape(setup.model), gpu_spec(setup.gpu), memory).tokens


def _offline_summary(
    setup: RunSetup, model: StepModel, requests: Requests, output: SimulationOutput
) -> dict[str, float]:
    prefill_s = float(np.nanmax(output.requests.first_token_s))
    steps = max(1.0, setup.output_mean - 1.0)
    return {
        "prefill_time_s": prefill_s,
        "decode_step_mean_ms": (output.duration_s - prefill_s) / steps * 1e3,
    }


def _online_summary(
    setup: RunSetup, model: StepModel, requests: Requests, output: SimulationOutput
) -> dict[str, float]:
    done = output.finished
    outcome = output.requests
    duration_s = output.duration_s
    ttft_s = outcome.first_token_s - requests.arrival_s + FRONT_END_S
    finished_tokens = np.asarray(requests.output_tokens)[done]
    decode_s = (outcome.last_token_s - outcome.first_token_s)[done]
    several = finished_tokens > 1
    tpot_s = decode_s[several] / (finished_tokens[several] - 1)
    output_tok_s = finished_tokens.sum() / duration_s
    values = {
        "completed": float(done.sum()),
        "duration_s": duration_s,
        "total_tok_s": float(np.asarray(requests.input_tokens)[done].sum() / duration_s + output_tok_s),
        "output_tok_s": float(output_tok_s),
        "requests_s": float(done.sum() / duration_s),
        "itl_mean_ms": output.token_gaps.mean_s * 1e3,
        "itl_median_ms": output.token_gaps.percentile_s(50) * 1e3,
        "itl_p99_ms": output.token_gaps.percentile_s(99) * 1e3,
        "kv_usage_peak": output.kv_usage_peak,
        "running_mean": output.running_mean,
        "running_peak": float(output.running_peak),
        "waiting_peak": float(output.waiting_peak),
        "preemptions": float(output.preemptions),
    }
    if done.any():
        values["ttft_mean_ms"] = float(ttft_s[done].mean() * 1e3)
        values["ttft_median_ms"] = float(np.median(ttft_s[done]) * 1e3)
        values["ttft_p99_ms"] = float(np.percentile(ttft_s[done], 99) * 1e3)
        values["tpot_mean_ms"] = float(tpot_s.mean() * 1e3) if several.any() else float("nan")
    if setup.duration_limit_s:
        # Of the requests open at the end, those running are a sample of a small number: take its mean over time.
        waiting = float(np.isin(outcome.status, (Status.WAITING, Status.REFUSED)).sum())
        unfinished_s = (waiting + output.running_mean) * duration_s
        values["ttft_censored_ms"] = float((ttft_s[done].sum() + unfinished_s) / len(done) * 1e3)
    values["power_mean_w"] = model.power.mean_w(activity(output, requests))
    return values
