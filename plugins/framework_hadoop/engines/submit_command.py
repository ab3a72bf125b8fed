"""The engine's own command line for the knobs of a MapReduce or Spark run, to be pasted where its client is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from framework.configuration.plain_values import from_plain
from framework_hadoop import knobs
from framework_hadoop.benchmarks.data_size import parse_size
from framework_hadoop.benchmarks.settings import EngineSettings, HadoopSettings, SparkSettings

_JOB = "YOUR_JOB.jar"
_MEBI = 2**20

T = TypeVar("T", bound=EngineSettings)


def paste_commands(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield `hadoop jar YOUR_JOB.jar -D…` or `spark-submit --conf …` with the properties of the knobs.

    Nothing for a run of another engine. The number of map tasks is a size of splits, from the size of the run's
    input: with another input, scale it.
    """
    backend, workload = config.get("backend") or {}, config.get("workload") or {}
    if backend.get("name") == "hadoop":
        yield _hadoop_jar(_settings(HadoopSettings, backend), workload)
    elif backend.get("name") == "spark":
        yield _spark_submit(_settings(SparkSettings, backend))
    elif "benchmark" in workload and "cluster" in config:
        recorded = _recorded_knobs(backend, config["cluster"] or {})
        if recorded:
            yield _hadoop_jar(_settings(HadoopSettings, recorded), {})


def _settings(kind: type[T], backend: Mapping[str, Any]) -> T:
    known = {field.name for field in fields(kind)}
    return from_plain(kind, {key: backend[key] for key in known & backend.keys()}, "backend")


def _hadoop_jar(settings: HadoopSettings, workload: Mapping[str, Any]) -> str:
    sizes = [workload[key] for key in ("size", "max_size") if workload.get(key)]
    input_bytes = min((parse_size(str(size), "workload.size") for size in sizes), default=0)
    values = knobs.set_values(settings)
    if not input_bytes:
        values.pop("maps", None)
    properties = knobs.job_properties(values, "cluster", input_bytes, settings.jvm_options)
    pairs = {**properties, **settings.properties}
    return shlex.join(["hadoop", "jar", _JOB, *(f"-D{name}={value}" for name, value in pairs.items())])


def _spark_submit(settings: SparkSettings) -> str:
    from framework_hadoop.engines.spark import knob_properties

    pairs = {**knob_properties(settings), **settings.properties}
    words = [word for name, value in pairs.items() for word in ("--conf", f"{name}={value}")]
    return shlex.join(["spark-submit", "--master", settings.master, *words, _JOB])


def _recorded_knobs(backend: Mapping[str, Any], cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Return the knobs that a recorded execution states, as our engine's: its slots are those of a node.

    What it says in words that are no codec of Hadoop's (`bzip2/lzo`) is left out.
    """
    found = {name: backend.get(name) for name in ("io_sort_factor", "replication")}
    slots, nodes = backend.get("map_slots"), cluster.get("data_nodes")
    found["map_slots"] = int(slots * nodes) if slots and nodes else None
    found["codec"] = backend["codec"] if backend.get("codec") in knobs.CODECS else None
    buffer, block = backend.get("io_file_buffer_bytes"), backend.get("block_size_mb")
    found["io_file_buffer"] = str(buffer) if buffer else None
    found["block_size"] = str(int(block * _MEBI)) if block else None
    return {name: value for name, value in found.items() if value is not None}
