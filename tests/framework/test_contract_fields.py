"""Every field that plugins and core hand to each other is filled and read, seen from outside: in the store, the
report, on the terminal. A field without a case here fails: it must be joined at both ends, or not be there."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from framework.contracts import Advice, Result, RunContext, RunWindow
from framework.store.bundles.bundle import write_bundle
from framework.store.database.reader import Store

Terminal = Callable[..., str]
STUDY = (
    "+experiment=toy_grid",
    "backend.speed=1",
    "backend._target_=contract_probe.ProbeBackend",
    "+metrics.probe._target_=contract_probe.ProbeCollector",
    "~advisor.toy",
    "+advisor.probe._target_=contract_probe.ProbeAdvisor",
    "workload.seed=5",
)


@dataclass
class Outside:
    """What a user has of a study: the screen while it ran, the store, the report."""

    screen: str
    folder: Path
    report: str

    def rows(self, sql: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = Store(self.folder / "outputs").query(sql).to_pylist()
        return found

    def one(self, sql: str) -> Any:
        (row,) = self.rows(sql)
        (value,) = row.values()
        return value

    def seen(self, name: str) -> str | None:
        return self.one(f"SELECT value FROM facts WHERE name = 'seen.{name}'")

    def kept(self, path: str) -> bytes:
        (file,) = (self.folder / "outputs" / "runs").glob(f"*/artifacts/{path}")
        return file.read_bytes()

    def advised(self, column: str) -> Any:
        return self.one(f"SELECT {column} FROM advice")


@pytest.fixture
def outside(terminal: Terminal, tmp_path: Path) -> Outside:
    folder = tmp_path / "work"
    screen = terminal(*STUDY)
    assert "1 run, 0 skipped as done, 0 failed" in screen, screen
    terminal("report")
    (report,) = folder.glob("outputs/reports/*/report.html")
    return Outside(screen, folder, unescape(report.read_text()))


CASES: dict[type | Callable[..., Any], dict[str, Callable[[Outside], bool]]] = {
    RunContext: {
        "run_id": lambda o: o.seen("run_id") == o.one("SELECT run_id FROM runs"),
        "config": lambda o: o.seen("speed") == o.one("SELECT value FROM params WHERE name = 'backend.speed'"),
        "seed": lambda o: o.seen("seed") == str(o.one("SELECT seed FROM runs")) == "5",
        "scratch": lambda o: o.kept("log/probe.log") == b"PROBE-LOG\n",
        "progress": lambda o: "PROBE-STEP-" in o.screen,
        "window": lambda o: o.one("SELECT probe_window_s FROM results") == 7.0,
        "command_prefix": lambda o: json.loads(o.seen("prefix") or "") == ["profile", "engine-0"],
        "between_runs": lambda o: o.seen("kept") in ("true", "True"),
    },
    RunWindow: {
        **dict.fromkeys(("begin_s", "end_s"), lambda o: o.one("SELECT probe_window_s FROM results") == 7.0),
        **dict.fromkeys(
            ("idle_begin_s", "idle_end_s"), lambda o: o.one("SELECT probe_idle_s FROM results") == 3.0
        ),
    },
    Result: {
        "metrics": lambda o: o.one("SELECT numbers_s FROM results") == 1.0 and "numbers_s" in o.report,
        "tables": lambda o: (
            o.one("SELECT value FROM sums") == 7
            and o.one("SELECT value FROM samples WHERE name = 'probe'") == 3.0
        ),
        "facts": lambda o: o.one("SELECT value FROM facts WHERE name = 'probe.sensor'") == "PROBE-SENSOR",
        "checks": lambda o: (
            o.one("SELECT sanity FROM runs") == "warn"
            and "PROBE-CHECK" in o.report
            and o.one("SELECT detail FROM checks WHERE name = 'collected_check'") == "PROBE-COLLECTED-CHECK"
        ),
        "artifacts": lambda o: (
            (o.kept("trace/trace.bin"), o.kept("collected/collected.bin"))
            == (b"PROBE-TRACE", b"PROBE-COLLECTED")
            and "trace/trace.bin</a>" in o.report
        ),
    },
    Advice: {
        "advisor": lambda o: o.advised("advisor") == "probe-advisor" and "probe-advisor" in o.report,
        "subject": lambda o: o.advised("subject") == "PROBE-SUBJECT" and "PROBE-SUBJECT" in o.report,
        "recommendation": lambda o: (
            json.loads(o.advised("recommendation")) == {"backend.speed": 4}
            and "+experiment=toy_grid backend.speed=4" in o.report
        ),
        "metric": lambda o: o.advised("metric") == "numbers_s" and "numbers_s 4.25" in o.report,
        "predicted": lambda o: o.advised("predicted") == 4.25 and "numbers_s 4.25" in o.report,
        "low": lambda o: o.advised("low") == 3.5 and "3.50" in o.report,
        "high": lambda o: o.advised("high") == 5.5 and "5.50" in o.report,
        "reason": lambda o: o.advised("reason") == "PROBE-REASON." and "PROBE-REASON." in o.report,
        "run_ids": lambda o: o.advised("run_ids") == [o.one("SELECT run_id FROM runs")],
        "facts": lambda o: json.loads(o.advised("facts")) == {"freed_gib": 1.5} and "freed_gib" in o.report,
    },
    write_bundle: {
        "outputs": lambda o: len(list((o.folder / "outputs" / "runs").iterdir())) == 1,
        "record": lambda o: o.one("SELECT status FROM runs") == "done",
        "tables": lambda o: o.one("SELECT count(*) FROM sums") == 1,
        "artifacts": lambda o: o.one("SELECT count(*) FROM artifacts") == 3,
    },
}


def names(contract: type | Callable[..., Any]) -> list[str]:
    if isinstance(contract, type):
        return [field.name for field in fields(contract)]
    return list(inspect.signature(contract).parameters)


@pytest.mark.parametrize("contract", CASES, ids=lambda contract: contract.__name__)
def test_every_field_has_a_case(contract: type | Callable[..., Any]) -> None:
    assert list(CASES[contract]) == names(contract)


@pytest.mark.slow
def test_every_field_is_filled_and_read(outside: Outside) -> None:
    unseen = [
        f"{contract.__name__}.{name}"
        for contract, cases in CASES.items()
        for name, is_seen in cases.items()
        if not is_seen(outside)
    ]
    assert unseen == []
