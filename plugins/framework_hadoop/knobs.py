"""The knobs of the MapReduce engine as data: what each sets, its range, where it acts and what proves it.

A knob that can't act where a run happens (replication without HDFS) is *inert* there: setting it is noted
with the run, so that no conclusion is drawn from its variation. A knob left null keeps the engine's own
default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from framework.configuration.plain_values import number, one_of, whole
from framework.errors import ConfigError
from framework_hadoop.benchmarks.data_size import parse_size

Mode = Literal["local", "cluster"]
Kind = Literal["whole", "fraction", "size", "switch", "word"]

SHUFFLING = ("wordcount", "sort", "terasort", "grep", "pagerank", "kmeans")
COMBINING = ("wordcount", "grep", "pagerank", "kmeans")
READING_FILES = SHUFFLING
EVERY = (*SHUFFLING, "dfsio")

CODECS = {
    "none": None,
    "zlib": "org.apache.hadoop.io.compress.DefaultCodec",
    "gzip": "org.apache.hadoop.io.compress.GzipCodec",
    "bzip2": "org.apache.hadoop.io.compress.BZip2Codec",
    "snappy": "org.apache.hadoop.io.compress.SnappyCodec",
    "lz4": "org.apache.hadoop.io.compress.Lz4Codec",
    "zstd": "org.apache.hadoop.io.compress.ZStandardCodec",
}
"""Codecs of map output by name. `zstd` needs Hadoop's native library, which only a full distribution has."""

COLLECTORS = {"serial": "-XX:+UseSerialGC", "parallel": "-XX:+UseParallelGC", "g1": "-XX:+UseG1GC"}


@dataclass(frozen=True)
class Knob:
    """One knob.

    Attributes:
        kind: how its value is written.
        meaning: one line for people.
        local, cluster: Hadoop properties it sets in that mode; empty where something else is done with it
            (a JVM flag, a choice in the job's program).
        benchmarks: those in which it can act.
        inert_locally: why it does nothing with the local job runner; None where it acts.
        proof: counters that move with it; empty if it only shows in time.
        low, high: range, both ends included.
        words: allowed words of kind `word`.
    """

    kind: Kind
    meaning: str
    local: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = EVERY
    inert_locally: str | None = None
    proof: tuple[str, ...] = ()
    low: float = 1
    high: float = 1_000_000
    words: tuple[str, ...] = ()


def _knob(
    kind: Kind,
    meaning: str,
    *properties: str,
    local: tuple[str, ...] | None = None,
    cluster: tuple[str, ...] | None = None,
    **more: Any,
) -> Any:
    """Declare a knob as a dataclass field: null by default, its description in the field's metadata."""
    described = Knob(
        kind,
        meaning,
        local=properties if local is None else local,
        cluster=properties if cluster is None else cluster,
        **more,
    )
    return field(default=None, metadata={"knob": described})


_NO_CONTAINERS = "the local job runner has no containers"
_NO_HDFS = "files lie on the local file system"
_SPILLS = ("SPILLED_RECORDS", "FILE_BYTES_WRITTEN")


