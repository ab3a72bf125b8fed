"""Java, the engines' jars, and our own programs compiled against them: found before anything starts."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from framework.configuration.resources import cache_folder
from framework.errors import ConfigError
from framework.identity.fingerprint import source_fingerprint
from framework.identity.run_key import canonical_hash
from framework.processes.file_lock import locked

JAVA_RELEASE = 17
_SOURCES = Path(__file__).resolve().parents[1] / "java"
_HADOOP_JARS = (
    "hadoop-client-api-",
    "hadoop-client-runtime-",
    "slf4j-api-",
    "jcl-over-slf4j-",
    "log4j-api-",
    "log4j-core-",
    "log4j-slf4j2-impl-",
    "log4j-1.2-api-",
    "snappy-java-",
    "lz4-java-",
)
_INSTALL = "pip install 'framework-lab[hadoop]'"


@dataclass(frozen=True)
class Toolchain:
    """What a run needs of this machine.

    Attributes:
        java: executable.
        classpath: jars to run with.
        program: our compiled program.
        version: version of the engine, from its jars' names; None where the names don't contain it.
    """

    java: Path
    classpath: tuple[Path, ...]
    program: Path
    version: str | None


def cache_dir() -> Path:
    """Return the folder for compiled programs and generated input, shared by all runs of this user."""
    return cache_folder("hadoop")


def find_java(given: str | None, needed_for: str) -> Path:
    """Return the Java executable: the given one, that of JAVA_HOME, or that of the PATH.

    Raises:
        ConfigError: none found, or older than Java 17; names the key.
    """
    home = os.environ.get("JAVA_HOME")
    wanted = given or (str(Path(home) / "bin" / "java") if home else "java")
    found = shutil.which(wanted)
    if found is None:
        culprit = "backend.java" if given else "JAVA_HOME" if home else "PATH"
        raise ConfigError(
            f"{needed_for} needs a JDK {JAVA_RELEASE} or newer: no '{wanted}' found ({culprit}); "
            f"install one (Debian: apt install openjdk-{JAVA_RELEASE}-jdk-headless) or set backend.java"
        )
    described = java_version(found)
    match = re.search(r'version "(?:1\.)?(\d+)', described or "")
    version = int(match[1]) if match else None
    if version is None:
        raise ConfigError(f"backend.java: '{found}' does not run as Java (java -version failed)")
    if version < JAVA_RELEASE:
        raise ConfigError(f"{needed_for} needs Java {JAVA_RELEASE} or newer, '{found}' is Java {version}")
    return Path(found)


@cache
def java_version(java: str) -> str | None:
    """Return what `java -version` prints; None where it does not run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stderr.strip() if done.returncode == 0 else None


def fingerprint_of(java: Path, jars: Sequence[Path], programs: str = "") -> str:
    """Return a hash of what is executed on the JVM: Java, the engine's jars by name and size, our own programs.

    Args:
        java, jars: executable and jars of the engine; a jar's name holds its version.
        programs: the folder of Java sources; all of them if "".
    """
    listed = [[jar.name, jar.stat().st_size] for jar in sorted(jars, key=lambda jar: jar.name)]
    return canonical_hash(
        [java_version(str(java)), listed, source_fingerprint(_SOURCES / programs, (".java",))]
    )


def jars_folder(given: str | None, needed_for: str) -> Path:
    """Return the folder of the engine's jars: the given one, or that of the installed pyspark.

    Raises:
        ConfigError: it does not exist, or pyspark is not installed.
    """
    if given:
        if not Path(given).is_dir():
            raise ConfigError(f"backend.jars: '{given}' is not a folder")
        return Path(given)
    return pyspark_home(needed_for) / "jars"


def pyspark_home(needed_for: str) -> Path:
    """Return the folder of the installed pyspark. Raises `ConfigError` where there is none."""
    spec = find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{needed_for} uses the jars of pyspark, which is not installed: {_INSTALL}")
    return Path(next(iter(spec.submodule_search_locations)))


def hadoop_jars(folder: Path) -> list[Path]:
    """Return the jars that MapReduce in one JVM needs.

    Raises:
        ConfigError: the folder lacks Hadoop's client.
    """
    found = [jar for prefix in _HADOOP_JARS for jar in sorted(folder.glob(f"{prefix}*.jar"))]
    for prefix in _HADOOP_JARS[:2]:
        if not any(jar.name.startswith(prefix) for jar in found):
            raise ConfigError(f"backend.jars: '{folder}' contains no {prefix}*.jar (Hadoop 3.3 or newer)")
    return found


def jar_version(jars: Sequence[Path], prefix: str) -> str | None:
    """Return the version in the name of the first jar with this prefix."""
    for jar in jars:
        if jar.name.startswith(prefix):
            return jar.stem.removeprefix(prefix)
    return None


def compiled(java: Path, package: str, classpath: Sequence[Path]) -> Path:
    """Return the jar of one of our Java programs, compiled at its first use and kept in the cache.

    Args:
        package: `mapreduce` or `spark`, a folder of Java sources next to this file.
        classpath: what it is compiled against; the names (with their versions) are part of the cache key.

    Raises:
        ConfigError: there is no compiler next to Java (a JRE instead of a JDK), or it failed.
    """
    sources = sorted((_SOURCES / package).glob("*.java"))
    digest = hashlib.sha256(repr([jar.name for jar in classpath]).encode())
    for source in sources:
        digest.update(source.name.encode() + source.read_bytes())
    target = cache_dir() / "programs" / f"{package}-{digest.hexdigest()[:16]}.jar"
    if target.is_file():
        return target
    with entry_lock(target):
        if not target.is_file():
            _compile(java, sources, classpath, target)
    return target


def _compile(java: Path, sources: Sequence[Path], classpath: Sequence[Path], target: Path) -> None:
    compiler = java.resolve().parent / "javac"
    javac = str(compiler) if compiler.is_file() else shutil.which("javac")
    if javac is None:
        raise ConfigError(
            f"'{java}' is a Java runtime without the compiler javac: install a JDK {JAVA_RELEASE} "
            f"(Debian: apt install openjdk-{JAVA_RELEASE}-jdk-headless) or set backend.java"
        )
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        classes = Path(folder) / "classes"
        path = os.pathsep.join(map(str, classpath))
        command = [
            javac,
            "--release",
            str(JAVA_RELEASE),
            "-proc:none",
            "-nowarn",
            "-cp",
            path,
            "-d",
            str(classes),
        ]
        done = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            first = next(iter((done.stderr or done.stdout).splitlines()), "no message")
            raise ConfigError(f"the benchmark programs can't be compiled against the engine's jars: {first}")
        packed = Path(folder) / target.name
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as jar:
            for file in sorted(classes.rglob("*.class")):
                jar.write(file, file.relative_to(classes))
        packed.rename(target)


def entry_lock(target: Path) -> AbstractContextManager[None]:
    """Return the lock of a cache entry, so that runs at the same time make it once."""
    return locked(target.parent / f".{target.name}.lock")
