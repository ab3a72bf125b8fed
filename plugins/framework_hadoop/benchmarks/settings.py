"""Typed configuration of the data engines and their benchmarks: Hydra's schemas and the classes' arguments."""

from __future__ import annotations

from dataclasses import dataclass, field

from framework.configuration.plain_values import number, one_of
from framework.errors import ConfigError
from framework_hadoop.knobs import HadoopKnobs


@dataclass
class BenchmarkSettings:
    """A benchmark and its input (`workload=wordcount`, `terasort` …).

    Attributes:
        benchmark: wordcount, sort, terasort, grep, pagerank, kmeans or dfsio.
        size: size of the input, such as `10MB`, `64KiB`, `1GB`; graphs come close, everything else is exact.
        max_size: cap on `size`, of `scale`; null: none.
        seed: seed of the input. Repeats of a run read the same input: they measure the engine's noise.
        pattern: regular expression of grep (Java's syntax).
        iterations: of pagerank and kmeans.
        clusters: k of kmeans.
        files: number of files of dfsio, which is its number of map tasks.
    """

    _target_: str = "framework_hadoop.benchmarks.workloads.BenchmarkWorkload"
    name: str = "???"
    benchmark: str = "???"
    size: str = "10MB"
    max_size: str | None = None
    seed: int = 0
    pattern: str = "qui[a-z]*"
    iterations: int = 3
    clusters: int = 10
    files: int = 4


@dataclass
class EngineSettings:
    """What the engines have in common.

    Attributes:
        java: Java executable; null: that of JAVA_HOME or of the PATH.
        jars: folder with the engine's jars; null: those of the installed pyspark.
        timeout_s: a run that takes longer is ended and failed.
        work_dir: folder for intermediate files and output (local mode); null: the run's scratch folder.
        keep_output: leave a run's output and intermediate files in `work_dir` instead of deleting them.
        data_dir: folder or URI for generated input, reused by every run; null: the user's cache folder
            (cluster: `framework-benchmarks` in the home folder of the default file system).
        sample_interval_s: how often CPU time and memory of the engine's processes are read.
        price_per_core_hour_usd: what an hour of one core costs here; sets metric `cost_usd`, execution time times
            the cores that its tasks may use at once. Null: no cost.
        jvm_options: further flags of the JVM (local: of all; cluster: of the tasks), such as
            `-XX:TieredStopAtLevel=1`, which halves the CPU time of jobs of a few seconds.
        properties: further properties of the engine, by their own names.
        inert: what to do with a knob that is set but can't act here: `warn` notes it with the run, `refuse`
            stops before anything starts.
    """

    java: str | None = None
    jars: str | None = None
    timeout_s: float = 600.0
    work_dir: str | None = None
    keep_output: bool = False
    data_dir: str | None = None
    sample_interval_s: float = 0.2
    price_per_core_hour_usd: float | None = None
    jvm_options: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    inert: str = "warn"


@dataclass
class HadoopSettings(HadoopKnobs, EngineSettings):
    """`backend=hadoop`: MapReduce, in one JVM or on a cluster.

    Attributes:
        hadoop_home: a Hadoop distribution (the environment's HADOOP_HOME by default): its `bin/hadoop` then
            drives the cluster that it is configured for. Null: the local job runner in one JVM.
        resourcemanager_url, history_wait_s: cluster only: address of the ResourceManager's REST interface
            (null: not asked), and how long to wait for a job's history file.
    """

    _target_: str = "framework_hadoop.engines.mapreduce.HadoopBackend"
    name: str = "hadoop"
    hadoop_home: str | None = None
    resourcemanager_url: str | None = None
    history_wait_s: int = 30


@dataclass
class SparkSettings(EngineSettings):
    """`backend=spark`: the same benchmarks on Spark.

    Attributes:
        spark_home: a Spark distribution; null: the installed pyspark.
        master: `local[N]` or a cluster's URL (`spark://host:7077`, `yarn`, `k8s://…`).
        reduces: partitions of a shuffle (`spark.default.parallelism`); null: Spark's default.
        split_size: largest part of the input given to one task; null: Spark's default.
        codec: compression of shuffled data: lz4, snappy, zstd, or none.
        combiner: combine what has the same key before the shuffle.
        heap_mb: heap in MiB of the driver (local: of everything) and of each executor.
        memory_fraction: share of the heap for execution and storage (`spark.memory.fraction`).
    """

    _target_: str = "framework_hadoop.engines.spark.SparkBackend"
    name: str = "spark"
    spark_home: str | None = None
    master: str = "local[2]"
    reduces: int | None = None
    split_size: str | None = None
    codec: str | None = None
    combiner: bool | None = None
    heap_mb: int | None = 1024
    memory_fraction: float | None = None


def check_engine(settings: EngineSettings) -> None:
    """Raise `ConfigError` for a bad value of what the engines have in common; names the key."""
    number(settings.timeout_s, "backend.timeout_s", above=0)
    number(settings.sample_interval_s, "backend.sample_interval_s", above=0)
    if settings.price_per_core_hour_usd is not None:
        number(settings.price_per_core_hour_usd, "backend.price_per_core_hour_usd", least=0)
    one_of(settings.inert, "backend.inert", ("warn", "refuse"))
    if settings.keep_output and settings.work_dir is None:
        raise ConfigError(
            "backend.keep_output: needs backend.work_dir, the folder in which the output is kept"
        )
