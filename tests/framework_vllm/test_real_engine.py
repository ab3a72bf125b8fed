"""A real vLLM on a CPU: what it serves, what it says of it, how it fails."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from framework.contracts import Result, RunContext, WorkloadTables
from framework.errors import ConfigError
from framework.processes.lifeline import descendants
from framework_serving.advice.capacity.capacity_learning import fit, learning_rows
from framework_serving.advice.fleet.adapter_list import Deployment, read_deployment
from framework_serving.metrics.request_times import RequestTimes
from framework_serving.workloads.synthetic import SyntheticWorkload
from framework_vllm.backend import VllmBackend
from framework_vllm.engine_metrics.exposition import parse
from framework_vllm.server.http_get import NoAnswerError, get, post_json
from framework_vllm.server.serving_engines import ServingEngines
from framework_vllm.server.start_failures import EngineOutOfMemoryError, EngineStartError
from tests.framework_serving.advice.capacity.known_engine import known_data
from tests.framework_vllm.real_engine import engine_python, group, load

pytestmark = pytest.mark.integration

KV_BLOCK_TOKENS = 128  # of the CPU engine
ADAPTERS = (0, 1)


def backend(**keys: Any) -> VllmBackend:
    given = {
        "python": engine_python(),
        "model": group("model", "tiny-llama"),
        "gpu": group("gpu", "cpu"),
        "max_num_seqs": 16,
        "max_model_len": 512,
        "warmup_requests": 4,
        "cpu_kv_gib": 0.25,
        **keys,
    }
    return VllmBackend(**given)


def context(folder: Path) -> RunContext:
    folder.mkdir(exist_ok=True)
    return RunContext("run", {}, 0, folder)


@dataclass
class Serving:
    """An engine that several tests use."""

    backend: VllmBackend
    engines: ServingEngines
    folder: Path

    def measure(self, workload: WorkloadTables, **keys: Any) -> Result:
        """Load it as an engine of our own; `keys` change the load."""
        own = {name: given for name, given in vars(self.backend.settings).items() if name != "_target_"}
        made = backend(**{**own, **keys})
        return made.measure(self.engines, workload, context(self.folder))

    def attached(self, **keys: Any) -> VllmBackend:
        """Return a backend that finds it as a server that runs already."""
        return backend(urls=[self.engines.targets[0].url], python=None, **keys)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One engine with two adapters, a KV cache of twelve blocks and prefix caching."""
    folder = tmp_path_factory.mktemp("engine")
    made = backend(
        kv_blocks=12,
        enable_prefix_caching=True,
        max_cpu_loras=4,
        env={"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"},
    )
    workload = load([0.0, 0.0], adapters=ADAPTERS)
    made.check(workload)
    with made.engines(workload, context(folder)) as engines:
        yield Serving(made, engines, folder)


def value(result: Result, name: str) -> float:
    found = next(metric for metric in result.metrics if metric.name == name)
    assert found.value is not None, found.reason
    return found.value


def verdicts(result: Result) -> dict[str, str]:
    return {check.name: check.verdict for check in result.checks}


def poisson(rate_rps: float, count: int) -> list[float]:
    draw = random.Random(7)
    times = [0.0]
    while len(times) < count:
        times.append(times[-1] + draw.expovariate(rate_rps))
    return times


def test_client_and_engine_agree_on_every_token_and_on_the_time_to_the_first(serving: Serving) -> None:
    # more than it can serve: most of the time to the first token is spent in the engine's own queue, and little
    # on the way to it, which its clock does not see
    result = serving.measure(load(poisson(60, 120), output_tokens=120, adapters=(*ADAPTERS, None)))
    found = verdicts(result)
    assert set(result.tables["requests"]["status"].to_pylist()) == {"finished"}
    counted = [name for name in found if name.startswith(("usage_", "engine_")) and name.endswith("_tokens")]
    assert {found[name] for name in counted} == {"pass"}, result.checks
    assert "fail" not in found.values(), result.checks  # a busy machine may send late, which is a warning
    # about 1 % apart on an idle machine, where the checks by the clock pass too; a shared one delays the way to the
    # engine, by which a client can only see more
    ttft_ms = 1e3 * RequestTimes.of(result.tables["requests"]).served().ttft_s.mean()
    assert 0.95 < ttft_ms / value(result, "engine_ttft_mean_ms") < 1.5
    assert {
        "usage_input_tokens", "usage_output_tokens", "engine_input_tokens", "engine_output_tokens",
        "engine_request_input_tokens", "engine_request_output_tokens", "engine_ttft",
    } <= set(found)  # fmt: skip


