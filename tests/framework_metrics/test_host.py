"""`metrics=host`: what the run's processes cost, on this very machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from framework.contracts import Result, RunContext
from framework_metrics.host import task_clock
from framework_metrics.host.collector import HostCollector
from framework_metrics.host.probe import TREE_PERIOD_S
from framework_metrics.host.process_tree import ProcessTree, ProcessUse, children
from framework_metrics.host.task_clock import TaskClock
from framework_metrics.sampling.probe import UnavailableError
from tests.framework_metrics.results import metric, readings, sampled, unseen_s
from tests.support.waiting import wait_for

BURN = "import time\nwhile time.process_time() < 0.4: pass"


def _burnt(tmp_path: Path, collector: HostCollector) -> Result:
    context = RunContext("run", {}, 0, tmp_path)
    collector.start(context)
    context.window.begin_s = time.monotonic()
    subprocess.run([sys.executable, "-S", "-c", BURN], check=True)
    context.window.end_s = time.monotonic()
    return collector.stop()


def test_the_cpu_time_of_a_child_is_the_runs(tmp_path: Path) -> None:
    result = _burnt(tmp_path, HostCollector(period_s=0.02))
    clock = metric(result, "run_task_clock_s")
    if clock.value is None:
        pytest.skip(f"perf events: {clock.reason}")
    _, counted_s = sampled(result, "run_task_clock_s")
    assert counted_s[-1] - counted_s[0] >= 0.4
    assert clock.value == pytest.approx(0.4, abs=0.1 + unseen_s(result, "run_task_clock_s", 0))
    assert clock.source == "perf task-clock"


@pytest.mark.slow
def test_every_metric_has_a_value_and_the_processes_are_listed(tmp_path: Path) -> None:
    context = RunContext("run", {}, 0, tmp_path)
    collector = HostCollector(period_s=0.05)
    collector.start(context)
    context.window.begin_s = time.monotonic()
    program = "block = bytearray(60_000_000); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        started.stdout.readline()
        known_s = time.monotonic() + TREE_PERIOD_S
        wait_for(lambda: sum(t_s > known_s for t_s in readings(tmp_path)) >= 2)
        context.window.end_s = time.monotonic()
        started.communicate(b"\n")
    result = collector.stop()
    missing = [item.name for item in result.metrics if item.value is None and item.name != "run_task_clock_s"]
    assert missing == []
    processes = result.tables["host_processes"].to_pylist()
    assert os.getpid() in [process["pid"] for process in processes]
    child = next(process for process in processes if process["pid"] == started.pid)
    assert "block = bytearray" in child["command"]
    assert child["rss_peak_mib"] > 55
    assert max(sampled(result, "run_rss_mib")[1]) > child["rss_peak_mib"]
    assert not any("framework_metrics.sampling" in process["command"] for process in processes)


def test_perf_that_is_not_allowed_is_absent_with_the_line_that_fixes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task_clock, "SYSCALL", {})
    with pytest.raises(UnavailableError, match="perf events are not read on"):
        TaskClock(os.getpid())


def test_perf_can_be_left_out(tmp_path: Path) -> None:
    result = _burnt(tmp_path, HostCollector(period_s=0.02, perf=False))
    assert metric(result, "run_task_clock_s").reason == "switched off (metrics.host.perf=false)"


def test_a_process_that_is_gone_has_no_clock() -> None:
    with pytest.raises(UnavailableError, match="process 4194304999"):
        TaskClock(4194304999)


def test_the_tree_keeps_what_an_ended_process_used() -> None:
    tree = ProcessTree(os.getpid())
    child = subprocess.Popen([sys.executable, "-S", "-c", BURN + "\nimport time; time.sleep(60)"])
    try:

        def used_much() -> list[ProcessUse]:
            tree.find()
            tree.measure()
            return [use for use in tree.seen.values() if use.pid == child.pid and use.cpu_s >= 0.3]

        (use,) = wait_for(used_much)
    finally:
        child.kill()
        child.wait()
    tree.measure()
    assert use.cpu_s >= 0.3
    assert use.rss_mib == 0
    assert use.rss_peak_mib > 1


def test_children_of_every_thread_are_found() -> None:
    started: list[subprocess.Popen[bytes]] = []
    release = threading.Event()

    def start() -> None:
        started.append(subprocess.Popen(["sleep", "60"]))
        release.wait(20)

    thread = threading.Thread(target=start)
    thread.start()
    try:
        wait_for(lambda: started)
        assert started[0].pid in children(os.getpid())
    finally:
        started[0].kill()
        started[0].wait()
        release.set()
        thread.join()


def test_secrets_on_a_command_line_are_not_kept(tmp_path: Path) -> None:
    context = RunContext("run", {}, 0, tmp_path)
    child = subprocess.Popen(
        ["sh", "-c", "sleep 60; :", "--api-key", "s3cret", "--hf-token=hf_x", "--port", "1"]
    )
    try:
        collector = HostCollector(period_s=0.05)
        collector.start(context)
        wait_for(lambda: readings(tmp_path))
        processes = collector.stop().tables["host_processes"].to_pylist()
    finally:
        subprocess.run(["kill", *map(str, [child.pid, *children(child.pid)])], check=True)
        child.wait()
    command = next(process["command"] for process in processes if process["pid"] == child.pid)
    assert command.endswith("--api-key … --hf-token=… --port 1")