@dataclass
class HadoopKnobs:
    """The knobs as configuration keys `backend.<name>`; the order is that of the documentation."""

    maps: int | None = _knob(
        "whole",
        "target number of map tasks: the input is split into this many equal parts",
        local=("mapreduce.job.maps",),
        cluster=("mapreduce.job.maps",),
        benchmarks=READING_FILES,
        proof=("map_tasks",),
        high=100_000,
    )
    reduces: int | None = _knob(
        "whole",
        "number of reduce tasks",
        "mapreduce.job.reduces",
        benchmarks=SHUFFLING,
        proof=("reduce_tasks",),
        high=100_000,
    )
    map_slots: int | None = _knob(
        "whole",
        "largest number of map tasks that run at the same time",
        local=("mapreduce.local.map.tasks.maximum",),
        cluster=("mapreduce.job.running.map.limit",),
        high=10_000,
    )
    reduce_slots: int | None = _knob(
        "whole",
        "largest number of reduce tasks that run at the same time",
        local=("mapreduce.local.reduce.tasks.maximum",),
        cluster=("mapreduce.job.running.reduce.limit",),
        benchmarks=SHUFFLING,
        high=10_000,
    )
    io_sort_mb: int | None = _knob(
        "whole",
        "memory in MiB in which a map task sorts its output before it spills to disk",
        "mapreduce.task.io.sort.mb",
        benchmarks=SHUFFLING,
        proof=_SPILLS,
        high=2047,
    )
    io_sort_factor: int | None = _knob(
        "whole",
        "number of streams merged at once when sorting files",
        "mapreduce.task.io.sort.factor",
        benchmarks=SHUFFLING,
        proof=_SPILLS,
        low=2,
        high=10_000,
    )
    spill_percent: float | None = _knob(
        "fraction",
        "share of the sort memory that is full when a spill to disk begins",
        "mapreduce.map.sort.spill.percent",
        benchmarks=SHUFFLING,
        proof=_SPILLS,
        low=0.01,
        high=1.0,
    )
    codec: str | None = _knob(
        "word",
        "compression of map output",
        "mapreduce.map.output.compress",
        "mapreduce.map.output.compress.codec",
        benchmarks=SHUFFLING,
        proof=("MAP_OUTPUT_MATERIALIZED_BYTES", "REDUCE_SHUFFLE_BYTES"),
        words=tuple(CODECS),
    )
    combiner: bool | None = _knob(
        "switch",
        "whether map tasks combine records with the same key before sending them (on by default)",
        "framework.combiner",
        benchmarks=COMBINING,
        proof=("COMBINE_INPUT_RECORDS", "REDUCE_INPUT_RECORDS"),
    )
    split_size: str | None = _knob(
        "size",
        "largest part of the input given to one map task",
        "mapreduce.input.fileinputformat.split.maxsize",
        benchmarks=READING_FILES,
        proof=("map_tasks",),
    )
    block_size: str | None = _knob(
        "size",
        "block size of the file system; an input split is at most one block",
        local=("fs.local.block.size",),
        cluster=("dfs.blocksize",),
        benchmarks=READING_FILES,
        proof=("map_tasks",),
    )
    replication: int | None = _knob(
        "whole", "copies of each block", "dfs.replication", inert_locally=_NO_HDFS, high=512
    )
    io_file_buffer: str | None = _knob("size", "buffer size of file streams", "io.file.buffer.size", proof=())
    shuffle_input_buffer_percent: float | None = _knob(
        "fraction",
        "share of a reduce task's heap used for fetched map output",
        "mapreduce.reduce.shuffle.input.buffer.percent",
        benchmarks=SHUFFLING,
        low=0.01,
        high=1.0,
    )
    shuffle_merge_percent: float | None = _knob(
        "fraction",
        "share of that buffer that is full when a merge to disk begins",
        "mapreduce.reduce.shuffle.merge.percent",
        benchmarks=SHUFFLING,
        low=0.26,  # Hadoop refuses what is not more than the share of a single fetch, 0.25
        high=1.0,
    )
    shuffle_parallel_copies: int | None = _knob(
        "whole",
        "largest number of parallel fetches of a reduce task",
        "mapreduce.reduce.shuffle.parallelcopies",
        benchmarks=SHUFFLING,
        inert_locally="reduce tasks read the map output from the same disk, one file at a time",
        high=1000,
    )
    slowstart: float | None = _knob(
        "fraction",
        "share of map tasks done before reduce tasks start",
        "mapreduce.job.reduce.slowstart.completedmaps",
        benchmarks=SHUFFLING,
        inert_locally="reduce tasks start after the last map task",
        low=0.0,
        high=1.0,
    )
    speculative: bool | None = _knob(
        "switch",
        "whether slow tasks are started a second time",
        "mapreduce.map.speculative",
        "mapreduce.reduce.speculative",
        inert_locally="the local job runner starts every task once",
    )
    heap_mb: int | None = _knob(
        "whole",
        "heap in MiB of the JVM (local: of all tasks together; cluster: of each task)",
        local=(),
        cluster=("mapreduce.map.java.opts", "mapreduce.reduce.java.opts"),
        proof=("GC_TIME_MILLIS", "COMMITTED_HEAP_BYTES"),
        low=8,
    )
    gc: str | None = _knob(
        "word",
        "garbage collector of the JVM",
        local=(),
        cluster=("mapreduce.map.java.opts", "mapreduce.reduce.java.opts"),
        proof=("GC_TIME_MILLIS",),
        words=tuple(COLLECTORS),
    )
    map_memory_mb: int | None = _knob(
        "whole", "memory of a map container in MiB", "mapreduce.map.memory.mb", inert_locally=_NO_CONTAINERS
    )
    reduce_memory_mb: int | None = _knob(
        "whole",
        "memory of a reduce container in MiB",
        "mapreduce.reduce.memory.mb",
        inert_locally=_NO_CONTAINERS,
    )
    map_vcores: int | None = _knob(
        "whole", "virtual cores of a map container", "mapreduce.map.cpu.vcores", inert_locally=_NO_CONTAINERS
    )
    reduce_vcores: int | None = _knob(
        "whole",
        "virtual cores of a reduce container",
        "mapreduce.reduce.cpu.vcores",
        inert_locally=_NO_CONTAINERS,
    )


