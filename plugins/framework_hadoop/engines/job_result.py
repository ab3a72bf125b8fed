"""From a run's report to metrics and tables, the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.contracts import Metric
from framework_hadoop import tables
from framework_hadoop.benchmarks.plan import BenchmarkPlan
from framework_hadoop.engines import job_counters
from framework_hadoop.engines.jvm import Usage
from framework_hadoop.engines.run_report import JobReport, RunReport, TaskReport

if TYPE_CHECKING:
    import pyarrow as pa

_MEGA = 1e6

# Which of a task's counters fills which column of `tasks`, by kind of task.
_TASK_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "map": {
        "input_records": "MAP_INPUT_RECORDS",
        "output_records": "MAP_OUTPUT_RECORDS",
        "output_bytes": "MAP_OUTPUT_MATERIALIZED_BYTES",
        "spilled_records": "SPILLED_RECORDS",
    },
    "reduce": {
        "input_records": "REDUCE_INPUT_RECORDS",
        "output_records": "REDUCE_OUTPUT_RECORDS",
        "spilled_records": "SPILLED_RECORDS",
        "shuffle_bytes": "REDUCE_SHUFFLE_BYTES",
    },
    "stage": {
        "input_records": "INPUT_RECORDS",
        "output_records": "OUTPUT_RECORDS",
        "output_bytes": "OUTPUT_BYTES",
        "shuffle_bytes": "SHUFFLE_READ_BYTES",
    },
}


def measured_window(report: RunReport) -> tuple[int, int]:
    """Return begin and end (ms since the epoch) of the measured jobs: first submission to last end."""
    jobs = report.phase("run")
    ends = [job.finished_ms for job in jobs if job.finished_ms is not None]
    return min(job.submitted_ms for job in jobs), max(ends)


def time_metrics(plan: BenchmarkPlan, report: RunReport, input_bytes: int) -> list[Metric]:
    """Return durations and throughput of the measured jobs, and how long making and checking took."""
    begin, end = measured_window(report)
    duration = (end - begin) / 1000
    metrics = [
        Metric("exe_time_s", duration, "s", "jobs"),
        Metric("throughput_mb_s", input_bytes / _MEGA / duration, "MB/s", "jobs"),
        _phase_seconds("validate_s", report.phase("validate"), "the output was not checked by a job"),
        _phase_seconds("generate_s", report.phase("prepare"), "the input already existed"),
    ]
    return [*metrics, *_task_metrics(report), *_dfsio_metrics(plan, report)]


def _phase_seconds(name: str, jobs: Sequence[JobReport], otherwise: str) -> Metric:
    if not jobs:
        return Metric.absent(name, otherwise, "s", "jobs")
    return Metric(name, sum(job.duration_s or 0.0 for job in jobs), "s", "jobs")


def _task_metrics(report: RunReport) -> list[Metric]:
    measured = {job.job_id for job in report.phase("run")}
    metrics = []
    for kind in ("map", "reduce"):
        tasks = [task for task in report.tasks if task.kind == kind and task.job_id in measured]
        ended = [task for task in tasks if task.succeeded or not any(other.succeeded for other in tasks)]
        spans = [(task.finished_ms - task.started_ms) / 1000 for task in ended if task.finished_ms]
        metrics.append(Metric(f"{kind}_tasks", float(len({task.task_id for task in tasks})), "", "tasks"))
        if spans:
            metrics.append(Metric(f"{kind}_task_mean_s", sum(spans) / len(spans), "s", "tasks"))
            metrics.append(Metric(f"{kind}_task_max_s", max(spans), "s", "tasks"))
    return metrics


def _dfsio_metrics(plan: BenchmarkPlan, report: RunReport) -> list[Metric]:
    if plan.benchmark != "dfsio":
        return []
    metrics = []
    for way in ("write", "read"):
        moved, micros = report.total(f"{way.upper()}_BYTES"), report.total(f"{way.upper()}_MICROS")
        rates = report.total(f"{way.upper()}_RATE")
        if moved and micros and rates and plan.files:
            throughput, rate = moved / micros, rates / plan.files / _MEGA
            metrics.append(Metric(f"dfsio_{way}_mb_s", throughput, "MB/s", "counters"))
            metrics.append(Metric(f"dfsio_{way}_io_rate_mb_s", rate, "MB/s", "counters"))
    return metrics


def counter_metrics(report: RunReport) -> list[Metric]:
    """Return the sums of Hadoop's counters over the measured jobs; one that no job has is left out."""
    return _summed(report, job_counters.METRICS)


def spark_metrics(report: RunReport) -> list[Metric]:
    """Return the sums of Spark's task metrics over the measured jobs, and the number of tasks."""
    measured = {job.job_id for job in report.phase("run")}
    attempts = [task for task in report.tasks if task.job_id in measured]
    parts = {(task.kind, task.task_id.rpartition(".")[2]) for task in attempts}
    found = [
        Metric("tasks", float(len(parts)), "", "tasks"),
        Metric("task_attempts", float(len(attempts)), "", "tasks"),
    ]
    for word in ("failed", "killed"):
        count = sum(task.status == word for task in attempts)
        found.append(Metric(f"{word}_task_attempts", float(count), "", "tasks"))
    return [*found, *_summed(report, job_counters.SPARK_METRICS)]


def _summed(report: RunReport, definitions: Mapping[str, tuple[str, str]]) -> list[Metric]:
    found = ((name, report.total(counter), unit) for name, (counter, unit) in definitions.items())
    metrics = [
        Metric(name, float(value), unit, "counters") for name, value, unit in found if value is not None
    ]
    gc_ms = report.total("GC_TIME_MILLIS")
    return metrics if gc_ms is None else [*metrics, Metric("gc_s", gc_ms / 1000, "s", "counters")]