def test_the_engine_tells_when_each_request_was_scheduled(serving: Serving) -> None:
    result = serving.measure(load([0.0] * 30, output_tokens=200))
    times = RequestTimes.of(result.tables["requests"])
    assert (times.scheduled_s <= times.first_token_s).all()
    waited = times.scheduled_s - times.arrival_s
    assert waited.max() - waited.min() > 0.5 * waited.max()  # four fit at once, the others wait their turn


def test_an_engine_says_what_it_is(serving: Serving) -> None:
    result = serving.measure(load([0.0]))
    facts = result.facts
    assert facts["engine_version"].startswith("0.")
    assert (facts["kv_blocks"], facts["kv_block_tokens"]) == (12, KV_BLOCK_TOKENS)
    assert facts["kv_block_bytes"] == 512 * KV_BLOCK_TOKENS  # 2 · 2 layers · 2 heads · 32 · 2 bytes a token
    assert facts["max_model_len"] == 512
    assert facts["engine_platform"] == "cpu"
    assert facts["engine"]["max_num_seqs"] == 16
    assert facts["engine"]["max_num_batched_tokens"] >= 512  # its own default, which nobody typed
    assert facts["engine"]["enable_prefix_caching"] is True
    assert facts["engine"]["max_lora_rank"] == 8
    names = set(result.tables["samples"]["name"].to_pylist())
    assert {"running", "waiting", "kv_usage", "preemptions", "vllm:generation_tokens"} <= names
    assert result.tables["engine_histograms"].num_rows > 100


def test_ranks_of_one_engine_serve_as_one(tmp_path: Path) -> None:
    made = backend(data_parallel=2, max_model_len=256)
    workload = load([0.0] * 12, output_tokens=20)
    made.check(workload)
    result = made.run(workload, context(tmp_path / "run"))
    assert result.facts["gpus"] == 2
    assert result.facts["engine_config"]["parallel"]["data_parallel_size"] == 2
    assert result.tables["requests"]["output_tokens"].to_pylist() == [20] * 12
    found = verdicts(result)  # counters of both ranks
    assert {found["engine_input_tokens"], found["engine_output_tokens"]} == {"pass"}
    usage = [row["value"] for row in result.tables["samples"].to_pylist() if row["name"] == "kv_usage"]
    assert max(usage) <= 1.0


def test_a_cache_that_is_too_small_preempts_and_every_token_still_comes(serving: Serving) -> None:
    result = serving.measure(load([0.0] * 10, input_tokens=100, output_tokens=200))
    assert value(result, "preemptions") > 0
    assert result.tables["requests"]["output_tokens"].to_pylist() == [200] * 10
    usage = result.tables["samples"].to_pylist()
    # the gauge is read between steps, so that a busy machine may miss the very moment at which it is full
    assert max(row["value"] for row in usage if row["name"] == "kv_usage") > 0.6


def test_prompts_that_share_blocks_hit_the_prefix_cache_and_others_do_not(serving: Serving) -> None:
    spaced = [0.3 * number for number in range(4)]
    shared = load(spaced, input_tokens=300, prefixes=[[71, 72]] * 4, prefix_block_tokens=KV_BLOCK_TOKENS)
    hits = value(serving.measure(shared), "prefix_hit_share")
    assert hits == pytest.approx(3 * 2 * KV_BLOCK_TOKENS / (4 * 300))
    assert value(serving.measure(load(spaced, input_tokens=300)), "prefix_hit_share") == 0


def test_a_closed_loop_keeps_so_many_requests_open(serving: Serving) -> None:
    result = serving.measure(load([0.0] * 12), concurrency=2)
    running = [row["value"] for row in result.tables["samples"].to_pylist() if row["name"] == "running"]
    assert max(running) <= 2
    assert set(result.tables["requests"]["status"].to_pylist()) == {"finished"}


