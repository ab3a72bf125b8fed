"""What the metrics of engines, executions and their prediction mean."""

from __future__ import annotations

from framework.contracts import MetricDefinition

ENGINE_METRICS = (
    MetricDefinition(
        "wall_s",
        "s",
        "life of the engine's process, including its start and the check of the output",
        "lower",
    ),
    MetricDefinition(
        "throughput_mb_s", "MB/s", "size of the input (DFSIO: bytes written and read) / exe_time_s", "higher"
    ),
    MetricDefinition("generate_s", "s", "time to generate the input; absent if it already existed"),
    MetricDefinition("validate_s", "s", "time of the jobs that check the output"),
    MetricDefinition("cpu_s", "s", "user and system time of the engine's processes on this machine", "lower"),
    MetricDefinition("cpu_cores_mean", "", "CPU seconds per second during the measured jobs", "none"),
    MetricDefinition("rss_peak_mb", "MB", "largest resident memory of the engine's processes", "lower"),
    MetricDefinition("gc_s", "s", "time in garbage collection, summed over tasks", "lower"),
    MetricDefinition("map_tasks", "", "map tasks of the measured jobs"),
    MetricDefinition("reduce_tasks", "", "reduce tasks of the measured jobs"),
    MetricDefinition("map_task_mean_s", "s", "mean duration of a map task", "lower"),
    MetricDefinition("map_task_max_s", "s", "longest map task", "lower"),
    MetricDefinition("reduce_task_mean_s", "s", "mean duration of a reduce task", "lower"),
    MetricDefinition("reduce_task_max_s", "s", "longest reduce task", "lower"),
    MetricDefinition(
        "task_attempts", "", "attempts at the tasks of the measured jobs: a task may need several"
    ),
    MetricDefinition("failed_task_attempts", "", "task attempts that failed", "lower"),
    MetricDefinition(
        "killed_task_attempts",
        "",
        "task attempts that were killed: node lost, speculation, preemption",
        "lower",
    ),
    MetricDefinition(
        "spilled_records", "", "records written to disk while sorting, maps and reduces", "lower"
    ),
    MetricDefinition("map_input_records", "", "records read by map tasks"),
    MetricDefinition("map_output_records", "", "records emitted by map functions"),
    MetricDefinition(
        "map_output_bytes", "B", "bytes emitted by map functions, before combiner and compression"
    ),
    MetricDefinition(
        "map_output_materialized_bytes",
        "B",
        "bytes of map output on disk, after combiner and compression",
        "lower",
    ),
    MetricDefinition("combine_input_records", "", "records given to the combiner"),
    MetricDefinition("reduce_input_records", "", "records given to reduce functions"),
    MetricDefinition("reduce_output_records", "", "records emitted by reduce functions"),
    MetricDefinition(
        "shuffle_bytes", "B", "bytes fetched by reduce tasks (Spark: by tasks after a shuffle)", "lower"
    ),
    MetricDefinition("tasks", "", "tasks of the measured jobs (Spark): parts of a stage, each counted once"),
    MetricDefinition(
        "core_seconds",
        "s",
        "cores of the executors times the seconds for which they were there (Spark)",
        "lower",
    ),
    MetricDefinition("executors_added", "", "executors that an application had (Spark)"),
    MetricDefinition("executors_removed", "", "executors that were lost or released before the end (Spark)"),
    MetricDefinition("input_records", "", "records read from files (Spark)"),
    MetricDefinition("output_records", "", "records written to files (Spark)"),
    MetricDefinition("shuffle_write_bytes", "B", "bytes written for shuffles (Spark)", "lower"),
    MetricDefinition("shuffle_records", "", "records written for shuffles (Spark)", "lower"),
    MetricDefinition("memory_spilled_bytes", "B", "size of spilled data in memory (Spark)", "lower"),
    MetricDefinition("disk_spilled_bytes", "B", "size of spilled data on disk (Spark)", "lower"),
    MetricDefinition("dfsio_write_mb_s", "MB/s", "bytes written / sum of the tasks' stream times", "higher"),
    MetricDefinition("dfsio_read_mb_s", "MB/s", "bytes read / sum of the tasks' stream times", "higher"),
    MetricDefinition("dfsio_write_io_rate_mb_s", "MB/s", "mean of the files' own write rates", "higher"),
    MetricDefinition("dfsio_read_io_rate_mb_s", "MB/s", "mean of the files' own read rates", "higher"),
    MetricDefinition(
        "yarn_elapsed_s", "s", "time of the run's YARN applications, from the ResourceManager", "lower"
    ),
    MetricDefinition("yarn_memory_mb_s", "MB·s", "memory allocated times time", "lower"),
    MetricDefinition("yarn_vcore_s", "s", "virtual cores allocated times time", "lower"),
    MetricDefinition(
        "yarn_preempted_memory_mb_s", "MB·s", "memory times time of preempted containers", "lower"
    ),
    MetricDefinition(
        "yarn_preempted_vcore_s", "s", "virtual cores times time of preempted containers", "lower"
    ),
)

EXECUTION_METRICS = (
    MetricDefinition("exe_time_s", "s", "Wall-clock time of an execution.", "lower"),
    MetricDefinition(
        "cost_usd",
        "USD",
        "Hours times the hourly price of the cluster with its remote volumes, solid-state disks and InfiniBand.",
        "lower",
    ),
    MetricDefinition("mape", "", "Mean absolute percentage error of predictions, as a fraction.", "lower"),
    MetricDefinition("median_ape", "", "Median absolute percentage error, as a fraction.", "lower"),
    MetricDefinition("mae", "s", "Mean absolute error of predicted times.", "lower"),
    MetricDefinition(
        "smape_halved",
        "",
        "Mean of |p - m| / (|p| + |m|): for small errors half a MAPE, as a fraction.",
        "lower",
    ),
    MetricDefinition("interval_coverage", "", "Share of measured values within their predicted interval."),
    MetricDefinition(
        "regret",
        "",
        "Measured time of the configuration predicted to be fastest / best measured time, minus 1; median over "
        "benchmarks and clusters of the test rows.",
        "lower",
    ),
    MetricDefinition("mape_held_out_rows", "", "MAPE on a held-out quarter of the training rows.", "lower"),
    MetricDefinition(
        "mape_held_out_configurations", "", "MAPE on a held-out quarter of the configurations.", "lower"
    ),
    MetricDefinition("mape_held_out_clusters", "", "MAPE on held-out clusters.", "lower"),
    MetricDefinition("mape_held_out_benchmarks", "", "MAPE on held-out benchmarks.", "lower"),
    MetricDefinition("executions_judged", "", "Executions judged by the outlier rule."),
    MetricDefinition("execution_outliers", "", "Executions that deviate while their neighbours do not."),
    MetricDefinition("execution_warnings", "", "Executions that deviate and whose neighbours deviate too."),
    MetricDefinition("execution_failures", "", "Executions that are too short to be complete."),
)
