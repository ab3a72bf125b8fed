"""Points of a sweep that differ in the load only share one engine, and none begins with another one's state."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from framework.contracts import Result, RunContext, WorkloadTables
from framework.processes.between_runs import BetweenRuns, kept_between_runs
from framework_vllm.client.load_contracts import Target
from framework_vllm.server import carried_state as state_module
from framework_vllm.server import kept_fleet
from framework_vllm.server.carried_state import carried_state
from framework_vllm.server.engine_facts import EngineFacts
from framework_vllm.server.serving_engines import ServingEngines
from tests.framework_vllm.test_vllm_backend import backend, processes_with, workload


class Sweep:
    """Carries out runs as a sweep does, each in a folder of its own."""

    def __init__(self, folder: Path, keeper: BetweenRuns) -> None:
        self.folder, self.keeper, self.runs = folder, keeper, 0

    def run(self, load: WorkloadTables | None = None, **keys: Any) -> Result:
        self.runs += 1
        self.keeper.begin("vllm")
        return backend(self.folder, **keys).run(load or workload(), self.context())

    def context(self, **changes: Any) -> RunContext:
        scratch = self.folder / f"run-{self.runs}"
        scratch.mkdir()
        return RunContext(f"run-{self.runs}", {}, 0, scratch, between_runs=self.keeper, **changes)

    def port(self, run: int) -> str:
        """Return the port that the engine of a run served on, from its log."""
        log = self.folder / f"run-{run}" / "engine-0.log"
        assert not log.is_symlink()
        found = re.search(r"ready (\d+)", log.read_text())
        return found[1] if found else ""


@pytest.fixture
def emptied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which servers are asked to empty their prefix cache."""
    asked: list[str] = []
    real = kept_fleet.empty_prefix_cache

    def noted(url: str, headers: Any = None) -> bool:
        asked.append(url)
        return real(url, headers)

    monkeypatch.setattr(kept_fleet, "empty_prefix_cache", noted)
    return asked


@pytest.mark.slow
def test_runs_that_differ_in_the_load_share_an_engine_whose_cache_is_emptied(
    tmp_path: Path, emptied: list[str]
) -> None:
    with kept_between_runs() as keeper:
        sweep = Sweep(tmp_path, keeper)
        first = sweep.run(workload(4))
        second = sweep.run(workload(6), warmup_requests=2)
        assert len(first.facts["engine_start_s"]) == 1
        assert "engine_start_s" not in second.facts
        assert first.facts["carried_state"] == {"prefix_cache": "new", "adapters": "none", "runs_before": 0}
        assert second.facts["carried_state"] == {
            "prefix_cache": "reset",
            "adapters": "none",
            "runs_before": 1,
        }
        assert [url.rpartition(":")[2] for url in emptied] == [sweep.port(1)]
        assert sweep.port(2) == ""  # what the engine said at its start is in the log of the first run
        assert second.tables["requests"]["status"].to_pylist() == ["finished"] * 6
        sweep.run(max_num_seqs=7)  # another engine
        assert sweep.port(3) not in ("", sweep.port(1))
        assert not stub_on(sweep.port(1))
        assert stub_on(sweep.port(3))
    assert not stub_on(sweep.port(3))


def stub_on(port: str) -> bool:
    return any("stub_server" in line for line in processes_with(f"--port {port}"))


@pytest.mark.slow
def test_an_engine_that_can_not_forget_or_has_died_or_is_profiled_or_not_to_be_kept_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept_between_runs() as keeper:
        sweep = Sweep(tmp_path, keeper)
        sweep.run()
        monkeypatch.setattr(kept_fleet, "empty_prefix_cache", lambda url, headers=None: False)
        again = sweep.run()
        assert again.facts["carried_state"]["runs_before"] == 0
        assert len({sweep.port(1), sweep.port(2)}) == 2
        monkeypatch.undo()
        alone = sweep.run(keep_engine=False)
        assert alone.facts["carried_state"]["runs_before"] == 0
        assert not stub_on(sweep.port(3))
        sweep.run()
        sweep.runs += 1
        profiled = sweep.context(command_prefix=lambda process: ["env"])
        found = backend(tmp_path).run(workload(), profiled)
        assert found.facts["carried_state"]["runs_before"] == 0
        assert not stub_on(sweep.port(4))
        assert not stub_on(sweep.port(5))


@pytest.mark.slow
def test_a_run_that_fails_leaves_no_engine(tmp_path: Path) -> None:
    with kept_between_runs() as keeper:
        sweep = Sweep(tmp_path, keeper)
        with pytest.raises(Exception, match="HTTP 500"):
            sweep.run(extra_body={"stub": "http_500"})
        assert sweep.port(1)
        assert not stub_on(sweep.port(1))


def engines(
    version: str | None, caching: str | None, ours: bool = False, runs: int | None = None
) -> ServingEngines:
    cache = {} if caching is None else {"enable_prefix_caching": caching}
    facts = (EngineFacts(version=version, cache_config=cache),)
    return ServingEngines((Target("http://127.0.0.1:9", "m"),), facts, lambda: None, ours, runs_before=runs)


@pytest.mark.parametrize(
    ("found", "resets", "expected", "verdict"),
    [
        (engines("0.11.0", "True"), False, "salted", "pass"),
        (engines("0.8.5", "True"), True, "reset", "pass"),
        (engines("0.8.5", "True"), False, "carried", "warn"),
        (engines(None, None), False, "carried", "warn"),
        (engines(None, "False"), False, "off", "pass"),
        (engines("0.32", "True", ours=True, runs=0), False, "new", "pass"),
        (engines("0.32", "True", ours=True, runs=2), False, "reset", "pass"),
    ],
)
def test_the_prefix_cache_of_a_server_is_kept_apart_emptied_or_flagged(
    found: ServingEngines, resets: bool, expected: str, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "empty_prefix_cache", lambda url, headers=None: resets)
    settings: Any = SimpleNamespace(extra_body={})
    state = carried_state(found, settings, workload(), "run-7")
    assert (state.prefix_cache, state.check().verdict) == (expected, verdict)
    assert state.extra_body == ({"cache_salt": "run-7"} if expected == "salted" else {})


def test_adapters_that_earlier_runs_may_have_loaded_are_flagged() -> None:
    table = workload(4).tables["requests"]
    owners = pa.array([0, 1, None, 0], table.schema.field("adapter_id").type)
    place = table.schema.get_field_index("adapter_id")
    load = WorkloadTables({"requests": table.set_column(place, table.schema.field(place), owners)}, "hash")
    settings: Any = SimpleNamespace(extra_body={})
    attached = carried_state(engines("0.11", "True"), settings, load, "r")
    assert attached.adapters == "carried"
    assert attached.check().verdict == "warn"
    own = carried_state(engines("0.11", "True", ours=True, runs=0), settings, load, "r").check()
    assert own.verdict == "pass"
    assert "an engine of this run's own" in own.detail
