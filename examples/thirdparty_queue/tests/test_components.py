from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from framework_queue import collector
from framework_queue.backend import QueueBackend
from framework_queue.log_file import read_log
from framework_queue.settings import Discipline
from framework_queue.theory import erlang_c_wait_s
from framework_queue.workload import Customers

from framework.contracts import Backend, Collector, Result, RunContext, Workload, WorkloadTables
from framework.errors import ConfigError, InputError


def _customers(**changes: float) -> Customers:
    keys = {"customers": 20_000, "arrival_rate_hz": 8.0, "service_mean_s": 0.4, **changes}
    return Customers("customers", 0, **keys)  # type: ignore[arg-type]


def _run(tables: WorkloadTables, folder: Path, servers: int = 4) -> Result:
    return QueueBackend("queue", servers, Discipline.fifo).run(tables, RunContext("run", {}, 0, folder))


def test_the_classes_meet_the_contracts_of_the_framework() -> None:
    assert isinstance(_customers(), Workload)
    assert isinstance(QueueBackend("queue", 1, Discipline.fifo), Backend)
    assert isinstance(collector.ProcessCollector(), Collector)


def test_the_same_seed_gives_the_same_customers() -> None:
    assert _customers().build(7).content_hash == _customers().build(7).content_hash
    assert _customers().build(7).content_hash != _customers().build(8).content_hash


def test_a_cap_shortens_the_run() -> None:
    assert _customers(max_customers=10).build(0).tables["customers"].num_rows == 10


def test_measured_waits_agree_with_theory(tmp_path: Path) -> None:
    waits = [
        next(m.value for m in _run(_customers().build(seed), tmp_path).metrics if m.name == "wait_mean_s")
        for seed in range(8)
    ]
    # 8 x 20,000 customers at a load of 80 %: the mean is known to a few per cent
    assert sum(waits) / len(waits) == pytest.approx(erlang_c_wait_s(8.0, 0.4, 4), rel=0.06)  # type: ignore[arg-type]


@pytest.mark.parametrize(("key", "value"), [("customers", 0), ("arrival_rate_hz", -1), ("service_mean_s", 0)])
def test_a_bad_value_is_one_line_that_names_its_key(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^configuration key 'workload\.{key}': must be above 0"):
        _customers(**{key: value})


def test_another_workload_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="workload=customers"):
        QueueBackend("queue", 1, Discipline.fifo).check(WorkloadTables({}, ""))


def test_the_collector_measures_what_the_process_does(tmp_path: Path) -> None:
    watch = collector.ProcessCollector(period_s=0.005)
    watch.start(RunContext("run", {}, 0, tmp_path))
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    result = watch.stop()
    cpu, memory = result.metrics
    assert cpu.value is not None
    assert cpu.value >= 0.05
    assert memory.value is not None
    assert memory.value > 1
    assert memory.updates == result.tables["samples"].num_rows >= 1


def test_memory_that_cannot_be_seen_is_absent_not_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "_STATM", tmp_path / "absent")
    watch = collector.ProcessCollector()
    watch.start(RunContext("run", {}, 0, tmp_path))
    memory = watch.stop().metrics[1]
    assert memory.value is None
    assert memory.reason is not None
    assert "can't be read" in memory.reason


def test_a_bad_row_of_a_log_is_named(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("run,servers,arrival_s,start_s,end_s\na,2,0,0,1\na,2,1,soon,3\n")
    with pytest.raises(InputError, match=r"log\.csv', row 1: "):
        list(read_log(log))
    log.write_text("run,server,arrival_s,start_s,end_s\n")
    with pytest.raises(InputError, match=r"no column 'servers' \(did you mean 'server'\?\)"):
        list(read_log(log))


def test_discovery_imports_nothing_heavy() -> None:
    code = "import sys, framework_queue.plugin; print([m for m in ('numpy', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
