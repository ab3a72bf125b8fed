"""Java, jars and distributions that are missing or broken: one clear line before anything starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from framework.errors import ConfigError
from framework_hadoop.engines import toolchain
from framework_hadoop.engines.hadoop_engines import ClusterEngine, LocalEngine
from framework_hadoop.engines.mapreduce import HadoopBackend
from framework_hadoop.engines.spark import SparkBackend
from tests.framework_hadoop.engine_runs import benchmark


def script(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def java(tmp_path: Path) -> str:
    return str(script(tmp_path / "jdk" / "bin" / "java", "echo 'openjdk version \"17.0.1\"' >&2"))


def test_a_missing_jdk_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"needs a JDK 17 or newer: no 'java' found \(PATH\).*openjdk-17"):
        HadoopBackend().check(benchmark("sort"))


def test_an_old_java_is_refused_with_its_version(tmp_path: Path) -> None:
    old = script(tmp_path / "java", "echo 'java version \"1.8.0_391\"' >&2")
    with pytest.raises(ConfigError, match="is Java 8"):
        HadoopBackend(java=str(old)).check(benchmark("sort"))


def test_a_runtime_without_a_compiler_is_told_from_a_jdk(
    java: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEWORK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="without the compiler javac"):
        toolchain.compiled(Path(java), "mapreduce", [])


@pytest.mark.parametrize(
    ("jars", "message"), [("gone", "is not a folder"), ("", "contains no hadoop-client-api-")]
)
def test_a_folder_without_the_jars_is_refused(java: str, tmp_path: Path, jars: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"backend\.jars: .*{message}"):
        HadoopBackend(java=java, jars=str(tmp_path / jars)).check(benchmark("sort"))


def test_a_bad_hadoop_home_is_refused_with_the_way_back(java: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"HADOOP_HOME '.*' contains no executable bin/hadoop.*hadoop_home=null"
    ):
        HadoopBackend(java=java, hadoop_home=str(tmp_path)).check(benchmark("sort"))
    script(tmp_path / "bin" / "hadoop", "true")
    with pytest.raises(ConfigError, match="no jars below share/hadoop"):
        HadoopBackend(java=java, hadoop_home=str(tmp_path)).check(benchmark("sort"))


def test_a_bad_spark_home_and_a_bad_master_are_refused(java: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"backend\.spark_home: .* no bin/spark-submit"):
        SparkBackend(java=java, spark_home=str(tmp_path)).check(benchmark("sort"))
    with pytest.raises(ConfigError, match=r"backend\.master: expected local\[N\]"):
        SparkBackend(master="localhost")


def test_a_cluster_job_goes_through_the_distributions_own_client(tmp_path: Path) -> None:
    hadoop = script(tmp_path / "bin" / "hadoop", "true")
    engine = ClusterEngine(tmp_path, Path("program.jar"), None, 30)
    command = engine.command(["-Xmx1g"], {"a.b": "c"}, ["run", "sort"])
    assert command == [
        str(hadoop),
        "jar",
        "program.jar",
        "framework.mapreduce.Main",
        "-Da.b=c",
        "run",
        "sort",
    ]
    assert engine.properties("run-7", tmp_path)["mapreduce.job.tags"] == "run-7"


def test_the_local_runner_ignores_a_hadoop_configuration_in_the_environment(tmp_path: Path) -> None:
    tools = toolchain.Toolchain(Path("java"), (Path("a.jar"), Path("b.jar")), Path("p.jar"), "3.5.0")
    engine = LocalEngine(tools)
    command = engine.command(["-Xmx64m"], {}, ["run", "sort"])
    assert command[:2] == ["java", "-Xmx64m"]
    assert command[command.index("-cp") + 1] == os.pathsep.join(["p.jar", "a.jar", "b.jar"])
    assert engine.environment()["HADOOP_CONF_DIR"] == ""
    assert engine.properties("r", tmp_path)["mapreduce.framework.name"] == "local"


def test_another_java_or_another_jar_is_another_engine(java: str, tmp_path: Path) -> None:
    jars = tmp_path / "jars"
    jars.mkdir()
    for prefix in ("hadoop-client-api-", "hadoop-client-runtime-"):
        (jars / f"{prefix}3.4.1.jar").write_bytes(b"x")

    def fingerprint(java: str = java) -> str:
        return HadoopBackend(java=java, jars=str(jars)).fingerprint()

    first = fingerprint()
    assert fingerprint() == first
    newer = str(script(tmp_path / "newer" / "java", "echo 'openjdk version \"17.0.2\"' >&2"))
    other_java = fingerprint(newer)
    (jars / "hadoop-client-api-3.4.1.jar").rename(jars / "hadoop-client-api-3.4.2.jar")
    assert len({first, other_java, fingerprint()}) == 3
