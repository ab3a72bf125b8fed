"""Backend `hadoop`: real MapReduce on generated input, with its output checked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.configuration.plain_values import from_plain
from framework.contracts import Json, Result, RunContext, SanityCheck, WorkloadTables
from framework.errors import ConfigError
from framework_hadoop import knobs
from framework_hadoop.benchmarks.generated_input import GeneratedInput, facts_of, input_of, parse_facts
from framework_hadoop.benchmarks.output_checks import output_checks
from framework_hadoop.benchmarks.plan import BenchmarkPlan, plan_of
from framework_hadoop.benchmarks.settings import HadoopSettings, check_engine
from framework_hadoop.engines import job_result as outcome
from framework_hadoop.engines import toolchain, yarn
from framework_hadoop.engines.hadoop_engines import ClusterEngine, Engine, engine_for, java_and_jars
from framework_hadoop.engines.job_failures import failure_of
from framework_hadoop.engines.job_history import with_history
from framework_hadoop.engines.jvm import Ended, run_jvm
from framework_hadoop.engines.run_report import RunReport, kept_reports, read_report

_FLAGS_TO_GENERATE = ("-Xmx512m", "-XX:TieredStopAtLevel=1")


@dataclass(frozen=True)
class _Program:
    """One start of the Java program within a run."""

    engine: Engine
    settings: HadoopSettings
    context: RunContext
    work: Path

    def run(
        self, words: Sequence[str], flags: Sequence[str], properties: Mapping[str, str]
    ) -> tuple[Ended, RunReport]:
        """Run it to its end. Raises `EngineFailedError` (or a subclass) with the cause if it did not succeed."""
        doing = " ".join(words)
        report_file = self.work / f"{words[0]}.jsonl"
        log = self.context.scratch / f"{words[0]}.log"
        place = self.engine.properties(self.context.run_id, self.work)
        told = {**place, "framework.report": str(report_file), **properties}
        ended = run_jvm(
            self.engine.command(flags, told, words),
            self.engine.environment(),
            log,
            self.settings.timeout_s,
            self.settings.sample_interval_s,
        )
        report = read_report(report_file)
        if ended.status != 0 or ended.timed_out:
            if isinstance(self.engine, ClusterEngine) and self.engine.resourcemanager_url:
                yarn.kill_tagged(self.engine.resourcemanager_url, self.context.run_id)
            heap = f"backend.heap_mb={self.settings.heap_mb}"
            text = log.read_text(errors="replace")
            raise failure_of(ended, text, self.settings.timeout_s, heap, doing)
        return ended, report


class HadoopBackend:
    """MapReduce in one JVM, or on a cluster if `hadoop_home` names a distribution (`HadoopSettings`)."""

    def __init__(self, **keys: Any) -> None:
        self.settings = from_plain(HadoopSettings, keys, "backend")
        check_engine(self.settings)
        self._values = knobs.set_values(self.settings)
        self._mode: knobs.Mode = "cluster" if self.settings.hadoop_home else "local"
        _check_properties(self.settings.properties)

    def fingerprint(self) -> str:
        """Return a hash of Java, Hadoop's jars and our MapReduce programs."""
        java, jars = java_and_jars(self.settings)
        return toolchain.fingerprint_of(java, jars, "mapreduce")

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for what can't run: no Java, no jars, bad HADOOP_HOME, knobs at odds."""
        plan = plan_of(workload, "hadoop")
        knobs.job_properties(self._values, self._mode, plan.input_bytes)
        if self.settings.inert == "refuse":
            for name, reason in self._inert(plan).items():
                raise ConfigError(f"backend.{name}: has no effect here: {reason}")
        reduces = int(self._values.get("reduces", 1))
        if plan.benchmark == "terasort" and (plan.records or 0) < reduces:
            raise ConfigError(
                f"backend.reduces: {reduces} partitions need at least that many records, got {plan.records}"
            )
        if self._values.get("codec") == "zstd" and self._mode == "local":
            raise ConfigError(
                "backend.codec: zstd needs Hadoop's native library, which is missing in the local mode (one JVM)"
            )
        engine_for(self.settings)

    def _inert(self, plan: BenchmarkPlan) -> dict[str, str]:
        found = {name: knobs.inert_reason(name, self._mode, plan.benchmark) for name in self._values}
        return {name: reason for name, reason in found.items() if reason is not None}

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Make the input if it is not there, run the benchmark, check its output.

        Raises:
            EngineFailedError: a JVM failed, hung, ran out of memory or was killed; the message says which.
        """
        plan = plan_of(workload, "hadoop")
        with self._program(context) as program:
            context.progress(0.05, "input")
            source, made, prepared = self._input(plan, program)
            context.progress(0.3, plan.benchmark)
            flags = knobs.jvm_flags(self._values, self.settings.jvm_options)
            properties = self._properties(plan, program, source, made.get("BYTES", plan.size_bytes))
            context.window.begin_s = time.monotonic()
            ended, report = program.run(["run", plan.benchmark], flags, properties)
            context.window.end_s = time.monotonic()
            report.jobs[:0] = prepared.jobs
            report.tasks[:0] = prepared.tasks
            unread = with_history(report, program.work) if self._mode == "cluster" else []
            result = self._result(plan, program.engine, made, report, ended, context.run_id)
            result.checks += unread
            result.artifacts |= kept_reports(program.work, context.scratch)
            return result

    def prepared_input(
        self, plan: BenchmarkPlan, context: RunContext
    ) -> tuple[str, dict[str, int], RunReport]:
        """Return where a plan's input is, what its generator counted, and the report if it was made just now.

        Raises:
            EngineFailedError: it could not be made.
        """
        with self._program(context) as program:
            return self._input(plan, program)

    @contextmanager
    def _program(self, context: RunContext) -> Iterator[_Program]:
        base = Path(self.settings.work_dir) if self.settings.work_dir else context.scratch
        work = base / f"hadoop-{context.run_id}"
        work.mkdir(parents=True, exist_ok=True)
        try:
            yield _Program(engine_for(self.settings), self.settings, context, work)
        finally:
            if not self.settings.keep_output:
                shutil.rmtree(work, ignore_errors=True)

    def _properties(
        self, plan: BenchmarkPlan, program: _Program, source: str, input_bytes: int
    ) -> dict[str, str]:
        """Return the settings of the program: the benchmark, its places, the knobs, the user's own properties."""
        cluster_output = f"{self._data_dir()}/output-{program.context.run_id}"
        options = self.settings.jvm_options
        return {
            **plan.properties(),
            "framework.input": source,
            "framework.output": str(program.work / "output") if self._mode == "local" else cluster_output,
            "framework.keep.output": str(self.settings.keep_output).lower(),
            **knobs.job_properties(self._values, self._mode, input_bytes, options),
            **self.settings.properties,
        }

    def _data_dir(self) -> str:
        if self.settings.data_dir:
            return self.settings.data_dir
        return "framework-benchmarks" if self._mode == "cluster" else str(toolchain.cache_dir() / "data")

    def _input(self, plan: BenchmarkPlan, program: _Program) -> tuple[str, dict[str, int], RunReport]:
        """Return location of the input, what its generator counted, and the report if it was made just now."""
        if plan.generator == "none":
            return "", {}, RunReport()
        placement: dict[str, str] = {}
        if self._mode == "cluster":
            properties = knobs.job_properties(self._values, "cluster", plan.input_bytes)
            for name in ("dfs.blocksize", "dfs.replication"):
                if name in properties:
                    placement[name] = properties[name]
        wanted = input_of(plan, self._data_dir(), placement)
        if self._mode == "cluster":
            return _generated(plan, wanted, program)
        folder = Path(wanted.location)
        made = facts_of(folder)
        if made is not None:
            return wanted.location, made, RunReport()
        with toolchain.entry_lock(folder):
            return _generated(plan, wanted, program)

    def _result(
        self,
        plan: BenchmarkPlan,
        engine: Engine,
        made: Mapping[str, int],
        report: RunReport,
        ended: Ended,
        run_id: str,
    ) -> Result:
        moved = made.get("BYTES", 2 * plan.size_bytes)  # DFSIO writes and reads what it is given
        metrics = outcome.time_metrics(plan, report, moved) + outcome.counter_metrics(report)
        metrics += outcome.usage_metrics(ended.usage, ended.wall_s, outcome.measured_window(report))
        cores = max(int(self._values.get(name, 1)) for name in ("map_slots", "reduce_slots"))
        metrics += outcome.cost_metrics(report, cores, self.settings.price_per_core_hour_usd)
        inert = self._inert(plan)
        checks = output_checks(plan, made, report)
        checks += [
            SanityCheck(f"inert_{name}", "warn", f"backend.{name} has no effect here: {reason}")
            for name, reason in inert.items()
        ]
        facts: dict[str, Json] = {**engine.facts(), "knobs": self._knob_facts(inert), "input": dict(made)}
        if isinstance(engine, ClusterEngine) and engine.resourcemanager_url:
            metrics += yarn.application_metrics(engine.resourcemanager_url, run_id)
        shared = engine.mode == "local"
        return Result(metrics, outcome.run_tables(report, ended.usage, shared_process=shared), facts, checks)

    def _knob_facts(self, inert: Mapping[str, str]) -> dict[str, Json]:
        """Return the set knobs, each labelled active or inert in the present mode."""
        return {
            name: {"value": value, "state": "inert" if name in inert else "active"}
            for name, value in self._values.items()
        }


def _generated(
    plan: BenchmarkPlan, wanted: GeneratedInput, program: _Program
) -> tuple[str, dict[str, int], RunReport]:
    """Have the input made; the program itself leaves alone what is there already."""
    properties = {**wanted.properties, "framework.output": wanted.location}
    _, report = program.run(["generate", plan.generator], _FLAGS_TO_GENERATE, properties)
    return wanted.location, parse_facts(report.facts["made"]), report


def _check_properties(properties: Mapping[str, str]) -> None:
    """Refuse a raw property that a knob or the backend itself sets: the run would not say what it did."""
    owners = {
        name: f"backend.{knob}"
        for knob, described in knobs.catalogue().items()
        for name in (*described.local, *described.cluster)
    }
    for name in properties:
        if name in owners:
            raise ConfigError(f"backend.properties: set {owners[name]} instead of '{name}'")
        if name.startswith("framework.") or name in ("mapreduce.framework.name", "fs.defaultFS"):
            raise ConfigError(f"backend.properties: '{name}' is set by the backend itself")
