"""Hooks of the engines: schemas, tables, metrics, importers, what the machine can run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from framework.contracts import DoctorCheck, Importer, MetricDefinition, ReportScope, TableBlock


def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schemas of the backends and the benchmarks."""
    from framework_hadoop.benchmarks import settings

    return (
        ("backend", "hadoop_schema", settings.HadoopSettings),
        ("backend", "spark_schema", settings.SparkSettings),
        ("workload", "benchmark_schema", settings.BenchmarkSettings),
    )


def importers() -> Iterable[Importer]:
    """Recorded jobs of clusters."""
    from framework_hadoop.engines import job_history, spark_events

    return (
        Importer("jhist", "a MapReduce job history file (.jhist)", job_history.read_runs),
        Importer("spark", "a Spark event log (JSON lines, plain or .gz)", spark_events.read_runs),
    )


def metric_definitions() -> Iterable[MetricDefinition]:
    """What the engines' metrics mean."""
    define = MetricDefinition
    return (
        define(
            "wall_s", "s", "life of the engine's process, with its start and the check of the output", "lower"
        ),
        define(
            "throughput_mb_s", "MB/s", "input (DFSIO: what is written and read) over exe_time_s", "higher"
        ),
        define("generate_s", "s", "time to make the input; absent if it was there"),
        define("validate_s", "s", "time of the jobs that check the output"),
        define("cpu_s", "s", "user and system time of the engine's processes on this machine", "lower"),
        define("cpu_cores_mean", "", "CPU seconds a second within the measured jobs", "none"),
        define("rss_peak_mb", "MB", "largest resident memory of the engine's processes", "lower"),
        define("gc_s", "s", "time in garbage collection, summed over tasks", "lower"),
        define("map_tasks", "", "map task attempts of the measured jobs"),
        define("reduce_tasks", "", "reduce task attempts of the measured jobs"),
        define("map_task_mean_s", "s", "mean duration of a map task", "lower"),
        define("map_task_max_s", "s", "longest map task", "lower"),
        define("reduce_task_mean_s", "s", "mean duration of a reduce task", "lower"),
        define("reduce_task_max_s", "s", "longest reduce task", "lower"),
        define("failed_task_attempts", "", "task attempts that failed", "lower"),
        define("spilled_records", "", "records written to disk while sorting, maps and reduces", "lower"),
        define("map_input_records", "", "records read by map tasks"),
        define("map_output_records", "", "records emitted by map functions"),
        define("map_output_bytes", "B", "bytes emitted by map functions, before combiner and compression"),
        define("map_output_materialized_bytes", "B", "bytes of map output on disk, after both", "lower"),
        define("combine_input_records", "", "records given to the combiner"),
        define("reduce_input_records", "", "records given to reduce functions"),
        define("reduce_output_records", "", "records emitted by reduce functions"),
        define(
            "shuffle_bytes", "B", "bytes fetched by reduce tasks (Spark: by tasks after a shuffle)", "lower"
        ),
        define("tasks", "", "task attempts of the measured jobs (Spark)"),
        define("input_records", "", "records read from files (Spark)"),
        define("output_records", "", "records written to files (Spark)"),
        define("shuffle_write_bytes", "B", "bytes written for shuffles (Spark)", "lower"),
        define("shuffle_records", "", "records written for shuffles (Spark)", "lower"),
        define("memory_spilled_bytes", "B", "size in memory of what was spilled (Spark)", "lower"),
        define("disk_spilled_bytes", "B", "size on disk of what was spilled (Spark)", "lower"),
        define("dfsio_write_mb_s", "MB/s", "bytes written over the sum of the tasks' stream times", "higher"),
        define("dfsio_read_mb_s", "MB/s", "bytes read over the sum of the tasks' stream times", "higher"),
        define("dfsio_write_io_rate_mb_s", "MB/s", "mean of the files' own write rates", "higher"),
        define("dfsio_read_io_rate_mb_s", "MB/s", "mean of the files' own read rates", "higher"),
        define(
            "yarn_elapsed_s", "s", "time of the run's YARN applications, from the ResourceManager", "lower"
        ),
        define("yarn_memory_mb_s", "MB·s", "memory allocated times time", "lower"),
        define("yarn_vcore_s", "s", "virtual cores allocated times time", "lower"),
        define("yarn_preempted_memory_mb_s", "MB·s", "memory times time of preempted containers", "lower"),
        define("yarn_preempted_vcore_s", "s", "virtual cores times time of preempted containers", "lower"),
    )


def doctor_checks() -> Iterator[DoctorCheck]:
    """Whether MapReduce and Spark can run here."""
    import os
    from pathlib import Path

    from framework.errors import ConfigError
    from framework_hadoop.engines import hadoop_engines as engines
    from framework_hadoop.engines import toolchain

    try:
        java = toolchain.find_java(None, "backend=hadoop")
        yield DoctorCheck("java", True, str(java))
    except ConfigError as error:
        yield DoctorCheck("java", False, str(error), "install a JDK 17 (Debian: openjdk-17-jdk-headless)")
    try:
        jars = toolchain.hadoop_jars(toolchain.jars_folder(None, "backend=hadoop"))
        version = toolchain.jar_version(jars, "hadoop-client-api-")
        yield DoctorCheck("hadoop jars", True, f"Hadoop {version} from pyspark: local job runner, and Spark")
    except ConfigError as error:
        yield DoctorCheck("hadoop jars", None, str(error), "pip install 'framework-lab[hadoop]'")
    home = os.environ.get("HADOOP_HOME")
    if not home:
        yield DoctorCheck("HADOOP_HOME", None, "not set: MapReduce runs in one JVM, without HDFS and YARN")
        return
    version = None
    try:
        version = engines.distribution_version(Path(home))
    except ConfigError as error:
        yield DoctorCheck("HADOOP_HOME", False, str(error), "point it to a Hadoop distribution, or unset it")
        return
    yield DoctorCheck("HADOOP_HOME", version is not None, f"{home}: {version or 'bin/hadoop version fails'}")


def sweep_tables(scope: ReportScope) -> list[TableBlock]:
    """Prediction, best settings and cost-time fronts, if the sweep ran an engine with several settings."""
    held = scope.store.query(
        "SELECT count(*) FROM runs WHERE experiment = ? AND backend IN ('hadoop', 'spark')",
        [scope.experiment],
    )
    if held.column(0)[0].as_py() == 0:
        return []
    from framework_hadoop.knowledge import knob_study

    return knob_study.sweep_tables(scope.store, scope.run_ids)
