"""From a simulation to what the framework keeps of a run: metrics with intervals, samples, checks, facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from framework.contracts import Metric, Result, SanityCheck, WorkloadTables
from framework_serving.hardware.model_shape import KV_BLOCK_TOKENS
from framework_serving.metrics.shared_rules import censored_ttft, with_intervals
from framework_twin import translation
from framework_twin.kernel.inputs import Requests
from framework_twin.kernel.output import SimulationOutput, Status
from framework_twin.metric_definitions import SHARES
from framework_twin.physics.power import Activity, activity, energy_j
from framework_twin.physics.regimes import saturation_regime
from framework_twin.physics.uncalibrated.bands import hardware_class, run_bands
from framework_twin.physics.uncalibrated.power_model import board_watts

if TYPE_CHECKING:
    from framework_twin.server import SimulatedServer

MAX_SAMPLES = 500
"""Samples kept of each series; a longer one is thinned evenly (peaks are metrics of their own)."""


def serve(server: SimulatedServer, workload: WorkloadTables) -> Result:
    """Simulate a workload; return the serving tables, the twin's own metrics, and how far they can be trusted."""
    requests = server.requests(workload)
    return result_of(server, workload, requests, server.simulate(requests))


def result_of(
    server: SimulatedServer, workload: WorkloadTables, requests: Requests, output: SimulationOutput
) -> Result:
    """Return what `serve` does, of a simulation that has been run."""
    factors = _interval_factors(server, requests, output)
    metrics = [
        *translation.token_gap_metrics(output),
        *_censored_ttft(server, output),
        *_load_metrics(server, output),
        *_power_metrics(server, requests, output),
        *_physics_metrics(server, requests, output),
    ]
    tables = {"requests": translation.request_outcomes(workload, output, server.front_end_s)}
    if output.series is not None:
        tables["samples"] = _samples(server, output)
    facts = {
        "duration_s": output.duration_s,
        "steps": output.steps,
        "busy_share": _busy_share(server, output),
        "interval_factors": factors,
        **server.facts(),
    }
    return Result(
        with_intervals(metrics, factors),
        tables,
        facts,
        [*_checks(server, output), *_prefix_checks(server, workload, output)],
    )


def _censored_ttft(server: SimulatedServer, output: SimulationOutput) -> list[Metric]:
    """Return `ttft_censored_ms` of a run that was cut; elsewhere the request table gives it.

    Of the requests open at the end, those running are a sample of a small number: their mean over time is expected.
    """
    if server.engine.horizon_s is None:
        return []
    outcome, done = output.requests, output.finished
    ttft_s = outcome.first_token_s[done] - outcome.arrival_s[done] + server.front_end_s
    waiting = float(((outcome.status == Status.WAITING) | (outcome.status == Status.REFUSED)).sum())
    arrived = int((outcome.status != Status.NOT_ARRIVED).sum())
    return [censored_ttft(ttft_s, waiting + output.running_mean, arrived, output.duration_s, "twin")]


def _load_metrics(server: SimulatedServer, output: SimulationOutput) -> list[Metric]:
    metrics = [
        Metric("kv_usage_peak", output.kv_usage_peak, "", "twin"),
        Metric("running_mean", _busy_mean(server, output), "requests", "twin"),
        Metric("running_peak", float(output.running_peak), "requests", "twin"),
        Metric("waiting_peak", float(output.waiting_peak), "requests", "twin"),
        Metric("preemptions", float(output.preemptions), "", "twin"),
    ]
    if len(server.adapters):
        metrics += [
            Metric("adapter_loads", float(output.adapter_loads), "", "twin"),
            Metric("adapter_disk_loads", float(output.adapter_disk_loads), "", "twin"),
            Metric("adapters_running_mean", output.adapters_mean, "", "twin"),
            Metric("kv_capacity_tokens", float(server.engine.kv_blocks * KV_BLOCK_TOKENS), "tokens", "twin"),
        ]
    if output.prefix_query_tokens:
        share = output.prefix_hit_tokens / output.prefix_query_tokens
        metrics.append(Metric("prefix_hit_share", share, "", "twin"))
    return metrics


def _busy_mean(server: SimulatedServer, output: SimulationOutput) -> float:
    """Mean of running requests while replicas have work, summed over replicas."""
    share = _busy_share(server, output)
    return output.running_mean / share if share > 0 else 0.0


def _busy_share(server: SimulatedServer, output: SimulationOutput) -> float:
    """Share of the replicas' time in which they have work."""
    return output.busy_s / (server.engine.replicas * output.duration_s)


def _activity(server: SimulatedServer, requests: Requests, output: SimulationOutput, groups: int) -> Activity:
    """Return the mean activity of each of so many GPUs, or groups of them that share a replica."""
    counted = activity(output, requests, groups)
    guess = server.settings.speculation
    return guess.activity(counted) if guess else counted


