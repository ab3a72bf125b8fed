"""The catalogue of knobs: values, properties, where they act."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.errors import ConfigError
from framework_hadoop import knobs
from framework_hadoop.benchmarks.workloads import BenchmarkWorkload
from framework_hadoop.engines.mapreduce import HadoopBackend
from framework_hadoop.engines.submit_command import paste_commands
from framework_hadoop.knobs import HadoopKnobs


def properties(mode: knobs.Mode = "local", input_bytes: int = 1000, **given: object) -> dict[str, str]:
    return knobs.job_properties(knobs.set_values(HadoopKnobs(**given)), mode, input_bytes)  # type: ignore[arg-type]


def test_a_knob_left_null_sets_nothing() -> None:
    assert properties() == {}


def test_the_number_of_maps_becomes_equal_splits_rounded_up() -> None:
    found = properties(maps=3, input_bytes=1000)
    assert found["mapreduce.input.fileinputformat.split.maxsize"] == "334"
    assert found["mapreduce.input.fileinputformat.split.minsize"] == "334"


def test_the_knobs_of_a_run_are_pasted_as_properties_of_the_engines_own_client() -> None:
    backend = {"name": "hadoop", "_target_": "any", "maps": 4, "reduces": 2, "codec": "none", "heap_mb": 512}
    (command,) = paste_commands({"backend": backend, "workload": {"size": "10MB", "max_size": "1MB"}})
    assert command.startswith("hadoop jar YOUR_JOB.jar -D")
    for pair in (
        "mapreduce.job.reduces=2",
        "mapreduce.map.output.compress=false",
        "mapreduce.map.java.opts=-Xmx512m",
        "mapreduce.input.fileinputformat.split.maxsize=250000",
    ):
        assert f" -D{pair}" in command


def test_the_knobs_of_a_spark_run_are_pasted_as_its_configuration() -> None:
    backend = {
        "name": "spark",
        "master": "yarn",
        "reduces": 2,
        "codec": "none",
        "heap_mb": None,
        "split_size": "1KiB",
    }
    (command,) = paste_commands({"backend": backend})
    assert command == (
        "spark-submit --master yarn --conf spark.default.parallelism=2 --conf spark.shuffle.compress=false "
        "--conf spark.hadoop.mapreduce.input.fileinputformat.split.maxsize=1024 "
        "--conf spark.hadoop.fs.local.block.size=1024 YOUR_JOB.jar"
    )


def test_a_recorded_executions_knobs_are_pasted_with_the_slots_of_all_its_nodes() -> None:
    backend = {"map_slots": 4, "codec": "snappy", "block_size_mb": 64, "replication": 2}
    config = {"backend": backend, "workload": {"benchmark": "terasort"}, "cluster": {"data_nodes": 3}}
    (command,) = paste_commands(config)
    for pair in ("mapreduce.job.running.map.limit=12", "dfs.blocksize=67108864", "dfs.replication=2"):
        assert f" -D{pair}" in command
    assert "SnappyCodec" in command
    (other,) = paste_commands({**config, "backend": {**backend, "codec": "bzip2/lzo"}})
    assert "compress" not in other
    assert list(paste_commands({"backend": {"name": "twin"}, "workload": {}})) == []


def test_maps_and_a_split_size_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match=r"backend\.maps: .*backend\.split_size"):
        properties(maps=3, split_size="1MB")


def test_a_codec_is_a_switch_and_a_class() -> None:
    assert properties(codec="none") == {"mapreduce.map.output.compress": "false"}
    assert properties(codec="bzip2") == {
        "mapreduce.map.output.compress": "true",
        "mapreduce.map.output.compress.codec": "org.apache.hadoop.io.compress.BZip2Codec",
    }


def test_sizes_reach_hadoop_in_bytes_and_switches_in_lower_case() -> None:
    assert properties(block_size="1MiB", combiner=False) == {
        "framework.combiner": "false",
        "fs.local.block.size": "1048576",
    }


def test_the_heap_is_a_flag_of_the_one_jvm_and_a_property_of_a_clusters_tasks() -> None:
    values = knobs.set_values(HadoopKnobs(heap_mb=256, gc="serial"))
    assert knobs.jvm_flags(values) == ["-Xmx256m", "-XX:+UseSerialGC"]
    assert knobs.job_properties(values, "local", 1) == {}
    assert knobs.job_properties(values, "cluster", 1, ["-Da=b"]) == {
        "mapreduce.map.java.opts": "-Xmx256m -XX:+UseSerialGC -Da=b",
        "mapreduce.reduce.java.opts": "-Xmx256m -XX:+UseSerialGC -Da=b",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("io_sort_mb", 2048),
        ("io_sort_mb", 1.5),
        ("io_sort_factor", 1),
        ("spill_percent", 0.0),
        ("spill_percent", 1.01),
        ("codec", "lzo"),
        ("reduces", 0),
        ("combiner", "yes"),
        ("split_size", "big"),
        ("heap_mb", True),
        ("gc", "zgc"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^backend\.{name}: "):
        HadoopBackend(**{name: value})


def test_an_unknown_knob_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"backend\.io_sort_mbb: unknown key .*'io_sort_mb'"):
        HadoopBackend(io_sort_mbb=10)


def test_replication_is_inert_without_hdfs_and_active_on_a_cluster() -> None:
    assert knobs.inert_reason("replication", "local", "sort") is not None
    assert knobs.inert_reason("replication", "cluster", "sort") is None


def test_a_combiner_is_inert_where_nothing_can_be_combined() -> None:
    assert knobs.inert_reason("combiner", "cluster", "terasort") == "terasort does not use it"
    assert knobs.inert_reason("combiner", "local", "wordcount") is None


def test_an_inert_knob_can_be_refused_before_anything_starts() -> None:
    workload = BenchmarkWorkload(name="sort", benchmark="sort", size="1MB").build(0)
    with pytest.raises(
        ConfigError, match=r"backend\.replication: has no effect here: files lie on the local"
    ):
        HadoopBackend(replication=2, inert="refuse").check(workload)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mapreduce.task.io.sort.mb", r"set backend\.io_sort_mb instead"),
        ("framework.seed", "set by the backend itself"),
    ],
)
def test_a_raw_property_that_has_an_owner_is_refused(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        HadoopBackend(properties={name: "1"})


def test_every_knob_is_documented_with_its_state_in_local_mode() -> None:
    page = (Path(__file__).parents[2] / "docs" / "hadoop_engines.md").read_text()
    for name, knob in knobs.catalogue().items():
        row = next((line for line in page.splitlines() if line.startswith(f"| `{name}` ")), "")
        assert ("inert" if knob.inert_locally else "active") in row, f"no row for {name}"
        assert knob.meaning in row
