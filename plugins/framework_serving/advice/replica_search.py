"""Replicas that a sweep did not run, simulated: as many as the memory freed at a batch would hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from framework.contracts import BatchBackend, BatchJob
from framework.quantity import Quantity
from framework.run.rebuild import rebuilt_workload, stored_config, stored_settings
from framework_serving.advice.replication_rule import ServingSetup, replicas_that_fit
from framework_serving.metrics.serving_metrics import derive
from framework_serving.sweeps.sweep_points import SweepPoint


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
    """Yield the configurations with replicas, simulated on the workload that their point served.

    Raises:
        ConfigError: the backend can't run a setup, or the workload is not one of this domain's.
    """
    jobs = []
    for point, count in pairs:
        config = stored_config(point.params)
        changed = {"replicas": count, "mps": mps}
        jobs.append(BatchJob({**stored_settings(config), **changed}, rebuilt_workload(config)))
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
                simulated_from=point.run_ids,
                replicas=count,
                max_num_seqs=point.max_num_seqs,
                mps=mps,
                chunked_prefill=point.chunked_prefill,
                throughput=Quantity(throughput.value, throughput.low, throughput.high),
                latency_ms=None if latency is None else latency.value,
                preempted=bool(preemptions and preemptions.value),
            )
