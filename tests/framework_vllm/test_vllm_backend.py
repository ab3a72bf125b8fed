"""The life of a run with an engine that is none: what must hold whatever the engine does."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from framework.contracts import Result, RunContext, WorkloadTables
from framework.errors import ConfigError, InputError
from framework_serving.tables import requests_in
from framework_vllm.backend import VllmBackend
from framework_vllm.client.load_contracts import client_requests_schema
from framework_vllm.engine.interpreter import engine_identity, find_engine
from framework_vllm.server.port import PortTakenError
from framework_vllm.server.start_failures import (
    EngineDiedError,
    EngineOutOfMemoryError,
    EngineStartError,
    EngineStartTimeoutError,
    LoadFailedError,
)
from tests.framework_vllm.fake_engine import STUB, interpreter

MODEL = {"name": "toy", "path": None, "hf_id": "nobody/toy"}


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FRAMEWORK_CACHE_DIR", str(tmp_path / "cache"))
    for cached in (engine_identity, find_engine):
        cached.cache_clear()
    yield
    for cached in (engine_identity, find_engine):
        cached.cache_clear()


@pytest.fixture(scope="module")
def running_server() -> Iterator[str]:
    with subprocess.Popen([sys.executable, str(STUB)], stdout=subprocess.PIPE, text=True) as stub:
        assert stub.stdout is not None
        yield f"http://127.0.0.1:{stub.stdout.readline().split()[1]}"
        stub.kill()


def workload(count: int = 6, output_tokens: int = 8, spacing_s: float = 0.01, **facts: Any) -> WorkloadTables:
    requests = pa.table(
        {
            "request_id": range(count),
            "arrival_s": [spacing_s * number for number in range(count)],
            "input_tokens": [4] * count,
            "output_tokens": [output_tokens] * count,
            "adapter_id": [None] * count,
        },
        schema=requests_in(),
    )
    return WorkloadTables({"requests": requests}, "hash", facts)


def backend(tmp_path: Path, **keys: Any) -> VllmBackend:
    given = {
        "python": interpreter(tmp_path),
        "model": MODEL,
        "vocabulary": [1, 500],
        "warmup_requests": 1,
        "retries": 0,
        "sample_period_s": None,
        "stop_grace_s": 1.0,
        **keys,
    }
    return VllmBackend(**given)


def context(tmp_path: Path, **changes: Any) -> RunContext:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return RunContext("run", {}, 0, scratch, **changes)


def run(tmp_path: Path, load: WorkloadTables | None = None, **keys: Any) -> Result:
    made = backend(tmp_path, **keys)
    asked = load or workload()
    made.check(asked)
    return made.run(asked, context(tmp_path))


def processes_with(text: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:
                continue
            if text in line:
                found.append(line)
    return found


@pytest.mark.slow
def test_users_of_the_workload_are_those_of_the_client_and_are_said_once(
    tmp_path: Path, running_server: str
) -> None:
    users = workload(12, spacing_s=0.0, concurrency=3)
    served = run(tmp_path, users, urls=[running_server], served_model_name="stub", python=None)
    requests = served.tables["requests"]
    events = [(time_s, 1) for time_s in requests["arrival_s"].to_pylist()]
    events += [(time_s, -1) for time_s in requests["last_token_s"].to_pylist()]
    assert max(accumulate(change for _, change in sorted(events))) == 3
    with pytest.raises(ConfigError, match=r"backend\.concurrency: the workload has its own"):
        run(tmp_path, users, urls=[running_server], served_model_name="stub", python=None, concurrency=2)


@pytest.mark.slow
def test_a_run_returns_the_serving_tables_and_says_what_the_engine_does_not(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.tables["requests"]["status"].to_pylist() == ["finished"] * 6
    assert result.tables["client_requests"].schema == client_requests_schema()
    assert result.facts["engine_metrics_missing"] == "/metrics: contains no metrics of vLLM"
    assert result.facts["engine_platform"] == "cpu"
    assert result.facts["client_lag_p99_ms"] >= 0
    assert len(result.facts["engine_start_s"]) == 1
    metrics = {metric.name: metric for metric in result.metrics}
    assert metrics["itl_mean_ms"].value is not None
    assert metrics["engine_ttft_mean_ms"].reason == "/metrics: contains no metrics of vLLM"


def ports_in_logs(tmp_path: Path) -> list[int]:
    """The ports on which the stub said that it is ready."""
    logs = sorted((tmp_path / "scratch").glob("engine-*.log"))
    return [int(log.read_text().partition("ready ")[2].split()[0]) for log in logs]


def stubs_on(port: int) -> list[str]:
    return [line for line in processes_with(str(STUB)) if f"--port {port}" in line]


@pytest.mark.slow
def test_no_process_and_no_port_of_a_run_is_left_behind(tmp_path: Path) -> None:
    running: list[int] = []

    def look(share: float, text: str) -> None:
        if "served" in text and not running:
            running.extend(len(stubs_on(port)) for port in ports_in_logs(tmp_path))

    backend(tmp_path, replicas=2).run(workload(20), context(tmp_path, progress=look))
    assert running == [1, 1]
    for port in ports_in_logs(tmp_path):
        assert stubs_on(port) == []
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))


@pytest.mark.slow
def test_the_window_of_the_run_is_told_to_collectors(tmp_path: Path) -> None:
    told = context(tmp_path)
    result = backend(tmp_path, idle_s=0.05).run(workload(), told)
    window = told.window
    assert window.begin_s is not None
    assert window.end_s == pytest.approx(window.begin_s + result.facts["duration_s"])
    assert window.idle_end_s is not None
    assert window.idle_begin_s is not None
    assert window.idle_end_s - window.idle_begin_s >= 0.05
    assert window.idle_end_s < window.begin_s


def test_an_engine_that_runs_out_of_memory_fails_the_run_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "die")
    with pytest.raises(EngineOutOfMemoryError, match=r"torch.OutOfMemoryError: CUDA out of memory"):
        run(tmp_path)
    assert "initialization failed" in (tmp_path / "scratch" / "engine-0.log").read_text()


@pytest.mark.slow
def test_an_engine_that_never_answers_is_ended_after_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "deaf")
    with pytest.raises(EngineStartTimeoutError) as failed:
        run(tmp_path, start_timeout_s=0.5)
    assert "not ready after 0.5 s (backend.start_timeout_s); its last log line: Starting vLLM server" in str(
        failed.value
    )


@pytest.mark.slow
def test_an_engine_that_dies_in_the_run_ends_it_at_once_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "die_soon")
    monkeypatch.setenv("FAKE_ENGINE_LIFE_S", "4")
    with pytest.raises(
        EngineDiedError, match=r"engine-0 ended with status 1 in the middle of the run: RuntimeError"
    ):
        run(tmp_path, workload(4, output_tokens=2000))  # a hundred seconds of tokens


@pytest.mark.slow
def test_a_server_that_can_not_share_its_port_gets_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "shy")
    monkeypatch.setenv("FAKE_ENGINE_TRIED", str(tmp_path / "tried"))
    result = run(tmp_path)
    assert (tmp_path / "tried").exists()
    assert result.tables["requests"]["status"].to_pylist() == ["finished"] * 6


@pytest.mark.slow
def test_words_before_the_interpreter_run_it(tmp_path: Path) -> None:
    result = run(tmp_path, command=["env", "SOME=thing"])
    assert result.tables["requests"]["status"].to_pylist() == ["finished"] * 6


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"backend.port: {number} on 127.0.0.1 is taken"):
            run(tmp_path, port=number)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("http_500", "HTTP 500: engine died"),
        ("busy", "HTTP 429"),
        ("half_stream", "closed the connection in the middle of the stream"),
        ("malformed", "malformed event"),
        ("error_event", "error in the stream: EngineCore died"),
    ],
)
def test_a_run_in_which_requests_fail_is_a_failed_run_with_the_commonest_cause(
    tmp_path: Path, running_server: str, fault: str, cause: str
) -> None:
    with pytest.raises(LoadFailedError) as failed:
        run(
            tmp_path,
            urls=[running_server],
            served_model_name="any",
            warmup_requests=0,
            extra_body={"stub": fault},
        )
    assert str(failed.value).startswith("6 of 6 requests failed (backend.max_failed_share=0.05), 6 of them: ")
    assert cause in str(failed.value)


def test_failures_below_the_allowed_share_leave_a_run_with_rows_that_say_so(
    tmp_path: Path, running_server: str
) -> None:
    keys: dict[str, Any] = {"urls": [running_server], "served_model_name": "any", "max_failed_share": 1.0}
    result = run(tmp_path, warmup_requests=0, extra_body={"stub": "http_500"}, **keys)
    assert result.tables["requests"]["status"].to_pylist() == ["failed"] * 6


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"python": "/no/such/python"}, "backend.python: '/no/such/python' is not an interpreter"),
        ({"model_path": "/no/such/model"}, "backend.model_path: there is no folder '/no/such/model'"),
        ({"model": {"name": "x"}}, "backend.model_path: model 'x' has neither a folder nor a Hugging Face"),
        ({"model": None}, "backend.model_path: no model is selected"),
        (
            {"engine_args": {"max_lora": 3}},
            "backend.engine_args.max_lora: vLLM 0.0 has no flag --max-lora (did you",
        ),
        ({"vocabulary": None}, "backend.vocabulary: [first, last] token id is needed"),
    ],
)
def test_what_can_not_run_is_refused_before_anything_starts(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        backend(tmp_path, **keys).check(workload())
    assert str(refused.value).startswith(message)


def test_a_workload_of_another_domain_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="configuration group 'workload'"):
        backend(tmp_path).check(WorkloadTables({}, "hash"))
    with pytest.raises(InputError, match="requests: the workload has no requests"):
        backend(tmp_path).check(workload(0))


def test_adapters_that_are_missing_are_named(tmp_path: Path) -> None:
    adapters = pa.table({"adapter_id": [0, 1], "rank": [8, 8], "rate_rps": [1.0, 1.0]})
    asked = WorkloadTables({**workload().tables, "adapters": adapters}, "hash")
    with pytest.raises(
        ConfigError, match=r"backend.adapter_paths: names 1 adapters, but the workload uses adapter 1"
    ):
        backend(tmp_path, adapter_paths=[str(tmp_path)]).check(
            WorkloadTables({**asked.tables, "adapters": adapters.slice(1)}, "hash")
        )
    with pytest.raises(ConfigError, match=r"adapter 0, '.*', contains no adapter_config.json"):
        backend(tmp_path, adapter_paths=[str(tmp_path)] * 2).check(asked)


@pytest.mark.slow
def test_a_running_server_is_used_and_left_running(tmp_path: Path, running_server: str) -> None:
    result = run(tmp_path, urls=[running_server], served_model_name="any", python=None)
    assert result.tables["requests"]["status"].to_pylist() == ["finished"] * 6
    assert "engine_platform" not in result.facts
    assert result.facts["facts_missing"]["kv_blocks"] == "/metrics: no vllm:cache_config_info"
    with socket.create_connection(("127.0.0.1", int(running_server.rpartition(":")[2]))):
        pass


def test_a_server_that_lists_no_model_needs_a_name(tmp_path: Path, running_server: str) -> None:
    with pytest.raises(ConfigError, match=r"lists no model; set backend.served_model_name"):
        run(tmp_path, urls=[running_server])


def test_a_token_is_taken_from_the_environment_and_a_missing_one_is_named(
    tmp_path: Path, running_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: dict[str, Any] = {
        "urls": [running_server],
        "served_model_name": "any",
        "api_key_variable": "SOME_TOKEN",
    }
    monkeypatch.delenv("SOME_TOKEN", raising=False)
    with pytest.raises(
        ConfigError, match=r"backend.api_key_variable: environment variable 'SOME_TOKEN' is not set"
    ):
        run(tmp_path, **keys)
    monkeypatch.setenv("SOME_TOKEN", "secret")
    made = backend(tmp_path, **keys)
    with made.engines(workload(), context(tmp_path)) as engines:
        assert engines.targets[0].headers == {"Authorization": "Bearer secret"}


def test_nobody_at_a_url_is_said_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(EngineStartError, match=rf"backend.urls: {url}/v1/models: .*refused"):
        run(tmp_path, urls=[url])


def test_interrupting_a_run_ends_its_engines(tmp_path: Path) -> None:
    def interrupt(share: float, text: str) -> None:
        if "served" in text:
            raise KeyboardInterrupt

    made = backend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        made.run(workload(50, output_tokens=50), context(tmp_path, progress=interrupt))
    assert [stubs_on(port) for port in ports_in_logs(tmp_path)] == [[]]
