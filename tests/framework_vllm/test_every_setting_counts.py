"""Every key of `vllm` and `vllm_offline` shows in what is started and sent, or in what becomes of the run.

The tables are checked against the settings' dataclasses: a key without a case fails. A case is a base of overrides,
and what is changed; both are composed and executed as a command does. What stands for the engine and for the load
notes what it is asked for; that flags and plans do what they say is proven on the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from omegaconf import open_dict

from framework.configuration.composition import compose
from framework.processes.between_runs import kept_between_runs
from framework.run.runner import execute
from framework_serving.tables import requests_out
from framework_vllm.client.load_contracts import LoadOutcome, LoadPlan, client_requests_schema
from framework_vllm.engine.interpreter import engine_identity, find_engine
from framework_vllm.engine_metrics.scraper import MetricScraper
from framework_vllm.offline.settings import OfflineSettings
from framework_vllm.server.engine_facts import EngineFacts
from framework_vllm.server.fleet import FleetPlan
from framework_vllm.settings import VllmSettings
from tests.framework_vllm.fake_engine import interpreter
from tests.support.settings_keys import leaves

FIXED = (
    "workload=fixed workload.num_requests=4 workload.lengths.input_tokens=30 workload.lengths.output_tokens=6"
)
SERVED = "backend=vllm backend.max_failed_share=1"
GPU = f"{SERVED} backend.python=PYTHON model=opt-125m gpu=h100-80gb {FIXED}"
ON_CPU = f"{SERVED} backend.python=PYTHON model=opt-125m gpu=cpu {FIXED}"
TWO = f"{GPU} backend.replicas=2 backend.gpus=1"
WITH_ADAPTERS = (
    "backend.python=PYTHON model=llama-3.1-8b gpu=h100-80gb workload=adapters workload.n_adapters=2 "
    "workload.rates_rps=[2.0] workload.duration_s=2 backend.adapter_paths=[ADAPTER,ADAPTER]"
)
ADAPTERS = f"{SERVED} {WITH_ADAPTERS}"
URLS = f"{SERVED} model=opt-125m gpu=h100-80gb {FIXED} backend.urls=[http://a:1]"
OFFLINE = (
    f"backend=vllm_offline backend.python=PYTHON model=opt-125m gpu=h100-80gb {FIXED} backend.batches=[1,2]"
)
OFFLINE_CPU = OFFLINE.replace("h100-80gb", "cpu")
OFFLINE_ADAPTERS = f"backend=vllm_offline {WITH_ADAPTERS} backend.distinct_adapters=[0,2]"

Case = tuple[str, str]


def engine_cases(base: str, adapters: str, on_cpu: str) -> dict[str, Case]:
    """Return the cases of the keys that both backends have."""
    return {
        "name": (base, "backend.name=other"),
        "model": (base, "model=opt-1.3b"),
        "gpu": (on_cpu, "gpu=h100-80gb"),
        "max_num_seqs": (base, "backend.max_num_seqs=64"),
        "max_num_batched_tokens": (base, "backend.max_num_batched_tokens=512"),
        "chunked_prefill": (base, "backend.chunked_prefill=false"),
        "max_model_len": (base, "backend.max_model_len=1024"),
        "gpu_memory_utilization": (base, "backend.gpu_memory_utilization=0.5"),
        "kv_blocks": (base, "backend.kv_blocks=100"),
        "enable_prefix_caching": (base, "backend.enable_prefix_caching=true"),
        "enforce_eager": (base, "backend.enforce_eager=true"),
        "tensor_parallel": (base, "backend.tensor_parallel=2"),
        "pipeline_parallel": (base, "backend.pipeline_parallel=2"),
        "expert_parallel": (f"{base} backend.tensor_parallel=2", "backend.expert_parallel=2"),
        "max_loras": (adapters, "backend.max_loras=3"),
        "max_cpu_loras": (adapters, "backend.max_cpu_loras=5"),
        "max_lora_rank": (adapters, "backend.max_lora_rank=64"),
        "python": (base, "backend.python=OTHER"),
        "command": (base, "backend.command=[env,'A=1']"),
        "env": (base, "+backend.env.A=1"),
        "model_path": (base, "backend.model_path=somebody/else"),
        "cpu_kv_gib": (on_cpu, "backend.cpu_kv_gib=2"),
        "engine_args": (base, "+backend.engine_args.dtype=float16"),
        "adapter_paths": (adapters, "backend.adapter_paths=[ADAPTER,OWN]"),
        "start_timeout_s": (base, "backend.start_timeout_s=7"),
        "stop_grace_s": (base, "backend.stop_grace_s=3"),
    }


VLLM: Mapping[str, Case] = {
    **engine_cases(GPU, ADAPTERS, ON_CPU),
    "data_parallel": (GPU, "backend.data_parallel=2"),
    "replicas": (GPU, "backend.replicas=2"),
    "gpus": (TWO, "backend.gpus=2"),
    "mps": (TWO, "backend.mps=false"),
    "router": (TWO, "backend.router=least_load"),
    "sample_period_s": (GPU, "backend.sample_period_s=null"),
    "urls": (URLS, "backend.urls=[http://b:1]"),
    "api_key_variable": (URLS, "backend.api_key_variable=SOME_TOKEN"),
    "served_model_name": (URLS, "backend.served_model_name=second"),
    "port": (GPU, "backend.port=8123"),
    "lora_loading": (ADAPTERS, "backend.lora_loading=runtime"),
    "concurrency": (GPU, "backend.concurrency=2"),
    "warmup_requests": (GPU, "backend.warmup_requests=3"),
    "client_processes": (GPU, "backend.client_processes=2"),
    "request_timeout_s": (GPU, "backend.request_timeout_s=9"),
    "retries": (GPU, "backend.retries=1"),
    "saturation_stop": (GPU, "backend.saturation_stop=true"),
    "max_failed_share": (GPU, "backend.max_failed_share=0.1"),
    "idle_s": (GPU, "backend.idle_s=12"),
    "keep_engine": (GPU, "backend.keep_engine=false"),
    "extra_body": (GPU, "+backend.extra_body.temperature=0.5"),
    "vocabulary": (GPU, "backend.vocabulary=[5,99]"),
}

OFFLINE_CASES: Mapping[str, Case] = {
    **engine_cases(OFFLINE, OFFLINE_ADAPTERS, OFFLINE_CPU),
    "gpu": (OFFLINE_CPU, "gpu=h100-80gb"),
    "batches": (OFFLINE, "backend.batches=[1,4]"),
    "prompt_tokens": (OFFLINE, "backend.prompt_tokens=[10]"),
    "distinct_adapters": (OFFLINE_ADAPTERS, "backend.distinct_adapters=[1]"),
    "decode_steps": (OFFLINE, "backend.decode_steps=9"),
    "repeats": (OFFLINE, "backend.repeats=1"),
    "timeout_s": (f"{OFFLINE} +READY=1", "backend.timeout_s=100"),
}

TABLES = {"vllm": (VllmSettings, VLLM), "vllm_offline": (OfflineSettings, OFFLINE_CASES)}


@pytest.mark.parametrize("table", TABLES)
def test_every_key_has_a_case(table: str) -> None:
    kind, cases = TABLES[table]
    assert set(leaves(kind)) == set(cases)


class FakeFleet:
    """Stands where the engines are started."""

    def __init__(self, plan: FleetPlan, progress: Callable[[str], None]) -> None:
        self.start_s = [0.0] * len(plan.places)
        self.failure = lambda: None
        self.servers = []
        for number, place in enumerate(plan.places):
            command = plan.command(number, place)
            SEEN.append(("engine", command.words(1), dict(command.environment)))
            self.servers.append(SimpleNamespace(url=f"http://engine-{number}"))
        SEEN.append(
            ("fleet", plan.abreast, plan.first_port, plan.mps, plan.start_timeout_s, plan.stop_grace_s)
        )

    def __enter__(self) -> FakeFleet:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        SEEN.append("ended")


class FakeChild:
    """Stands where the driver of the offline engine is started: it ends at once, or gets ready and then hangs."""

    ready = False

    def __init__(self, words: list[str], log: Path, environment: Mapping[str, Any], grace_s: float) -> None:
        SEEN.append(("engine", words, {key: str(value) for key, value in environment.items()}, grace_s))
        SEEN.append(("plan", json.loads(Path(words[-2]).read_text())))
        if self.ready:
            Path(words[-1]).write_text('{"facts": {}}\n')

    @property
    def ending(self) -> str | None:
        return None

    def log_text(self) -> str:
        return ""

    def end(self) -> None: ...


def fake_load(plan: LoadPlan, progress: object, failure: object) -> LoadOutcome:
    """Stand where the load is sent: note the plan; one of the requests fails."""
    kept = {item.name: getattr(plan, item.name) for item in fields(plan) if item.name != "requests"}
    SEEN.append(("load", str(kept)))
    rows = plan.requests.select(["request_id", "arrival_s", "input_tokens"]).to_pylist()
    for place, row in enumerate(rows):
        row |= {"status": "finished"} if place else {"status": "failed", "error": "gone"}
    seen = [{"request_id": row["request_id"], "attempts": 1, "events": 1} for row in rows]
    tables = pa.Table.from_pylist(rows, requests_out()), pa.Table.from_pylist(seen, client_requests_schema())
    return LoadOutcome(*tables, 0.0, 1.0, [], {})


class NotedScraper(MetricScraper):
    """Asks nobody, and notes whom it would ask how often."""

    def __init__(self, servers: Any, period_s: float | None, **keys: Any) -> None:
        SEEN.append(("scraper", period_s))
        super().__init__([], period_s, **keys)


SEEN: list[Any] = []


@pytest.fixture(scope="module")
def words_of(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], list[str]]]:
    """Put stand-ins where things are started; return what makes the overrides of a case."""
    monkeypatch, tmp_path = pytest.MonkeyPatch(), tmp_path_factory.mktemp("inputs")
    monkeypatch.setenv("SOME_TOKEN", "secret")
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:/usr/bin:/bin")
    (tmp_path / "programs").mkdir()
    mps = tmp_path / "programs" / "nvidia-cuda-mps-control"
    mps.write_text("#!/bin/sh\n")
    mps.chmod(0o755)
    named = {"PYTHON": interpreter(tmp_path)}
    (tmp_path / "other").mkdir()
    named["OTHER"] = interpreter(tmp_path / "other")
    for name in ("ADAPTER", "OWN"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}")
        named[name] = str(tmp_path / name)
    facts = EngineFacts(version="0.0", models=("first", "second"))
    never = SimpleNamespace(
        monotonic=lambda: SEEN.append("look") or 100.0 * SEEN.count("look"), sleep=SEEN.append
    )
    for target, stand_in in (
        # First: a module that is imported while a stand-in is in place keeps the stand-in for ever.
        ("framework_vllm.server.attach.read_facts", lambda url, headers=None, resolved=False: facts),
        ("framework_vllm.server.kept_fleet.Fleet", FakeFleet),
        ("framework_vllm.server.kept_fleet.read_facts", lambda url, headers=None, resolved=False: facts),
        (
            "framework_vllm.models.served_adapters.load_adapters",
            lambda url, folders, headers=None: SEEN.append(("loaded", url, sorted(folders))),
        ),
        ("framework_vllm.client.load.run_load", fake_load),
        ("framework_vllm.engine_metrics.scraper.MetricScraper", NotedScraper),
        ("framework_vllm.backend.time", SimpleNamespace(monotonic=lambda: 0.0, sleep=SEEN.append)),
        ("framework_vllm.offline.backend.ChildProcess", FakeChild),
        ("framework_vllm.offline.backend.time", never),
    ):
        monkeypatch.setattr(target, stand_in)

    def words(text: str) -> list[str]:
        platform = "cpu" if "gpu=cpu" in text else "cuda"
        monkeypatch.setenv("FAKE_ENGINE_PLATFORM", platform)
        monkeypatch.setenv("FRAMEWORK_CACHE_DIR", str(tmp_path / f"cache-{platform}"))
        for name, value in named.items():
            text = text.replace(name, value)
        return text.split()

    yield words
    monkeypatch.undo()
    for cached in (engine_identity, find_engine):
        cached.cache_clear()


def outcome(overrides: list[str], folder: Path) -> str:
    """Compose and execute one run; return what was started and sent, and what became of it.

    Facts are left out: they repeat the settings, so that a setting without effect would show in them.
    """
    SEEN.clear()
    for cached in (engine_identity, find_engine):
        cached.cache_clear()
    FakeChild.ready = "+READY=1" in overrides
    config = compose([word for word in overrides if word != "+READY=1"])
    with open_dict(config):
        config.outputs_dir, config.resume = str(folder), False
    with kept_between_runs():
        done = execute(config)
        SEEN.append("the run is over")
    record = json.loads((folder / "runs" / done.run_id / "run.json").read_text())["record"]
    ended = done.failure and (done.failure.kind, done.failure.message)
    checks = [(check["name"], check["verdict"], check["detail"]) for check in record["checks"]]
    said = str([*[item for item in SEEN if item != "look"], ended, record["backend"], checks])
    return said.replace(done.run_id, "RUN").replace(str(folder), "OUT")


CASES = [(table, key) for table, (_, cases) in TABLES.items() for key in cases]
_before: dict[str, str] = {}


@pytest.mark.slow  # as many compositions as there are keys
@pytest.mark.parametrize(("table", "key"), CASES, ids=[f"{table}.{key}" for table, key in CASES])
def test_a_key_shows_in_what_is_started_or_in_what_becomes_of_it(
    table: str, key: str, words_of: Callable[[str], list[str]], tmp_path: Path
) -> None:
    base, change = TABLES[table][1][key]
    if base not in _before:
        _before[base] = outcome(words_of(base), tmp_path / "before")
    assert outcome(words_of(f"{base} {change}"), tmp_path / "after") != _before[base]
