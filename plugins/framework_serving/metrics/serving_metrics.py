"""Serving metrics from a run's tables, with the definitions of `docs/serving_metrics.md`.

What a backend or collector reported itself is left alone: it knows more than these tables do (every token
gap, the energy counter). What can't be known is absent with the reason, never 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from framework.contracts import Metric, Result, WorkloadTables
from framework_serving.metrics.adapter_stats import adapter_service, jain_index
from framework_serving.metrics.energy_per_token import energy_metrics
from framework_serving.metrics.load_course import COURSE, course
from framework_serving.metrics.metric_definitions import PERCENTILES, UNITS
from framework_serving.metrics.request_times import RequestTimes
from framework_serving.metrics.sample_series import series_of
from framework_serving.metrics.shared_rules import STARVED_BELOW, censored_ttft, with_intervals
from framework_serving.metrics.user_view import objectives, per_gpu_and_user
from framework_serving.tables import is_serving_result

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def derive(
    config: Mapping[str, Any],
    workload: WorkloadTables | None,
    result: Result,
    wanted: Collection[str] | None = None,
) -> list[Metric]:
    """Return every serving metric that the result lacks, as a value or as absent with a reason.

    Args:
        config: the resolved configuration (`workload.slo`, `model`, `backend.replicas` are read).
        workload: what was asked for (`horizon_s`, offered tokens); None for an imported run.
        result: the run's tables, facts and the metrics it has already.
        wanted: names that are needed; what is costly to derive is left out if it is not among them.
    """
    if not is_serving_result(result.tables):
        return []
    given = {metric.name: metric for metric in result.metrics}
    run = RequestTimes.of(result.tables["requests"])
    stated = given.get("duration_s")
    duration_s = stated.value if stated is not None else run_duration_s(run, workload, result)
    found: list[Metric] = []
    for part in (
        _throughput(run, duration_s),
        per_gpu_and_user(run, duration_s, result),
        _latencies(run, duration_s),
        objectives(run, duration_s, config),
        course(run, duration_s) if wanted is None or not COURSE.isdisjoint(wanted) else (),
        _engine_load(run, result, config),
        energy_metrics(run, duration_s, given, result),
        _service(run, workload),
    ):
        found.extend(metric for metric in part if metric.name not in given)
    return with_intervals(found, result.facts.get("interval_factors") or {})


def run_duration_s(run: RequestTimes, workload: WorkloadTables | None, result: Result) -> float | None:
    """Return the run's duration in seconds: what the backend says, else when it was cut, else the last token.

    None if no token was ever produced.
    """
    import numpy as np

    stated = result.facts.get("duration_s")
    if isinstance(stated, int | float) and stated > 0:
        return float(stated)
    horizon = workload.facts.get("horizon_s") if workload else None
    if isinstance(horizon, int | float) and not run.finished.all():
        return float(horizon)
    ends = run.last_token_s[np.isfinite(run.last_token_s)]
    return float(ends.max() - run.arrival_s.min()) if ends.size else None


def _value(name: str, value: float, source: str = "requests") -> Metric:
    return Metric(name, float(value), UNITS[name], source)


def _absent(name: str, reason: str) -> Metric:
    return Metric.absent(name, reason, UNITS[name])


def _throughput(run: RequestTimes, duration_s: float | None) -> Iterator[Metric]:
    served = run.served()
    yield _value("completed", len(served.arrival_s))
    if not duration_s:
        for name in ("duration_s", "total_tok_s", "output_tok_s", "requests_s"):
            yield _absent(name, "no token was produced")
        return
    yield _value("duration_s", duration_s)
    yield _value("total_tok_s", served.tokens.sum() / duration_s)
    yield _value("output_tok_s", served.output_tokens.sum() / duration_s)
    yield _value("requests_s", len(served.arrival_s) / duration_s)


def _latencies(run: RequestTimes, duration_s: float | None) -> Iterator[Metric]:
    served = run.served()
    yield from _distribution("ttft", served.ttft_s)
    yield (
        _absent("ttft_censored_ms", "no token was produced")
        if duration_s is None
        else censored_ttft(served.ttft_s, float((~run.finished).sum()), len(run.finished), duration_s)
    )
    yield from _distribution("e2e", served.e2e_s)
    yield from _distribution("tpot", served.tpot_s, "no finished request with more than one token")
    if (served.output_tokens > 1).any():
        gaps_s = (served.last_token_s - served.first_token_s)[served.output_tokens > 1]
        gaps = (served.output_tokens - 1)[served.output_tokens > 1]
        yield _value("itl_mean_ms", 1e3 * gaps_s.sum() / gaps.sum())
    else:
        yield _absent("itl_mean_ms", "no finished request with more than one token")
    for key in PERCENTILES:
        yield _absent(f"itl_{key}_ms", "the backend did not report the times of single tokens")


def _distribution(
    name: str, seconds: npt.NDArray[np.float64], why_none: str = "no request finished"
) -> Iterator[Metric]:
    import numpy as np

    known = seconds[np.isfinite(seconds)]
    if known.size == 0:
        for key in ("mean", *PERCENTILES):
            yield _absent(f"{name}_{key}_ms", why_none)
        return
    yield _value(f"{name}_mean_ms", 1e3 * known.mean())
    for key, value in zip(PERCENTILES, np.percentile(known, list(PERCENTILES.values())), strict=True):
        yield _value(f"{name}_{key}_ms", 1e3 * float(value))


def _engine_load(run: RequestTimes, result: Result, config: Mapping[str, Any]) -> Iterator[Metric]:
    import numpy as np

    usage = series_of(result, "kv_usage")
    if usage is None:
        yield _absent("kv_usage_peak", "no samples of kv_usage")
    else:
        yield _value("kv_usage_peak", usage[1].max(), "samples")
    yield _kv_cache_gib(result, config)
    running = series_of(result, "running")
    busy = None if running is None else _busy_mean(*running)
    if busy is not None:
        yield _value("running_mean", busy, "samples")
    else:
        held_s = (run.last_token_s - run.scheduled_s)[run.finished]
        span_s = (
            np.nanmax(run.last_token_s) - np.nanmin(run.scheduled_s) if np.isfinite(held_s).any() else 0.0
        )
        if span_s > 0:
            yield _value("running_mean", np.nansum(held_s) / span_s)
        else:
            yield _absent("running_mean", "no samples of running requests, and no times of requests")
    for name in ("running", "waiting"):
        series = series_of(result, name)
        yield (
            _absent(f"{name}_peak", f"no samples of {name}")
            if series is None
            else _value(f"{name}_peak", series[1].max(), "samples")
        )
    yield _absent("prefix_hit_share", "the backend reported no prefix cache")
    yield _preemptions(result)


def _busy_mean(t_s: npt.NDArray[np.float64], running: npt.NDArray[np.float64]) -> float | None:
    """Mean of the samples in which something ran, each weighted with the time until the next sample."""
    import numpy as np

    if t_s.size < 2:
        return None
    weights = np.diff(t_s, append=t_s[-1] + np.median(np.diff(t_s)))
    busy = running > 0
    return float(np.average(running[busy], weights=weights[busy])) if weights[busy].sum() > 0 else None


def _kv_cache_gib(result: Result, config: Mapping[str, Any]) -> Metric:
    blocks, block_bytes = result.facts.get("kv_blocks"), result.facts.get("kv_block_bytes")
    if not isinstance(blocks, int | float) or not isinstance(block_bytes, int | float):
        return _absent("kv_cache_gib", "the backend did not report kv_blocks and kv_block_bytes")
    backend = config.get("backend") or {}
    caches = (backend.get("replicas") or 1) * (backend.get("data_parallel") or 1)
    return _value("kv_cache_gib", blocks * block_bytes * caches / 2**30, "engine")


def _preemptions(result: Result) -> Metric:
    import pyarrow.compute as pc

    requests = result.tables["requests"]
    column = requests["preemptions"] if "preemptions" in requests.column_names else None
    if column is None or column.null_count == len(column):
        cumulative = series_of(result, "preemptions")
        if cumulative is None:
            return _absent("preemptions", "neither the requests nor the samples contain preemptions")
        return _value("preemptions", cumulative[1].max(), "samples")
    return _value("preemptions", pc.sum(column).as_py())


def _service(run: RequestTimes, workload: WorkloadTables | None) -> Iterator[Metric]:
    """Starvation and fairness: tokens served against tokens offered while the run was on."""
    names = ("starved", "adapters_starved", "fairness_jain")
    horizon = workload.facts.get("horizon_s") if workload else None
    if workload is not None and workload.facts.get("concurrency") is not None:
        for name in names:
            yield _absent(name, "not defined in a closed loop, because users send what the servers can take")
        return
    if workload is None or horizon is None:
        for name in names:
            yield _absent(
                name, "not defined with workload.drain=true, because every request is served in the end"
            )
        return
    service = adapter_service(run, workload)
    offered, served = service.offered_tokens.sum(), service.served_tokens.sum()
    yield _value("starved", float(served < STARVED_BELOW * offered))
    if workload.tables["adapters"].num_rows == 0:
        for name in names[1:]:
            yield _absent(name, "no adapters in the workload")
        return
    yield _value("adapters_starved", (service.served_share < STARVED_BELOW).sum())
    yield _value("fairness_jain", jain_index(service.served_share))
