"""Components that fill every field of what plugins hand to the core, and record what the core hands to them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from framework.contracts import Advice, AdvisorScope, Metric, Result, RunContext, SanityCheck, WorkloadTables

WINDOW = {"begin_s": 100.0, "end_s": 107.0, "idle_begin_s": 90.0, "idle_end_s": 93.0}


@dataclass
class ProbeBackend:
    """Reports what its context holds as facts, and one of everything that a result may hold."""

    name: str = "probe"
    speed: float = 1.0
    pace: object = None
    fail: str | None = None
    steps: int = 0
    step_s: float = 0.2
    log_mib: float = 0.0
    profile: str | None = None

    def check(self, workload: WorkloadTables) -> None:
        pass

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        (context.scratch / "probe.log").write_text("PROBE-LOG\n")
        (context.scratch / "trace.bin").write_bytes(b"PROBE-TRACE")
        for name, value in WINDOW.items():
            setattr(context.window, name, value)
        for step in range(5):
            context.progress(step / 5, f"PROBE-STEP-{step}")
            time.sleep(0.4)
        seen: dict[str, Any] = {
            "run_id": context.run_id,
            "speed": context.config["backend"]["speed"],
            "seed": context.seed,
            "kept": context.between_runs is not None,
            "prefix": list(context.command_prefix("engine-0")),
        }
        return Result(
            metrics=[Metric("numbers_s", self.speed, "1/s", "probe", low=0.5, high=1.5)],
            tables={"sums": pa.table({"value": [7]})},
            facts={"seen": seen},
            checks=[SanityCheck("probe_check", "warn", "PROBE-CHECK")],
            artifacts={"trace": context.scratch / "trace.bin"},
        )


class ProbeCollector:
    """Returns the window that the backend set, and one of everything; wraps the backend's process."""

    metric_names = ("probe_window_s",)

    def start(self, context: RunContext) -> None:
        self.context = context
        (context.scratch / "collected.bin").write_bytes(b"PROBE-COLLECTED")

    def command_prefix(self, process: str) -> Sequence[str]:
        return ["profile", process]

    def stop(self) -> Result:
        window = self.context.window
        assert window.begin_s is not None
        assert window.end_s is not None
        assert window.idle_begin_s is not None
        assert window.idle_end_s is not None
        return Result(
            metrics=[
                Metric("probe_window_s", window.end_s - window.begin_s, "s"),
                Metric("probe_idle_s", window.idle_end_s - window.idle_begin_s, "s"),
            ],
            tables={"samples": pa.table({"t_s": [0.0], "name": ["probe"], "value": [3.0]})},
            facts={"sensor": "PROBE-SENSOR"},
            checks=[SanityCheck("collected_check", "pass", "PROBE-COLLECTED-CHECK")],
            artifacts={"collected": [self.context.scratch / "collected.bin"]},
        )


class ExitingBackend(ProbeBackend):
    """Ends as a program of its own would."""

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        raise SystemExit(3)


class NonsenseAdvisor:
    """Predicts what is no number."""

    def advise(self, scope: AdvisorScope) -> Iterable[Advice]:
        many: Any = "many"
        yield Advice("nonsense", "all", {}, "numbers_s", many, None, None, "None.", scope.run_ids)


class ProbeAdvisor:
    """Advises with every field set."""

    def advise(self, scope: AdvisorScope) -> Iterable[Advice]:
        yield Advice(
            advisor="probe-advisor",
            subject="PROBE-SUBJECT",
            recommendation={"backend.speed": 4},
            metric="numbers_s",
            predicted=4.25,
            low=3.5,
            high=5.5,
            reason="PROBE-REASON.",
            run_ids=scope.run_ids,
            facts={"freed_gib": 1.5},
        )