def usage_metrics(usage: Usage, wall_s: float, window_ms: tuple[int, int]) -> list[Metric]:
    """Return what the engine's processes used: of the whole process, and CPU time within the measured jobs."""
    count = len(usage.samples)
    inside = [cpu for at, cpu, _ in usage.samples if window_ms[0] <= at * 1000 <= window_ms[1]]
    source = "psutil"
    metrics = [
        Metric("wall_s", wall_s, "s", "process"),
        Metric("cpu_s", usage.cpu_s, "s", source),
        Metric("rss_peak_mb", usage.rss_peak_bytes / _MEGA, "MB", source, updates=count),
    ]
    if len(inside) > 1:
        span = (window_ms[1] - window_ms[0]) / 1000
        metrics.append(
            Metric("cpu_cores_mean", (inside[-1] - inside[0]) / span, "", source, None, None, None, span)
        )
    return metrics


def cost_metrics(report: RunReport, cores: int, price_per_core_hour_usd: float | None) -> list[Metric]:
    """Return `cost_usd`: execution time, times the cores kept for it, times their price; empty without a price."""
    if price_per_core_hour_usd is None:
        return []
    begin, end = measured_window(report)
    hours = (end - begin) / 3_600_000
    return [Metric("cost_usd", hours * cores * price_per_core_hour_usd, "USD", "model")]


def run_tables(report: RunReport, usage: Usage | None, *, shared_process: bool) -> dict[str, pa.Table]:
    """Return `jobs`, `tasks`, `counters` and, of the engine's processes, `samples`."""
    import pyarrow as pa

    zero = zero_ms(report)
    found = {
        "jobs": pa.Table.from_pylist([_job_row(job, report, zero) for job in report.jobs], tables.jobs()),
        "tasks": pa.Table.from_pylist([_task_row(task, zero) for task in report.tasks], tables.tasks()),
        "counters": pa.Table.from_pylist(
            list(job_counters.rows(report.jobs, shared_process=shared_process)), tables.counters()
        ),
    }
    if usage is not None:
        found["samples"] = _samples(usage, zero / 1000)
    return found


def zero_ms(report: RunReport, otherwise: int = 0) -> int:
    """Return the moment 0 of a run's tables, ms since the epoch: when its first measured job was submitted."""
    jobs = report.phase("run") or report.jobs
    return min((job.submitted_ms for job in jobs), default=otherwise)


def _job_row(job: JobReport, report: RunReport, zero_ms: int) -> dict[str, Any]:
    tasks = [task for task in report.tasks if task.job_id == job.job_id]
    maps = [task for task in tasks if task.kind == "map"]
    reduces = [task for task in tasks if task.kind == "reduce"]
    return {
        "job_id": job.job_id,
        "step": job.step,
        "phase": job.phase,
        "status": "succeeded" if job.succeeded else "failed",
        "submitted_s": (job.submitted_ms - zero_ms) / 1000,
        "started_s": (min(task.started_ms for task in tasks) - zero_ms) / 1000 if tasks else None,
        "finished_s": None if job.finished_ms is None else (job.finished_ms - zero_ms) / 1000,
        "duration_s": job.duration_s,
        "map_phase_s": _span_s(maps),
        "reduce_phase_s": _span_s(reduces),
        "maps": len({task.task_id for task in maps}) if tasks else None,
        "reduces": len({task.task_id for task in reduces}) if tasks else job.reduces,
        "failed_tasks": sum(task.status == "failed" for task in tasks) if tasks else None,
        "error": job.error,
    }


def _span_s(tasks: Sequence[TaskReport]) -> float | None:
    ends = [task.finished_ms for task in tasks if task.finished_ms is not None]
    return (max(ends) - min(task.started_ms for task in tasks)) / 1000 if ends else None


def _task_row(task: TaskReport, zero_ms: int) -> dict[str, Any]:
    def at(moment_ms: int | None) -> float | None:
        return None if moment_ms is None else (moment_ms - zero_ms) / 1000

    kind = task.kind if task.kind in _TASK_COLUMNS else "stage"
    columns = {column: task.counters.get(counter) for column, counter in _TASK_COLUMNS[kind].items()}
    return {
        "job_id": task.job_id,
        "task_id": task.task_id,
        "attempt": task.attempt,
        "kind": task.kind,
        "status": task.status,
        "host": task.host,
        "started_s": at(task.started_ms),
        "map_finished_s": at(task.function_finished_ms) if kind == "map" else None,
        "shuffle_finished_s": at(task.shuffle_finished_ms),
        "merge_finished_s": at(task.function_started_ms) if kind == "reduce" else None,
        "finished_s": at(task.finished_ms),
        "duration_s": None if task.finished_ms is None else (task.finished_ms - task.started_ms) / 1000,
        **columns,
        "gc_ms": task.counters.get("GC_TIME_MILLIS"),
        "cpu_ms": task.counters.get("CPU_MILLISECONDS"),
        "error": task.error,
    }


def _samples(usage: Usage, zero_s: float) -> pa.Table:
    import pyarrow as pa

    times, names, values = [], [], []
    for at, cpu_s, resident in usage.samples:
        times += [at - zero_s] * 2
        names += ["engine_cpu_s", "engine_rss_mb"]
        values += [cpu_s, resident / _MEGA]
    schema = pa.schema([("t_s", pa.float64()), ("name", pa.string()), ("value", pa.float64())])
    return pa.table([times, names, values], schema=schema)
