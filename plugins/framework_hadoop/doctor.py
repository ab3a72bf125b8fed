"""What this machine can do with Hadoop and Spark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from framework.contracts import DoctorCheck
from framework.errors import ConfigError
from framework_hadoop.engines import hadoop_engines, toolchain


def checks() -> Iterator[DoctorCheck]:
    """Yield whether MapReduce and Spark can run here."""
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
        version = hadoop_engines.distribution_version(Path(home))
    except ConfigError as error:
        yield DoctorCheck("HADOOP_HOME", False, str(error), "set it to a Hadoop distribution, or unset it")
        return
    yield DoctorCheck("HADOOP_HOME", version is not None, f"{home}: {version or 'bin/hadoop version fails'}")
