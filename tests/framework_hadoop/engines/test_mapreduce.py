"""Real MapReduce in one JVM: output, knobs on counters, repeats, failures."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framework.errors import ConfigError
from framework_hadoop.benchmarks import generated_input
from framework_hadoop.benchmarks.plan import GENERATORS, plan_of
from framework_hadoop.engines.job_failures import (
    EngineFailedError,
    EngineKilledError,
    EngineTimeoutError,
    HeapExhaustedError,
)
from framework_hadoop.engines.mapreduce import HadoopBackend
from framework_hadoop.engines.toolchain import find_java, jars_folder
from tests.framework_hadoop.engine_runs import (
    benchmark,
    context,
    failed_checks,
    hadoop,
    metrics,
    repeatable_counters,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def _jdk_and_jars() -> None:
    try:
        find_java(None, "these tests")
        jars_folder(None, "these tests")
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_each_benchmark_passes_its_own_check_of_the_output(name: str, tmp_path: Path) -> None:
    reduces = {} if name == "dfsio" else {"reduces": 2}
    result = hadoop(benchmark(name), tmp_path, maps=None if name == "dfsio" else 2, **reduces)
    assert failed_checks(result) == []
    assert any(check.name.startswith("output_") for check in result.checks)
    values = metrics(result)
    assert values["exe_time_s"] > 0
    assert values["cpu_s"] > 0
    assert values["rss_peak_mb"] > 20
    tasks = result.tables["tasks"].to_pylist()
    assert all(task["status"] == "succeeded" and task["duration_s"] >= 0 for task in tasks)
    assert values["map_tasks"] >= (4 if name == "dfsio" else 2)
    assert result.facts["mode"] == "local"
    reports = result.artifacts["job_report"]
    assert reports[-1].name == "run.jsonl"
    assert '"event":"job"' in reports[-1].read_text().replace(" ", "")


def test_words_are_counted_as_a_few_lines_of_python_count_them(tmp_path: Path) -> None:
    hadoop(
        benchmark("wordcount", "50KB"),
        tmp_path,
        reduces=2,
        data_dir=str(tmp_path / "data"),
        work_dir=str(tmp_path),
        keep_output=True,
    )
    (text,) = (tmp_path / "data").glob("*/part-m-00000")
    assert text.stat().st_size == 50_000
    expected = Counter(text.read_text().split())
    found: dict[str, int] = {}
    for part in (tmp_path / "hadoop-run" / "output").glob("part-r-*"):
        found.update({word: int(count) for word, count in (line.split("\t") for line in part.open())})
    assert found == expected


def test_ranks_are_those_of_a_power_iteration_in_numpy(tmp_path: Path) -> None:
    keep: dict[str, Any] = {"work_dir": str(tmp_path), "keep_output": True}
    workload = benchmark("pagerank", "20KB", iterations=3)
    hadoop(workload, tmp_path, maps=2, data_dir=str(tmp_path / "data"), **keep)
    (graph,) = (tmp_path / "data").glob("*/part-m-00000")
    lines = [line.split("\t") for line in graph.read_text().splitlines()]
    nodes = len(lines)
    step = np.zeros((nodes, nodes))
    for node, links in lines:
        for link in links.split(","):
            step[int(link), int(node)] += 1 / len(links.split(","))
    ranks = np.full(nodes, 1 / nodes)
    for _ in range(3):
        ranks = 0.15 / nodes + 0.85 * step @ ranks
    output = (tmp_path / "hadoop-run" / "output" / "part-r-00000").read_text().splitlines()
    found = {int(node): float(rank) for node, rank in (line.split("\t") for line in output)}
    np.testing.assert_allclose([found[node] for node in range(nodes)], ranks, rtol=1e-12)


def test_a_graph_file_is_about_as_large_as_asked_for(tmp_path: Path) -> None:
    result = hadoop(benchmark("pagerank", "100KB", iterations=1), tmp_path)
    assert result.facts["input"]["BYTES"] == pytest.approx(100_000, rel=0.03)


def test_less_sort_memory_and_fewer_streams_spill_more(tmp_path: Path) -> None:
    workload = benchmark("sort", "2MB")
    spilled = [
        metrics(hadoop(workload, tmp_path / name, **knobs))["spilled_records"]
        for name, knobs in (
            ("a", {}),
            ("b", {"io_sort_mb": 1}),
            ("c", {"io_sort_mb": 1, "io_sort_factor": 2}),
        )
    ]
    assert spilled[0] < spilled[1] < spilled[2]


def test_compression_shrinks_what_is_materialised_and_sent_but_not_what_is_emitted(tmp_path: Path) -> None:
    workload = benchmark("sort")
    plain, packed = (metrics(hadoop(workload, tmp_path / codec, codec=codec)) for codec in ("none", "zlib"))
    assert packed["map_output_materialized_bytes"] < 0.5 * plain["map_output_materialized_bytes"]
    assert packed["shuffle_bytes"] < 0.5 * plain["shuffle_bytes"]
    assert packed["map_output_bytes"] == plain["map_output_bytes"]


def test_the_combiner_sends_each_word_of_a_spill_once(tmp_path: Path) -> None:
    workload = benchmark("wordcount")
    on, off = (metrics(hadoop(workload, tmp_path / str(flag), combiner=flag)) for flag in (True, False))
    assert off["reduce_input_records"] == off["map_output_records"] == on["map_output_records"]
    assert on["reduce_input_records"] == on["reduce_output_records"]
    assert off["combine_input_records"] == 0


@pytest.mark.parametrize(
    ("knobs", "maps"), [({"maps": 3}, 3), ({"split_size": "125KB"}, 4), ({"block_size": "256KB"}, 2)]
)
def test_the_input_is_split_as_the_knobs_say(knobs: dict[str, Any], maps: int, tmp_path: Path) -> None:
    assert metrics(hadoop(benchmark("wordcount"), tmp_path, **knobs))["map_tasks"] == maps


def test_two_repeats_agree_in_every_repeatable_counter_even_with_parallel_tasks(tmp_path: Path) -> None:
    workload = benchmark("wordcount")
    knobs = {"maps": 4, "map_slots": 2, "reduces": 2, "io_sort_mb": 1}
    first, second = (repeatable_counters(hadoop(workload, tmp_path / name, **knobs)) for name in "ab")
    assert first == second
    assert {"SPILLED_RECORDS", "MAP_OUTPUT_MATERIALIZED_BYTES"} <= {name for _, name, _ in first}


def test_an_inert_knob_is_noted_with_the_run(tmp_path: Path) -> None:
    result = hadoop(benchmark("wordcount", "10KB"), tmp_path, replication=2)
    assert failed_checks(result) == [
        "inert_replication: backend.replication has no effect here: files lie on the local file system"
    ]
    assert result.facts["knobs"]["replication"] == {"value": 2, "state": "inert"}


def test_an_exhausted_heap_is_a_failed_run_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        HeapExhaustedError, match=r"ran out of memory \(backend\.heap_mb=48\): Java heap space"
    ):
        hadoop(benchmark("sort"), tmp_path, heap_mb=48, io_sort_mb=200)


def test_a_failed_task_is_a_failed_run_with_its_root_cause(tmp_path: Path) -> None:
    properties = {"mapreduce.job.partitioner.class": "no.such.Partitioner"}
    with pytest.raises(EngineFailedError, match=r"no\.such\.Partitioner"):
        hadoop(benchmark("sort"), tmp_path, reduces=2, properties=properties)


def engine_processes(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"java") and any(mark.encode() in word for word in words):
                found.append(int(entry.name))
    return found


def test_a_run_that_takes_too_long_is_ended_without_an_orphan(tmp_path: Path) -> None:
    hadoop(benchmark("sort"), tmp_path / "warm")  # the input is there, so that the limit meets the benchmark
    with pytest.raises(
        EngineTimeoutError, match=r"run sort: not finished after 0\.5 s \(backend\.timeout_s\)"
    ):
        hadoop(benchmark("sort"), tmp_path / "slow", timeout_s=0.5)
    assert engine_processes(str(tmp_path)) == []


def test_a_killed_jvm_is_a_failed_run_that_names_the_signal(tmp_path: Path) -> None:
    hadoop(benchmark("sort"), tmp_path / "warm")
    kill = threading.Thread(
        target=lambda: os.kill(wait_for(lambda: engine_processes(str(tmp_path)))[0], signal.SIGKILL)
    )
    kill.start()
    with pytest.raises(EngineKilledError, match="SIGKILL"):
        hadoop(benchmark("sort"), tmp_path / "killed")
    kill.join()


def test_the_jvm_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from tests.framework_hadoop.engine_runs import benchmark, hadoop
hadoop(benchmark("sort", "30MB"), Path({str(tmp_path)!r}), data_dir={str(tmp_path / "data")!r})
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    wait_for(lambda: engine_processes(str(tmp_path)))
    parent.kill()
    parent.wait()
    wait_for(lambda: not engine_processes(str(tmp_path)))


def test_a_distribution_is_driven_through_its_own_client(tmp_path: Path) -> None:
    """`bin/hadoop` is a stand-in that runs the same jars: the way to a cluster, not a cluster."""
    home = tmp_path / "distribution"
    (home / "bin").mkdir(parents=True)
    (home / "share" / "hadoop").mkdir(parents=True)
    (home / "share" / "hadoop" / "client").symlink_to(jars_folder(None, "this test"))
    client = home / "bin" / "hadoop"
    client.write_text(
        "#!/bin/sh\n"
        '[ "$1" = version ] && echo "Hadoop 3.5.0" && exit\n'
        f'program="$2"; shift 2; exec java -cp "$program:{home}/share/hadoop/client/*" "$@"\n'
    )
    client.chmod(0o755)
    result = hadoop(
        benchmark("wordcount"),
        tmp_path,
        hadoop_home=str(home),
        data_dir=str(tmp_path / "data"),
        history_wait_s=0,
        reduces=2,
    )
    assert failed_checks(result) == []
    assert (result.facts["mode"], result.facts["hadoop_version"]) == ("cluster", "3.5.0")
    assert metrics(result)["generate_s"] > 0
    assert not list((tmp_path / "data").glob("output-*"))


def test_generated_bytes_depend_on_the_seed_and_not_on_how_many_tasks_write_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests, files = [], []
    for seed, part_bytes in ((0, 1_000_000), (0, 400_000), (1, 1_000_000)):
        monkeypatch.setattr(generated_input, "PART_BYTES", part_bytes)
        folder = tmp_path / f"{seed}-{part_bytes}"
        backend = HadoopBackend(data_dir=str(folder))
        plan = plan_of(benchmark("terasort", "1MB", seed=seed), "hadoop")
        location, _, _ = backend.prepared_input(plan, context(tmp_path / "scratch"))
        written = sorted(Path(location).glob("part-m-*"))
        content = b"".join(part.read_bytes() for part in written)
        assert len(content) == 1_000_000
        files.append(len(written))
        digests.append(hashlib.sha256(content).hexdigest())
    assert files == [1, 3, 1]
    assert digests[0] == digests[1] != digests[2]
