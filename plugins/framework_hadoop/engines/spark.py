"""Backend `spark`: the benchmarks on Spark through spark-submit, with its event log read back."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from framework.configuration.plain_values import from_plain, one_of, whole
from framework.contracts import Json, Metric, Result, RunContext, SanityCheck, WorkloadTables
from framework.errors import ConfigError, InputError
from framework_hadoop.benchmarks.data_size import parse_size
from framework_hadoop.benchmarks.output_checks import output_checks
from framework_hadoop.benchmarks.plan import BenchmarkPlan, plan_of
from framework_hadoop.benchmarks.settings import SparkSettings, check_engine
from framework_hadoop.engines import job_result as outcome
from framework_hadoop.engines import toolchain
from framework_hadoop.engines.job_failures import failure_of
from framework_hadoop.engines.jvm import Ended, run_jvm
from framework_hadoop.engines.mapreduce import HadoopBackend
from framework_hadoop.engines.run_report import JobReport, RunReport, kept_reports, read_report
from framework_hadoop.engines.spark_events import GROUP, read_application

_MAIN_CLASS = "framework.spark.SparkMain"
_CODECS = ("lz4", "snappy", "zstd", "none")
_MASTER = re.compile(r"local(\[(\d+|\*)(,\d+)?\])?|spark://.+|yarn|k8s://.+")
_COMPILE_JARS = ("spark-core_", "spark-common-utils", "scala-library-")


@dataclass(frozen=True)
class _Spark:
    """A Spark distribution, and our two programs compiled against it."""

    home: Path
    java: Path
    program: Path
    mapreduce: Path

    @property
    def submit(self) -> Path:
        return self.home / "bin" / "spark-submit"


class SparkBackend:
    """Spark in one JVM (`local[N]`) or on a cluster (`SparkSettings`)."""

    def __init__(self, **keys: Any) -> None:
        self.settings = from_plain(SparkSettings, keys, "backend")
        check_engine(self.settings)
        _check_values(self.settings)

    def fingerprint(self) -> str:
        """Return a hash of Java, Spark's jars and our programs for both engines: Hadoop's makes the input."""
        java, home = self._java_and_home()
        return toolchain.fingerprint_of(java, sorted((home / "jars").glob("*.jar")))

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for what can't run: no Java, no Spark, another domain's workload."""
        plan_of(workload, "spark")
        self._spark()

    def _java_and_home(self) -> tuple[Path, Path]:
        settings = self.settings
        java = toolchain.find_java(settings.java, "backend 'spark'")
        home = Path(settings.spark_home) if settings.spark_home else toolchain.pyspark_home("backend 'spark'")
        if not (home / "bin" / "spark-submit").is_file():
            raise ConfigError(f"backend.spark_home: '{home}' contains no bin/spark-submit")
        return java, home

    def _spark(self) -> _Spark:
        java, home = self._java_and_home()
        jars = home / "jars"
        hadoop = toolchain.hadoop_jars(jars)[:2]
        mapreduce = toolchain.compiled(java, "mapreduce", hadoop)
        own = [jar for prefix in _COMPILE_JARS for jar in sorted(jars.glob(f"{prefix}*.jar"))]
        program = toolchain.compiled(java, "spark", [mapreduce, *hadoop, *own])
        return _Spark(home, java, program, mapreduce)

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Make the input if it is not there, run the benchmark, read the event log, check the output.

        Raises:
            EngineFailedError: a JVM failed, hung, ran out of memory or was killed; the message says which.
        """
        plan = plan_of(workload, "spark")
        work = Path(self.settings.work_dir or context.scratch) / f"spark-{context.run_id}"
        try:
            return self._run(plan, work, context)
        finally:
            if not self.settings.keep_output:
                shutil.rmtree(work, ignore_errors=True)

    def _run(self, plan: BenchmarkPlan, work: Path, context: RunContext) -> Result:
        spark, events = self._spark(), work / "events"
        events.mkdir(parents=True)
        context.progress(0.05, "input")
        source, made, prepared = self._input(plan, context, spark)
        context.progress(0.3, plan.benchmark)
        told = {
            **plan.properties(),
            "framework.input": source,
            "framework.output": str(work / "output"),
            "framework.report": str(work / "run.jsonl"),
            "framework.combiner": str(self.settings.combiner is not False).lower(),
            "hadoop.tmp.dir": str(work / "tmp"),
        }
        context.window.begin_s, began_ms = time.monotonic(), int(time.time() * 1000)
        ended = self._submit(spark, plan, told, events, context)
        context.window.end_s = time.monotonic()
        report = read_report(work / "run.jsonl")
        measured, troubles = _measured(events, began_ms, int(time.time() * 1000))
        _with_dfsio(measured, report)
        measured = replace(
            measured,
            jobs=[*prepared.jobs, *measured.jobs, *report.phase("validate")],
            tasks=[*prepared.tasks, *measured.tasks],
            facts=report.facts,
        )
        result = self._result(plan, made, measured, ended)
        result.checks += troubles
        result.artifacts |= kept_reports(work, context.scratch)
        return result

    def _input(
        self, plan: BenchmarkPlan, context: RunContext, spark: _Spark
    ) -> tuple[str, dict[str, int], RunReport]:
        """Return the input, made by the MapReduce generator in one JVM from the same jars."""
        settings = self.settings
        maker = HadoopBackend(
            java=settings.java,
            jars=str(spark.home / "jars"),
            data_dir=settings.data_dir,
            work_dir=settings.work_dir,
            timeout_s=settings.timeout_s,
        )
        return maker.prepared_input(plan, context)

    def _submit(
        self, spark: _Spark, plan: BenchmarkPlan, told: Mapping[str, str], events: Path, context: RunContext
    ) -> Ended:
        settings = self.settings
        log = context.scratch / "spark.log"
        conf = {
            **{f"spark.hadoop.{name}": value for name, value in told.items()},
            **self._engine_properties(events, Path(told["hadoop.tmp.dir"])),
            **settings.properties,
        }
        pairs = [word for name, value in conf.items() for word in ("--conf", f"{name}={value}")]
        command = [str(spark.submit), "--master", settings.master, "--class", _MAIN_CLASS]
        command += ["--jars", str(spark.mapreduce), *pairs, str(spark.program), plan.benchmark]
        environment = {"SPARK_HOME": str(spark.home), "JAVA_HOME": str(spark.java.resolve().parent.parent)}
        ended = run_jvm(command, environment, log, settings.timeout_s, settings.sample_interval_s)
        if ended.status != 0 or ended.timed_out:
            heap = f"backend.heap_mb={settings.heap_mb}"
            text = log.read_text(errors="replace")
            raise failure_of(ended, text, settings.timeout_s, heap, f"spark {plan.benchmark}")
        return ended

    def _engine_properties(self, events: Path, temporary: Path) -> dict[str, str]:
        flags = " ".join(["-XX:+ExitOnOutOfMemoryError", *self.settings.jvm_options])
        return {
            "spark.eventLog.enabled": "true",
            "spark.eventLog.rolling.enabled": "false",
            "spark.eventLog.compress": "false",
            "spark.eventLog.dir": events.as_uri(),
            "spark.ui.enabled": "false",
            "spark.local.dir": str(temporary),
            **knob_properties(self.settings),
            "spark.driver.extraJavaOptions": flags,
        }

    def _result(
        self, plan: BenchmarkPlan, made: Mapping[str, int], report: RunReport, ended: Ended
    ) -> Result:
        moved = made.get("BYTES", 2 * plan.size_bytes)
        metrics: list[Metric] = [
            metric
            for metric in outcome.time_metrics(plan, report, moved)
            if not metric.name.startswith(("map_", "reduce_"))
        ]
        metrics += outcome.spark_metrics(report)
        metrics += outcome.usage_metrics(ended.usage, ended.wall_s, outcome.measured_window(report))
        cores = re.match(r"local\[(\d+)", self.settings.master)
        if cores is not None:
            metrics += outcome.cost_metrics(report, int(cores[1]), self.settings.price_per_core_hour_usd)
        facts: dict[str, Json] = {
            "mode": "local" if self.settings.master.startswith("local") else "cluster",
            "runner": f"Spark, {self.settings.master}",
            "spark_version": report.facts.get("spark_version"),
            "application_id": report.facts.get("application_id"),
            "input": dict(made),
        }
        tables = outcome.run_tables(report, ended.usage, shared_process=False)
        return Result(metrics, tables, facts, output_checks(plan, made, report))


def knob_properties(settings: SparkSettings) -> dict[str, str]:
    """Return the knobs as Spark's properties; what is null is left to Spark."""
    heap = None if settings.heap_mb is None else f"{settings.heap_mb}m"
    flags = " ".join(settings.jvm_options) or None
    compress = None if settings.codec is None else str(settings.codec != "none").lower()
    split = None if settings.split_size is None else parse_size(settings.split_size, "backend.split_size")
    named = {
        "spark.driver.memory": heap,
        "spark.executor.memory": heap,
        "spark.driver.extraJavaOptions": flags,
        "spark.executor.extraJavaOptions": flags,
        "spark.default.parallelism": settings.reduces,
        "spark.memory.fraction": settings.memory_fraction,
        "spark.shuffle.compress": compress,
        "spark.io.compression.codec": None if settings.codec in (None, "none") else settings.codec,
        "spark.hadoop.mapreduce.input.fileinputformat.split.maxsize": split,
        # textFile uses the old interface, which knows only a goal; the block size is what bounds its splits
        "spark.hadoop.fs.local.block.size": split,
    }
    return {name: str(value) for name, value in named.items() if value is not None}


