"""Backend, workload, collector and advisor of the toy study; each can be told to fail in every way there is."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from framework.contracts import Advice, AdvisorScope, Metric, Result, RunContext, WorkloadTables
from framework.errors import ConfigError, InputError, SetupError
from framework.identity.fingerprint import tables_hash


@dataclass
class ToyWorkload:
    """`numbers(value)`: `size` whole numbers that depend on the seed alone."""

    name: str = "toy"
    seed: int = 0
    size: int = 4
    file: str | None = None
    fail: str | None = None

    def build(self, seed: int) -> Any:
        if self.fail == "input":
            raise InputError("file 'numbers.csv', row 3: 'x' is not a number")
        if self.fail == "crash":
            raise ZeroDivisionError("a defect of the workload")
        if self.fail == "wrong":
            return {"numbers": [1, 2]}
        numbers = pa.table({"value": [seed * 1000 + i for i in range(self.size)]})
        tables = {"numbers": numbers}
        return WorkloadTables(tables, tables_hash(tables), {"sum": sum(numbers["value"].to_pylist())})


@dataclass
class ToyBackend:
    """Adds the numbers up at `speed` numbers a second, in no time."""

    name: str = "toy"
    speed: float = 1.0
    pace: object = None
    fail: str | None = None
    steps: int = 0
    step_s: float = 0.2
    log_mib: float = 0.0
    profile: str | None = None

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ConfigError(f"configuration key 'backend.speed': must be above 0, got {self.speed:g}")

    def check(self, workload: WorkloadTables) -> None:
        if self.fail == "check":
            raise ConfigError("configuration key 'backend.fail': these numbers can't be added")
        if self.fail == "setup":
            raise SetupError("numbers of this size are not to be had here", ("workload.size",))
        if self.fail == "check_crash":
            raise LookupError("a defect of the check")

    def run(self, workload: WorkloadTables, context: RunContext) -> Any:
        context.progress(0.5, "adding")
        if self.log_mib:
            line = "the engine goes on and on\n"
            words = ["engine up\n", line * int(self.log_mib * 2**20 / len(line)), "engine down\n"]
            (context.scratch / "engine.log").write_text("".join(words))
        for step in range(self.steps):
            context.progress(step / self.steps, f"ENGINE-STEP-{step}")
            time.sleep(self.step_s)
        if self.fail is not None and Path("healed").exists():
            self.fail = None
        if self.fail == "talk":
            print("a word of the engine")
            time.sleep(0.5)
        if self.fail == "hang":
            time.sleep(600)
        if self.fail in ("deaf", "deaf_too", "deaf_again"):
            for number in (signal.SIGUSR2, signal.SIGALRM):
                signal.signal(number, signal.SIG_IGN)
            time.sleep(600)
        if self.fail == "run":
            (context.scratch / "engine.log").write_text("warming up\nengine ran out of numbers\n")
            raise RuntimeError("engine died\nsecond line")
        if self.fail == "memory":
            held = [b"%d" % number * 2**24 for number in range(10, 100)]  # 3 GiB
            raise RuntimeError(f"the limit let it have {len(held)} parts")
        if self.fail == "slow":
            time.sleep(60)
        if self.fail == "wait":
            while not Path("go").exists():
                time.sleep(0.05)
        if self.fail == "nothing":
            return None
        count = workload.tables["numbers"].num_rows
        metrics = [Metric("numbers_s", self.speed, "1/s"), Metric("duration_s", count / self.speed, "s")]
        if self.fail == "nan":
            metrics.append(Metric("error_pct", math.nan, "%"))
        if self.fail == "twice":
            metrics.append(Metric("duration_s", 0.1, "s"))
        column = "valeu" if self.fail == "table" else "value"
        sums = pa.table({column: [sum(workload.tables["numbers"]["value"].to_pylist())]})
        result = Result(metrics, {"sums": sums}, {"engine": "toy 1"})
        if self.profile is not None:
            if self.profile != "missing":
                (context.scratch / "profile.bin").write_bytes(self.profile.encode())
            result.artifacts["profile"] = context.scratch / "profile.bin"
        return result


@dataclass
class ToyCollector:
    """Counts how often it was started; `fail` names what goes wrong."""

    metric_names = ("toy_power_w",)
    fail: str | None = None
    hang_s: float = 5.0

    def start(self, context: RunContext) -> None:
        if self.fail == "start":
            raise OSError("no sensor")
        if self.fail == "hang_start":
            time.sleep(self.hang_s)

    def stop(self) -> Any:
        if self.fail == "stop":
            raise ValueError("sensor gone\nwith a second line")
        if self.fail == "exit":
            raise SystemExit(3)
        if self.fail == "hang_stop":
            time.sleep(self.hang_s)
        if self.fail == "garbage":
            return {"toy_power_w": 300}
        if self.fail == "garbage_metric":
            return Result([("toy_power_w", 300)])  # type: ignore[list-item]
        if self.fail == "text_metric":
            return Result([Metric("toy_power_w", "300 W", "W")])  # type: ignore[arg-type]
        if self.fail == "garbage_table":
            return Result(tables={"samples": pa.table({"watts": [300.0]})})
        if self.fail == "clash":
            return Result([Metric("duration_s", 99.0, "s")])
        samples = pa.table({"t_s": [0.0, 1.0], "name": ["toy_power_w"] * 2, "value": [299.0, 301.0]})
        power = Metric("toy_power_w", 300.0, "W", "sensor", window_s=1.0, updates=2)
        return Result([power], {"samples": samples}, {"sensor": "toy"})


@dataclass
class ToyAdvisor:
    """Recommends the fastest speed that was measured."""

    margin: float = 0.0
    fail: bool = False
    wait_s: float = 0.0

    def advise(self, scope: AdvisorScope) -> Iterable[Advice]:
        if self.fail:
            raise ArithmeticError("a defect of the advisor")
        time.sleep(self.wait_s)
        best = scope.store.query(
            "SELECT run_id, value FROM metrics WHERE name = 'numbers_s' ORDER BY value DESC, run_id LIMIT 1"
        )
        for run_id, speed in zip(best["run_id"].to_pylist(), best["value"].to_pylist(), strict=True):
            overrides = {"backend.speed": speed}
            yield Advice(
                "toy", "adding", overrides, "numbers_s", speed, None, None, "It is fastest.", [run_id]
            )