def catalogue() -> dict[str, Knob]:
    """Return all knobs by name."""
    return {item.name: item.metadata["knob"] for item in fields(HadoopKnobs)}


def checked(name: str, value: Any) -> int | float | bool | str:
    """Return a knob's value in the form its properties take: sizes in bytes, words as they are.

    Raises:
        ConfigError: wrong type or out of range; names `backend.<name>`.
    """
    knob, key = catalogue()[name], f"backend.{name}"
    if knob.kind == "size":
        return parse_size(value, key)
    if knob.kind == "switch":
        if not isinstance(value, bool):
            raise ConfigError(f"{key}: expected true or false, got {value!r}")
        return value
    if knob.kind == "word":
        return one_of(value, key, knob.words)
    found = whole(value, key) if knob.kind == "whole" else number(value, key)
    if not knob.low <= found <= knob.high:
        raise ConfigError(f"{key}: must be between {knob.low:g} and {knob.high:g}, got {found:g}")
    return found


def set_values(knobs: HadoopKnobs) -> dict[str, int | float | bool | str]:
    """Return the checked values of the knobs that are not null."""
    given = {item.name: getattr(knobs, item.name) for item in fields(HadoopKnobs)}
    return {name: checked(name, value) for name, value in given.items() if value is not None}


def inert_reason(name: str, mode: Mode, benchmark: str) -> str | None:
    """Return why a knob can't act in this mode on this benchmark; None if it acts."""
    knob = catalogue()[name]
    if benchmark not in knob.benchmarks:
        return f"{benchmark} does not use it"
    return knob.inert_locally if mode == "local" else None


def job_properties(
    values: Mapping[str, int | float | bool | str],
    mode: Mode,
    input_bytes: int,
    jvm_options: Sequence[str] = (),
) -> dict[str, str]:
    """Return the Hadoop properties that set knobs represent, in the order of the catalogue.

    Args:
        values: checked values as `set_values` returns them.
        input_bytes: size of the input, from which `maps` becomes a split size.
        jvm_options: further flags of the tasks' JVMs, on a cluster.

    Raises:
        ConfigError: `maps` together with a split or block size: both would decide the number of map tasks.
    """
    properties: dict[str, str] = {}
    for name, value in values.items():
        knob = catalogue()[name]
        names = knob.local if mode == "local" else knob.cluster
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if name == "codec":
            properties.update(_codec_properties(text))
        elif name not in ("heap_mb", "gc"):
            properties.update(dict.fromkeys(names, text))
    if "maps" in values:
        rival = next((name for name in ("split_size", "block_size") if name in values), None)
        if rival:
            raise ConfigError(
                f"backend.maps: can't be set together with backend.{rival}; leave one of them null"
            )
        split = str(max(1, -(-input_bytes // int(values["maps"]))))
        properties["mapreduce.input.fileinputformat.split.minsize"] = split
        properties["mapreduce.input.fileinputformat.split.maxsize"] = split
    flags = " ".join(jvm_flags(values, jvm_options))
    if flags and mode == "cluster":
        properties.update(dict.fromkeys(catalogue()["heap_mb"].cluster, flags))
    return properties


def _codec_properties(codec: str) -> dict[str, str]:
    found = CODECS[codec]
    if found is None:
        return {"mapreduce.map.output.compress": "false"}
    return {"mapreduce.map.output.compress": "true", "mapreduce.map.output.compress.codec": found}


def jvm_flags(values: Mapping[str, int | float | bool | str], more: Sequence[str] = ()) -> list[str]:
    """Return the flags of the JVM in which tasks run: those of knobs, then further ones."""
    heap = [f"-Xmx{values['heap_mb']}m"] if "heap_mb" in values else []
    collector = [COLLECTORS[str(values["gc"])]] if "gc" in values else []
    return [*heap, *collector, *more]