def test_turns_of_a_session_wait_for_each_other_and_find_their_prefix_in_the_engine(serving: Serving) -> None:
    lengths = {"kind": "fixed", "input_tokens": 140, "output_tokens": 8}
    arrivals = {"kind": "concurrency", "concurrency": 1, "think_s": 0.05}
    sessions = {"turns": 3}
    made = SyntheticWorkload(num_requests=6, lengths=lengths, arrivals=arrivals, sessions=sessions).build(3)
    result = serving.measure(made)
    times = RequestTimes.of(result.tables["requests"])
    assert times.finished.all()
    assert times.input_tokens.tolist() == 2 * [140, 288, 436]
    assert (times.arrival_s[1:] >= times.last_token_s[:-1] + 0.05).all()
    # full blocks of the turn before, of the tokens of all prompts
    hit = (140 // KV_BLOCK_TOKENS + 288 // KV_BLOCK_TOKENS) * KV_BLOCK_TOKENS / (140 + 288 + 436)
    assert value(result, "prefix_hit_share") == pytest.approx(hit, rel=0.1)


def test_a_run_that_is_cut_leaves_the_rest_running_waiting_or_not_arrived(serving: Serving) -> None:
    workload = load([0.02 * number for number in range(100)], output_tokens=200, horizon_s=1.0)
    result = serving.measure(workload)
    statuses = set(result.tables["requests"]["status"].to_pylist())
    assert "not_arrived" in statuses
    assert statuses & {"running", "waiting"}
    assert "failed" not in statuses


def test_a_request_that_is_longer_than_the_engine_allows_is_refused_and_not_failed(serving: Serving) -> None:
    result = serving.measure(load([0.0, 0.1], input_tokens=600), warmup_requests=0)
    assert set(result.tables["requests"]["status"].to_pylist()) == {"refused"}
    assert "HTTP 400" in result.tables["requests"]["error"][0].as_py()


def test_a_running_server_is_used_with_its_adapters(serving: Serving, tmp_path: Path) -> None:
    workload = load([0.0, 0.05, 0.1], adapters=ADAPTERS)
    made = serving.attached()
    made.check(workload)
    result = made.run(workload, context(tmp_path))
    assert set(result.tables["requests"]["status"].to_pylist()) == {"finished"}
    assert result.facts["kv_blocks"] == 12
    assert RequestTimes.of(result.tables["requests"]).adapter.tolist() == [0, 1, 0]


def test_the_counters_of_a_running_server_say_what_its_deployment_is_asked_for(
    serving: Serving, tmp_path: Path
) -> None:
    rates = {"adapter-0": 0.3, "adapter-1": 0.1, "silent": 0.0}
    ranks = {"adapter-0": 8, "adapter-1": 4, "silent": 8}
    engine = ("model=llama-3.1-8b", "backend.max_num_seqs=256", "backend.max_model_len=2048")
    gpus = (("l4", 4, tuple(rates)),)
    Deployment("llama-3.1-8b", gpus, ranks, rates, engine, ("l4",)).save(tmp_path / "runs.yaml", [""])
    learned = known_data(12)
    fit(learned, learning_rows(learned)).save(tmp_path / "outputs" / "adapter_capacity" / "model.json")
    workload = load([0.0, 0.05, 0.1, 0.15], adapters=ADAPTERS)
    read = []

    class Counters(BaseHTTPRequestHandler):
        """The engine's own counters; four requests are served each time before they are read."""

        def do_GET(self) -> None:
            serving.measure(workload, warmup_requests=0)
            read.append(get(serving.engines.targets[0].url, "/metrics", 60.0))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(read[-1])

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Counters) as server:
        server.timeout = 30.0
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        words = ["advise", "--running", "runs.yaml", "--metrics", url, "--seconds", "4", "--out", "next.yaml"]
        asked = subprocess.Popen(
            [sys.executable, "-m", "framework", *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        while len(read) < 5 and asked.poll() is None:
            server.handle_request()
        said, _ = asked.communicate()
    assert asked.returncode == 0, said
    assert "4 requests/s, planned 0.4" in said  # 16 requests in 4 s
    assert f"runs with --max-loras {len(ADAPTERS)}, the deployment says 4" in said
    assert "1 adapters had no requests (silent)" in said
    assert "--enable-lora --max-loras" in said
    assert read_deployment(tmp_path / "next.yaml").rates == {**rates, "adapter-0": 3.0, "adapter-1": 1.0}


def test_every_adapter_answers_in_words_of_its_own(serving: Serving) -> None:
    url = serving.engines.targets[0].url

    def answer(name: str) -> list[str]:
        asked = {
            "model": name,
            "prompt": [5, 6, 7, 8, 9],
            "max_tokens": 12,
            "temperature": 0,
            "ignore_eos": True,
        }
        content = post_json(url, "/v1/completions", {**asked, "logprobs": 0}, 60.0)
        tokens: list[str] = json.loads(content)["choices"][0]["logprobs"]["tokens"]
        return tokens

    answers = [answer(name) for name in ("tiny-llama", "adapter-0", "adapter-1")]
    assert len({tuple(tokens) for tokens in answers}) == 3
    assert answer("adapter-0") == answers[1]


def test_an_adapter_that_a_running_server_lacks_is_named_and_can_be_loaded_there(
    serving: Serving, tmp_path: Path
) -> None:
    workload = load([0.0], adapters=(2,))
    with pytest.raises(
        ConfigError, match=r"does not serve 'adapter-2'; backend.lora_loading=runtime loads it"
    ):
        serving.attached().run(workload, context(tmp_path))
    result = serving.attached(lora_loading="runtime").run(workload, context(tmp_path))
    assert result.tables["requests"]["status"].to_pylist() == ["finished"]


def test_a_kv_cache_beyond_the_memory_fails_the_start_as_out_of_memory(tmp_path: Path) -> None:
    made = backend(cpu_kv_gib=100_000.0)
    before = set(_engines_below(os.getpid()))
    with pytest.raises(EngineOutOfMemoryError, match="less than requested memory for kv"):
        made.run(load([0.0]), context(tmp_path))
    assert set(_engines_below(os.getpid())) <= before


def test_a_length_that_the_model_does_not_have_fails_the_start_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(
        EngineStartError, match=r"User-specified max_model_len \(100000\) is greater than the derived"
    ):
        backend(max_model_len=100_000).run(load([0.0]), context(tmp_path))


def _engines_below(pid: int) -> list[int]:
    found = []
    for process in descendants(pid):
        with suppress(OSError):
            line = Path(f"/proc/{process}/cmdline").read_bytes()
            if b"vllm.entrypoints" in line or b"VLLM::" in line:
                found.append(process)
    return found


def _serving_url(pid: int) -> str | None:
    """Return where an engine below a process listens, once it is served tokens beyond the warm-up's."""
    for process in _engines_below(pid):
        with suppress(OSError, ValueError, NoAnswerError):
            words = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
            url = f"http://127.0.0.1:{words[words.index('--port') + 1]}"
            tokens = parse(get(url, "/metrics", 5.0).decode(), histograms=False).total(
                "vllm:generation_tokens"
            )
            if tokens is not None and tokens > 5000:  # the warm-up has up to 2,400
                return url
    return None


def test_an_engine_that_is_killed_fails_its_run_and_the_sweep_goes_on(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "framework", "-m", "backend=vllm", "model=tiny-llama", "gpu=cpu", "workload=fixed",
        "workload.lengths.input_tokens=64", "workload.lengths.output_tokens=300", "backend.max_model_len=512",
        "backend.max_num_seqs=8", "backend.cpu_kv_gib=0.25", "backend.enforce_eager=true",
        "workload.num_requests=300,4",
    ]  # fmt: skip
    environment = {**os.environ, "FRAMEWORK_VLLM_PYTHON": engine_python(), "COLUMNS": "200"}
    sweep = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        deadline = time.monotonic() + 240
        while _serving_url(sweep.pid) is None:
            assert sweep.poll() is None, sweep.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        started = set(_engines_below(sweep.pid))
        core = next(pid for pid in started if b"EngineCore" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(core, signal.SIGKILL)
        said, _ = sweep.communicate(timeout=240)
    finally:
        sweep.kill()
    assert sweep.returncode == 1
    assert "1 failed" in said
    query = [sys.executable, "-m", "framework", "sql", "--format", "json"]
    rows = json.loads(
        subprocess.check_output(
            [
                *query,
                "SELECT r.status, f.kind, f.message, f.log FROM runs r LEFT JOIN failures f USING (run_id)",
            ],
            cwd=tmp_path,
        )
    )
    failed = next(row for row in rows if row["status"] == "failed")
    assert [row["status"] for row in rows].count("done") == 1
    assert failed["kind"] == "EngineDiedError"
    assert "engine-0" in failed["message"]
    assert "in the middle of the run" in failed["message"]
    assert "engine-0.log" in failed["log"]
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