def _power_metrics(server: SimulatedServer, requests: Requests, output: SimulationOutput) -> list[Metric]:
    gpus = server.settings.gpu_count
    if server.physics.power_calibrated:
        power_w = gpus * server.physics.power.mean_w(_activity(server, requests, output, gpus))
    else:
        spread = server.settings.deployment
        groups = max(1, gpus // (spread.tensor * spread.pipeline))
        done = _activity(server, requests, output, groups)
        power_w = gpus * board_watts(server.shape, server.gpu, spread, done)
    source = "twin power model" + ("" if server.physics.power_calibrated else ", uncalibrated")
    return [
        Metric("power_mean_w", power_w, "W", source),
        Metric("energy_j", energy_j(power_w, output.duration_s), "J", source),
    ]


def _physics_metrics(server: SimulatedServer, requests: Requests, output: SimulationOutput) -> list[Metric]:
    """Return the share of time in each part of a step, and the memory traffic that it implies."""
    total_s = sum(output.component_s.values())
    metrics = [
        Metric(name, sum(output.component_s[part] for part in parts) / total_s, "", "twin")
        for name, parts in SHARES.items()
    ]
    if len(server.adapters):
        metrics += [
            Metric(name, output.component_s[part] / total_s, "", "twin")
            for name, part in (("time_load_share", "adapter_load"), ("time_scan_share", "scheduler"))
        ]
    gpus = server.settings.gpu_count
    done = _activity(server, requests, output, gpus)
    context_bytes_s = done.context_tokens_s * server.shape.kv_bytes_per_token
    weight_bytes_s = done.steps_s * server.shape.streamed_weight_bytes
    read_tb_s = (weight_bytes_s + context_bytes_s) / 1e12
    metrics.append(
        Metric("dram_read_tb_s", read_tb_s, "TB/s", "twin: weights a step, keys and values a token")
    )
    return metrics


def _samples(server: SimulatedServer, output: SimulationOutput) -> pa.Table:
    """Return the time series as `samples(t_s, name, value)`."""
    series = output.series
    assert series is not None
    stride = max(1, -(-len(series.time_s) // MAX_SAMPLES))
    capacity = server.engine.kv_blocks * server.engine.replicas
    columns = {
        "running": series.running,
        "waiting": series.waiting,
        "kv_usage": series.kv_blocks / capacity,
        "preemptions": series.preemptions,
    }
    if len(server.adapters):
        columns["adapters_running"] = series.adapters
    times = series.time_s[::stride]
    return pa.table(
        {
            "t_s": np.tile(times, len(columns)),
            "name": np.repeat(list(columns), len(times)),
            "value": np.concatenate([column[::stride] for column in columns.values()]).astype(np.float64),
        }
    )


def _interval_factors(
    server: SimulatedServer, requests: Requests, output: SimulationOutput
) -> dict[str, list[float]]:
    """Return metric → (low, high) factors of the 80 % band: the profile's of this regime, else the provider's.

    A run that is cut lasts as long as it was told to.
    """
    bands = run_bands(server.physics.provider, hardware_class(server.gpu, server.shape))
    profile = server.physics.profile
    if profile is not None:
        bands |= profile.bands(_regime(requests, output))
    if server.engine.horizon_s is not None:
        bands.pop("duration_s", None)
    return {metric: list(limits) for metric, limits in bands.items()}


def _regime(requests: Requests, output: SimulationOutput) -> str:
    if float(requests.arrival_s[-1]) <= 0.0:
        return "burst"
    tokens = np.asarray(requests.input_tokens, dtype=np.int64) + requests.output_tokens
    return saturation_regime(float(tokens[output.finished].sum()) / float(tokens.sum()))


def _checks(server: SimulatedServer, output: SimulationOutput) -> list[SanityCheck]:
    """Return whether the physics behind the run was measured, and in this range."""
    profile = server.physics.profile
    if profile is None:
        return [SanityCheck("calibrated", "warn", f"uncalibrated: {_uncalibrated(server)}")]
    engine = server.engine
    batch = output.running_peak // engine.replicas
    outside = profile.valid.warnings(batch, 0, engine.max_loras, engine.max_lora_rank)
    return [SanityCheck("calibrated_range", "warn", line) for line in outside] or [
        SanityCheck("calibrated_range", "pass", f"profile {profile.name}")
    ]


def _uncalibrated(server: SimulatedServer) -> str:
    """Say who priced the steps, and why not a better one."""
    physics = server.physics
    why = f" ({physics.reason})" if physics.reason and physics.reason != "asked for" else ""
    return f"no profile of this model, GPU and engine; steps by {physics.provider}{why}"


def _prefix_checks(
    server: SimulatedServer, workload: WorkloadTables, output: SimulationOutput
) -> list[SanityCheck]:
    """Return what became of shared prefixes, for a workload or a server that knows of them."""
    shared, cached = translation.shares_prefixes(workload), server.engine.enable_prefix_caching
    if not shared and not cached:
        return []
    if not shared:
        detail = "the workload has no shared prefixes, so the prefix cache can't be used"
    elif not cached:
        detail = "the shared prefixes of the workload are not used: backend.enable_prefix_caching is false"
    else:
        detail = (
            f"{output.prefix_hit_tokens:,} of {output.prefix_query_tokens:,} prompt tokens found in the cache"
        )
    return [SanityCheck("prefix_caching", "pass", detail)]