def _measured(events: Path, began_ms: int, ended_ms: int) -> tuple[RunReport, list[SanityCheck]]:
    """Return what the event log says; where it can't be read, the process's own time as one job, and a warning."""
    logs = sorted(file for file in events.iterdir() if not file.name.startswith("."))
    try:
        report = read_application(logs[0]).report if logs else RunReport()
        reason = "" if report.jobs else "it is empty"
    except InputError as error:
        report, reason = RunReport(), str(error).replace(str(events), ".")
    if report.jobs:
        return report, []
    job = JobReport("process", "spark-submit", "run", began_ms, ended_ms, True, None, None, {})
    detail = f"the event log can't be read, so the time includes the start of the process: {reason}"
    return RunReport([job]), [SanityCheck("event_log", "warn", detail)]


def _with_dfsio(measured: RunReport, report: RunReport) -> None:
    """Count DFSIO's bytes and times, which its tasks return to the driver, as counters of the last job."""
    moved = {name: int(value) for name, value in report.facts.items() if name.startswith(("WRITE_", "READ_"))}
    if moved and measured.jobs:
        last = measured.jobs[-1]
        counters = {GROUP: dict(last.counters.get(GROUP, {})), "dfsio": moved}
        measured.jobs[-1] = replace(last, counters=counters)


def _check_values(settings: SparkSettings) -> None:
    if not _MASTER.fullmatch(settings.master):
        raise ConfigError(
            f"backend.master: expected local[N], spark://…, yarn or k8s://…, got {settings.master!r}"
        )
    if settings.codec is not None:
        one_of(settings.codec, "backend.codec", _CODECS)
    for name, value in (("reduces", settings.reduces), ("heap_mb", settings.heap_mb)):
        if value is not None:
            whole(value, f"backend.{name}", least=1)
    if settings.split_size is not None:
        parse_size(settings.split_size, "backend.split_size")
    fraction = settings.memory_fraction
    if fraction is not None and not 0 < fraction < 1:
        raise ConfigError(f"backend.memory_fraction: must be between 0 and 1, got {fraction}")
    if settings.work_dir is not None and not os.access(settings.work_dir, os.W_OK):
        raise ConfigError(f"backend.work_dir: '{settings.work_dir}' is not a writable folder")
