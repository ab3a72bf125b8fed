"""Hadoop's counters: which are exact and repeatable, and the metrics made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from framework_hadoop.engines.run_report import JobReport

_MEASURED = frozenset(
    {
        "GC_TIME_MILLIS",
        "CPU_MILLISECONDS",
        "EXECUTOR_RUN_MILLIS",
        "COMMITTED_HEAP_BYTES",
        "PHYSICAL_MEMORY_BYTES",
        "VIRTUAL_MEMORY_BYTES",
        "MAP_PHYSICAL_MEMORY_BYTES_MAX",
        "MAP_VIRTUAL_MEMORY_BYTES_MAX",
        "REDUCE_PHYSICAL_MEMORY_BYTES_MAX",
        "REDUCE_VIRTUAL_MEMORY_BYTES_MAX",
        "WRITE_MICROS",
        "WRITE_RATE",
        "READ_MICROS",
        "READ_RATE",
    }
)
_PLACED = frozenset({"DATA_LOCAL_MAPS", "RACK_LOCAL_MAPS", "OTHER_LOCAL_MAPS"})
_OF_FILE_SYSTEM = ("FileSystemCounter", "FileInputFormatCounter", "FileOutputFormatCounter")

METRICS: Mapping[str, tuple[str, str]] = {
    "spilled_records": ("SPILLED_RECORDS", ""),
    "map_input_records": ("MAP_INPUT_RECORDS", ""),
    "map_output_records": ("MAP_OUTPUT_RECORDS", ""),
    "map_output_bytes": ("MAP_OUTPUT_BYTES", "B"),
    "map_output_materialized_bytes": ("MAP_OUTPUT_MATERIALIZED_BYTES", "B"),
    "combine_input_records": ("COMBINE_INPUT_RECORDS", ""),
    "reduce_input_records": ("REDUCE_INPUT_RECORDS", ""),
    "reduce_output_records": ("REDUCE_OUTPUT_RECORDS", ""),
    "shuffle_bytes": ("REDUCE_SHUFFLE_BYTES", "B"),
}
"""Metric: the counter it is the sum of, over the measured jobs, and its unit."""

SPARK_METRICS: Mapping[str, tuple[str, str]] = {
    "input_records": ("INPUT_RECORDS", ""),
    "output_records": ("OUTPUT_RECORDS", ""),
    "shuffle_bytes": ("SHUFFLE_READ_BYTES", "B"),
    "shuffle_write_bytes": ("SHUFFLE_WRITE_BYTES", "B"),
    "shuffle_records": ("SHUFFLE_WRITE_RECORDS", ""),
    "memory_spilled_bytes": ("MEMORY_SPILLED_BYTES", "B"),
    "disk_spilled_bytes": ("DISK_SPILLED_BYTES", "B"),
}
"""The same of Spark's task metrics."""


def repeatable(group: str, name: str, *, shared_process: bool) -> bool:
    """Say whether two runs of the same configuration give a counter the same value.

    Times, memory and placement never are. The local job runner counts bytes of the file system for its whole
    process: a task's share then depends on what ran at the same time, and job files hold random identifiers.
    """
    if name in _MEASURED or name in _PLACED or name.endswith(("_MILLIS", "_MILLIS_MAPS", "_MILLIS_REDUCES")):
        return False
    return not (shared_process and group.endswith(_OF_FILE_SYSTEM))


def rows(jobs: list[JobReport], *, shared_process: bool) -> Iterator[dict[str, str | int | bool]]:
    """Yield the rows of table `counters`."""
    for job in jobs:
        for group, values in job.counters.items():
            for name, value in values.items():
                yield {
                    "job_id": job.job_id,
                    "counter_group": group,
                    "name": name,
                    "value": value,
                    "repeatable": repeatable(group, name, shared_process=shared_process),
                }
