"""Where MapReduce runs: in one JVM of this machine, or on the cluster that a Hadoop distribution knows."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from framework.contracts import Json
from framework.errors import ConfigError
from framework_hadoop.benchmarks.settings import HadoopSettings
from framework_hadoop.engines import toolchain
from framework_hadoop.knobs import Mode

MAIN_CLASS = "framework.mapreduce.Main"
_LOG_SETTINGS = Path(__file__).resolve().parents[1] / "java" / "log4j2.properties"
_HADOOP_VARIABLES = ("HADOOP_CONF_DIR", "HADOOP_OPTS", "HADOOP_CLIENT_OPTS", "HADOOP_CLASSPATH")


class Engine(Protocol):
    """How to start the program, and its settings for this place."""

    @property
    def mode(self) -> Mode:
        """Local or cluster."""
        ...

    def command(self, flags: Sequence[str], properties: Mapping[str, str], words: Sequence[str]) -> list[str]:
        """Return the command line: JVM flags, properties, then the program's own words."""
        ...

    def environment(self) -> dict[str, str]:
        """Return what to add to the environment."""
        ...

    def properties(self, run_id: str, work: Path) -> dict[str, str]:
        """Return the properties of the place itself."""
        ...

    def facts(self) -> dict[str, Json]:
        """Return what a reader of the results should know of the place."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Hadoop's LocalJobRunner: real map, sort, spill, merge and reduce code in one JVM, files instead of HDFS."""

    tools: toolchain.Toolchain
    mode: Mode = "local"
    label: str = "LocalJobRunner, one JVM"

    def command(self, flags: Sequence[str], properties: Mapping[str, str], words: Sequence[str]) -> list[str]:
        """Return `java … Main -D… words`; the first exhausted heap ends the JVM instead of leaving it to limp on."""
        classpath = os.pathsep.join(map(str, (self.tools.program, *self.tools.classpath)))
        settings = [
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={_LOG_SETTINGS}",
        ]
        return [
            str(self.tools.java),
            *flags,
            *settings,
            "-cp",
            classpath,
            MAIN_CLASS,
            *_pairs(properties),
            *words,
        ]

    def environment(self) -> dict[str, str]:
        """Return nothing to add: a Hadoop configuration in the environment has no part in local mode."""
        return dict.fromkeys(_HADOOP_VARIABLES, "")

    def properties(self, run_id: str, work: Path) -> dict[str, str]:
        """Return the local job runner, its folders, and poll intervals that cost no seconds a job."""
        return {
            "mapreduce.framework.name": "local",
            "fs.defaultFS": "file:///",
            "hadoop.tmp.dir": str(work / "tmp"),
            "mapreduce.client.completion.pollinterval": "20",
            "mapreduce.client.progressmonitor.pollinterval": "20",
            "mapreduce.outputcommitter.factory.class": "framework.mapreduce.TracingCommitters",
        }

    def facts(self) -> dict[str, Json]:
        """Return mode and versions."""
        return {"mode": self.mode, "runner": self.label, "hadoop_version": self.tools.version}


@dataclass(frozen=True)
class ClusterEngine:
    """A Hadoop distribution's own client: HDFS and YARN as its configuration says."""

    home: Path
    program: Path
    resourcemanager_url: str | None
    history_wait_s: int
    mode: Mode = "cluster"
    label: str = "YARN, Hadoop distribution"

    def command(self, flags: Sequence[str], properties: Mapping[str, str], words: Sequence[str]) -> list[str]:
        """Return `hadoop jar … Main -D… words`; the tasks' JVM flags are properties here."""
        return [_hadoop(self.home), "jar", str(self.program), MAIN_CLASS, *_pairs(properties), *words]

    def environment(self) -> dict[str, str]:
        """Return HADOOP_HOME, so that the distribution does not use another one's."""
        return {"HADOOP_HOME": str(self.home)}

    def properties(self, run_id: str, work: Path) -> dict[str, str]:
        """Return the tag by which YARN finds the run's jobs, and the wait for history files."""
        return {"mapreduce.job.tags": run_id, "framework.history.wait.s": str(self.history_wait_s)}

    def facts(self) -> dict[str, Json]:
        """Return mode, version and file system of the distribution."""
        return {
            "mode": self.mode,
            "runner": self.label,
            "hadoop_version": distribution_version(self.home),
            "default_fs": distribution_property(self.home, "fs.defaultFS"),
            "framework_name": distribution_property(self.home, "mapreduce.framework.name"),
        }


def _pairs(properties: Mapping[str, str]) -> list[str]:
    return [f"-D{name}={value}" for name, value in properties.items()]


def java_and_jars(settings: HadoopSettings) -> tuple[Path, list[Path]]:
    """Return the Java executable and Hadoop's jars that the settings lead to. Raises as `engine_for`."""
    java = toolchain.find_java(settings.java, "backend 'hadoop'")
    if settings.hadoop_home:
        return java, _distribution_jars(Path(settings.hadoop_home))
    return java, toolchain.hadoop_jars(toolchain.jars_folder(settings.jars, "backend 'hadoop'"))


def engine_for(settings: HadoopSettings) -> Engine:
    """Return the engine that the settings describe: a distribution if one is named, else one JVM.

    Raises:
        ConfigError: no Java, no jars, or no distribution where one should be; names the key.
    """
    if settings.hadoop_home:
        home = Path(settings.hadoop_home)
        _hadoop(home)
        java, jars = java_and_jars(settings)
        program = toolchain.compiled(java, "mapreduce", jars)
        return ClusterEngine(home, program, settings.resourcemanager_url, settings.history_wait_s)
    java, jars = java_and_jars(settings)
    program = toolchain.compiled(java, "mapreduce", jars[:2])
    version = toolchain.jar_version(jars, "hadoop-client-api-")
    return LocalEngine(toolchain.Toolchain(java, tuple(jars), program, version))


def _hadoop(home: Path) -> str:
    executable = home / "bin" / "hadoop"
    if not os.access(executable, os.X_OK) or not executable.is_file():
        raise ConfigError(
            f"HADOOP_HOME '{home}' contains no executable bin/hadoop; set it to a Hadoop distribution, "
            "or unset it (backend.hadoop_home=null) to run in one JVM"
        )
    return str(executable)


def _distribution_jars(home: Path) -> list[Path]:
    folders = ("share/hadoop/client", "share/hadoop/common", "share/hadoop/mapreduce", "share/hadoop/hdfs")
    jars = [jar for folder in folders for jar in sorted((home / folder).glob("*.jar"))]
    if not jars:
        raise ConfigError(
            f"HADOOP_HOME '{home}' contains no jars below share/hadoop: not a Hadoop distribution"
        )
    return jars


@cache
def distribution_version(home: Path) -> str | None:
    """Return the version that `hadoop version` prints; None if it can't say."""
    lines = _output([_hadoop(home), "version"]).splitlines()
    return lines[0].removeprefix("Hadoop").strip() if lines else None


@cache
def distribution_property(home: Path, name: str) -> str | None:
    """Return a property of the distribution's configuration (`hdfs getconf`); None if it can't say."""
    hdfs = home / "bin" / "hdfs"
    return _output([str(hdfs), "getconf", "-confKey", name]).strip() or None if hdfs.is_file() else None


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
