"""Replicas that a sweep did not run, simulated: as many as the memory freed at a batch would hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from framework.analysis.quantity import Quantity
from framework.contracts import BatchBackend, BatchJob, Workload, WorkloadTables
from framework.errors import ConfigError
from framework_serving.advice.replication_rule import ServingSetup, replicas_that_fit
from framework_serving.metrics.serving_metrics import derive
from framework_serving.sweeps.sweep_points import SweepPoint

ENGINE_KEYS = (
    "chunked_prefill",
    "max_num_batched_tokens",
    "max_model_len",
    "gpu_memory_utilization",
    "enable_prefix_caching",
    "enforce_eager",
    "tensor_parallel",
)
"""Settings of a run's engine that a simulated replica shares; their names are vLLM's in every backend."""


def candidates(
    group: Sequence[SweepPoint], replicas: Sequence[int], kv_margin: float
) -> list[tuple[SweepPoint, int]]:
    """Return (single-engine point, replica count) pairs worth simulating.

    For each replica count and each prefill mode: the largest batch at which so many replicas fit into the
    memory of one, each with the share of the cache that this batch was seen to use.
    """
    found = []
    for chunked in sorted({point.chunked_prefill for point in group}):
        own = [point for point in group if point.chunked_prefill == chunked and not point.preempted]
        for count in replicas:
            fitting = [point for point in own if fits(point, kv_margin) >= count]
            if fitting:
                found.append((max(fitting, key=lambda point: point.max_num_seqs), count))
    return found


def fits(point: SweepPoint, kv_margin: float) -> int:
    """Return how many replicas the memory of a single engine holds at this point's batch; 1 if unknown."""
    cache_gib, peak = point.value("kv_cache_gib"), point.value("kv_usage_peak")
    utilization, gpu_gib = point.number("backend.gpu_memory_utilization"), point.number("gpu.memory_gib")
    if point.replicas != 1 or cache_gib is None or peak is None or not utilization or not gpu_gib:
        return 1
    return replicas_that_fit(utilization * gpu_gib, cache_gib, peak, kv_margin)


def simulate(
    backend: BatchBackend, pairs: Sequence[tuple[SweepPoint, int]], mps: bool = True
) -> Iterator[ServingSetup]:
    """Yield the replicated setups, simulated on the workload that their point served.

    Raises:
        ConfigError: the backend can't run a setup, or the workload is not one of this domain's.
    """
    jobs = [
        BatchJob(
            {**engine_overrides(point), "max_num_seqs": point.max_num_seqs, "replicas": count, "mps": mps},
            workload_of(point.params),
        )
        for point, count in pairs
    ]
    for index, result in backend.run_batch(jobs):
        point, count = pairs[index]
        metrics = {
            metric.name: metric for metric in [*result.metrics, *derive({}, jobs[index].workload, result)]
        }
        throughput, latency, preemptions = (
            metrics.get(name) for name in ("total_tok_s", "itl_mean_ms", "preemptions")
        )
        if throughput is not None and throughput.value is not None:
            yield ServingSetup(
                run_ids=(),
                replicas=count,
                max_num_seqs=point.max_num_seqs,
                mps=mps,
                chunked_prefill=point.chunked_prefill,
                throughput=Quantity(throughput.value, throughput.low, throughput.high),
                latency_ms=None if latency is None else latency.value,
                preempted=bool(preemptions and preemptions.value),
            )


def engine_overrides(point: SweepPoint) -> dict[str, Any]:
    """Return the engine settings of a point as values."""
    found = {key: point.params.get(f"backend.{key}") for key in ENGINE_KEYS}
    return {key: _value(text) for key, text in found.items() if text is not None}


def workload_of(params: Mapping[str, str | None], seed: int | None = None) -> WorkloadTables:
    """Build a run's workload again from its stored parameters, null values as None.

    `seed` is the run's, where repeats moved it from the configured one. Raises `ConfigError` for another domain's.
    """
    from framework_serving.workloads.adapter_mix import AdapterMixWorkload
    from framework_serving.workloads.synthetic import SyntheticWorkload
    from framework_serving.workloads.trace import TraceWorkload

    own = {
        f"{kind.__module__}.{kind.__name__}": kind
        for kind in (SyntheticWorkload, AdapterMixWorkload, TraceWorkload)
    }
    target = params.get("workload._target_") or ""
    if target not in own:
        raise ConfigError(f"workload '{target}' can't be built again from stored parameters")
    nested: dict[str, Any] = {}
    for name, text in params.items():
        group, *path = name.split(".")
        if group == "workload" and path != ["_target_"]:
            node = nested
            for part in path[:-1]:
                node = node.setdefault(part, {})
            node[path[-1]] = _value(text)
    workload: Workload = own[target](**nested)
    return workload.build(int(nested.get("seed") or 0) if seed is None else seed)


def _value(text: str | None) -> Any:
    """Return a stored leaf as the value it was: JSON where it is, else text."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
