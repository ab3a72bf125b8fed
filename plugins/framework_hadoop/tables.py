"""The Arrow tables of a data engine's run. Times are seconds from the submission of its first measured job.

A null is "unknown" or "did not happen"; it is never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def jobs() -> pa.Schema:
    """Schema of `jobs`: one row a job (MapReduce) or a job of the driver (Spark).

    `phase` is `prepare` (makes the input), `run` (is measured) or `validate`; `step` names it within the
    benchmark; `tasks_*` are from the first task's start to the last one's end, by kind.
    """
    import pyarrow as pa

    text, real, whole = pa.string(), pa.float64(), pa.int64()
    return pa.schema(
        [
            pa.field("job_id", text, nullable=False),
            pa.field("step", text),
            pa.field("phase", text),
            pa.field("status", text, nullable=False),
            pa.field("submitted_s", real),
            pa.field("started_s", real),
            pa.field("finished_s", real),
            pa.field("duration_s", real),
            pa.field("map_phase_s", real),
            pa.field("reduce_phase_s", real),
            pa.field("maps", whole),
            pa.field("reduces", whole),
            pa.field("failed_tasks", whole),
            pa.field("error", text),
        ]
    )


def tasks() -> pa.Schema:
    """Schema of `tasks`: one row a task attempt.

    `kind` is map, reduce (MapReduce) or the stage (`stage 3`, Spark). A reduce task fetches until
    `shuffle_finished_s`, merges until `merge_finished_s`, then reduces. Where the engine reports only the end of
    both (local job runner), `shuffle_finished_s` is null. A map task maps until `map_finished_s`, then sorts and
    merges its last spills.
    """
    import pyarrow as pa

    text, real, whole = pa.string(), pa.float64(), pa.int64()
    names: dict[str, pa.DataType] = {
        "job_id": text,
        "task_id": text,
        "attempt": whole,
        "kind": text,
        "status": text,
        "host": text,
        "started_s": real,
        "map_finished_s": real,
        "shuffle_finished_s": real,
        "merge_finished_s": real,
        "finished_s": real,
        "duration_s": real,
        "input_records": whole,
        "output_records": whole,
        "output_bytes": whole,
        "spilled_records": whole,
        "shuffle_bytes": whole,
        "gc_ms": whole,
        "cpu_ms": whole,
        "error": text,
    }
    needed = {"job_id", "task_id", "attempt", "status"}
    return pa.schema([pa.field(name, kind, nullable=name not in needed) for name, kind in names.items()])


def counters() -> pa.Schema:
    """Schema of `counters`: the jobs' counters, by group; `value` is exact.

    `repeatable` says that two runs of the same configuration give the same value; times, memory, and what the
    engine counts for the whole process while several tasks run are not.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("job_id", pa.string(), nullable=False),
            pa.field("counter_group", pa.string(), nullable=False),
            pa.field("name", pa.string(), nullable=False),
            pa.field("value", pa.int64(), nullable=False),
            pa.field("repeatable", pa.bool_(), nullable=False),
        ]
    )


def sql_queries() -> pa.Schema:
    """Schema of `sql_queries`: one row a SQL execution of a Spark application."""
    import pyarrow as pa

    names = {"query_id": pa.string(), "description": pa.string(), "started_s": pa.float64()}
    names |= {"duration_s": pa.float64(), "error": pa.string()}
    return pa.schema([pa.field(name, kind, nullable=name != "query_id") for name, kind in names.items()])


def executors() -> pa.Schema:
    """Schema of `executors`: one row an executor of a Spark application.

    `added_s` is negative for one that was there before the first job. `removed_s` is null for one that stayed to the
    end; `reason` says why one was removed.
    """
    import pyarrow as pa

    names = {"executor": pa.string(), "host": pa.string(), "cores": pa.int64(), "added_s": pa.float64()}
    names |= {"removed_s": pa.float64(), "reason": pa.string()}
    return pa.schema([pa.field(name, kind, nullable=name != "executor") for name, kind in names.items()])


def execution_verdicts() -> pa.Schema:
    """Schema of `execution_verdicts`: one row an execution that this run of the outlier rule judged.

    `verdict` is ok, warning, outlier or failed; `expected_s` is what models say that never saw the execution,
    `time_ratio` its time over that, `deviation` the local robust deviation of log time, `neighbours` how many were
    asked (0 where it did not deviate).
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("judged_run_id", pa.string(), nullable=False),
            pa.field("verdict", pa.string(), nullable=False),
            pa.field("expected_s", pa.float64()),
            pa.field("time_ratio", pa.float64()),
            pa.field("deviation", pa.float64()),
            pa.field("neighbours", pa.int64()),
        ]
    )


def schemas() -> Mapping[str, pa.Schema]:
    """Return all tables that data engines, and what is learned from executions, add to the store."""
    from framework_hadoop.knowledge import knowledge_tables

    return {
        "jobs": jobs(),
        "tasks": tasks(),
        "counters": counters(),
        "sql_queries": sql_queries(),
        "executors": executors(),
        "execution_verdicts": execution_verdicts(),
        **knowledge_tables.schemas(),
    }
