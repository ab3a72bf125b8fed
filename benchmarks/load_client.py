"""The load client next to `vllm bench serve`, against a stub server on loopback that remembers when it sent what.

    FRAMEWORK_VLLM_PYTHON=.venv-vllm/bin/python python benchmarks/load_client.py [--only closed,accuracy,…]

Both clients get the same stub (`tests/support/stub_server.py`) and take turns, `--repeats` times; every line is one
run, so the spread can be seen. Other work on the machine slows both client and server: read the ratio, and the
processor's load next to it. Without `FRAMEWORK_VLLM_PYTHON` only our client runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import yaml

from framework_serving.hardware.model_shape import ModelShape
from framework_serving.tables import requests_in
from framework_vllm.client.load import run_load
from framework_vllm.client.load_contracts import LoadOutcome, LoadPlan, Target
from framework_vllm.client.workers.load_process import NICE
from framework_vllm.models.tiny_model import generated_model

ROOT = Path(__file__).parents[1]
INPUT_TOKENS = 128
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What a server says of the requests of one run, by request."""

    received_s: Numbers
    first_s: Numbers
    last_s: Numbers
    tokens: Numbers

    @property
    def ttft_ms(self) -> Numbers:
        """From a request's receipt to the sending of its first token."""
        return 1e3 * (self.first_s - self.received_s)

    @property
    def itl_ms(self) -> float:
        """Mean gap between tokens."""
        return float(1e3 * (self.last_s - self.first_s).sum() / (self.tokens - 1).sum())


@dataclass(frozen=True)
class Seen:
    """What a client says of one run."""

    requests_s: float
    failed: int
    ttft_ms: Numbers
    itl_ms: float
    sending_s: float | None
    note: str = ""


class Servers:
    """Stub servers, each a process with a port."""

    def __init__(self, count: int, options: str) -> None:
        command = [sys.executable, str(ROOT / "tests/support/stub_server.py"), *options.split()]
        self.processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        self.urls = []
        for process in self.processes:
            assert process.stdout is not None
            self.urls.append(f"http://127.0.0.1:{process.stdout.readline().split()[1]}")

    def reset(self) -> None:
        """Make them forget what they saw."""
        for url in self.urls:
            urllib.request.urlopen(f"{url}/reset").close()

    def truth(self, least: int = 1) -> Truth:
        """Return what they saw; a request of fewer tokens than `least` (a trial) is left out."""
        seen: list[list[float]] = []
        for url in self.urls:
            with urllib.request.urlopen(f"{url}/truth") as answer:
                seen.extend(times for times in json.load(answer).values() if len(times) > least)
        columns = [[times[0], times[1], times[-1], len(times) - 1] for times in seen]
        return Truth(*np.array(columns).T)


@contextmanager
def servers(count: int = 1, options: str = "") -> Iterator[Servers]:
    running = Servers(count, options)
    try:
        yield running
    finally:
        for process in running.processes:
            process.kill()
            process.wait()


def table(arrivals: Numbers, output_tokens: int) -> pa.Table:
    n = len(arrivals)
    columns = [
        np.arange(n),
        arrivals,
        np.full(n, INPUT_TOKENS),
        np.full(n, output_tokens),
        pa.nulls(n, pa.int64()),
    ]
    return pa.table(columns, schema=requests_in())


def ours(stub: Servers, arrivals: Numbers, output_tokens: int, concurrency: int | None = None) -> LoadOutcome:
    targets = tuple(Target(url, "stub") for url in stub.urls)
    plan = LoadPlan(
        table(arrivals, output_tokens), targets, vocabulary=range(5, 1000), seed=0, concurrency=concurrency
    )
    return run_load(plan, lambda fraction, text: None, lambda: None)


def seen(outcome: LoadOutcome) -> Seen:
    failed = sum(status != "finished" for status in outcome.requests["status"].to_pylist())
    arrival, first = outcome.requests["arrival_s"].to_numpy(), outcome.requests["first_token_s"].to_numpy()
    sent = outcome.client_requests["sent_s"].to_numpy()
    itl = next(metric.value for metric in outcome.metrics if metric.name == "itl_mean_ms")
    facts = outcome.facts
    note = f"lag p99 {facts['client_lag_p99_ms']:.2f} ms, {facts['client_processes']} processes"
    finished = outcome.requests.num_rows - failed
    return Seen(
        finished / outcome.duration_s,
        failed,
        1e3 * (first - arrival),
        itl or np.nan,
        float(np.ptp(sent)),
        note,
    )


def theirs(stub: Servers, options: str, count: int, output_tokens: int) -> Seen | None:
    """Run `vllm bench serve`; None if there is no vLLM."""
    python = os.environ.get("FRAMEWORK_VLLM_PYTHON")
    if not python:
        return None
    with tempfile.TemporaryDirectory() as folder:
        command = [
            python, "-m", "vllm.entrypoints.cli.main", "bench", "serve", "--backend", "openai", "--base-url",
            stub.urls[0], "--model", "stub", "--tokenizer", str(tiny_model()), "--dataset-name", "random",
            "--random-input-len", str(INPUT_TOKENS), "--random-output-len", str(output_tokens), "--num-prompts",
            str(count), "--ignore-eos", "--disable-tqdm", "--save-result", "--save-detailed", "--result-dir",
            folder, "--result-filename", "result.json", *options.split(),
        ]  # fmt: skip
        quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **quiet}, preexec_fn=prefer
        )
        if done.returncode:
            raise SystemExit(f"vllm bench serve: {done.stderr[-2000:]}")
        result = json.loads((Path(folder) / "result.json").read_text())
    gaps = np.concatenate([np.asarray(each, dtype=np.float64) for each in result["itls"]])
    return Seen(
        result["request_throughput"],
        count - result["completed"],
        1e3 * np.asarray(result["ttfts"]),
        float(1e3 * gaps.mean()),
        None,
    )


def prefer() -> None:
    """Give this process the priority that our client takes where it may."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)


def tiny_model() -> Path:
    """Return a folder with the tokenizer that `vllm bench serve` can't do without."""
    keys = yaml.safe_load((ROOT / "conf/model/tiny-llama.yaml").read_text())
    known = {each.name for each in fields(ModelShape)}
    return generated_model(ModelShape(**{key: value for key, value in keys.items() if key in known}))


def load_average() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def closed(repeats: int) -> None:
    print("\nClosed loop: requests a second of 32 streamed tokens, 128 tokens in")
    for concurrency, count in ((64, 6000), (1000, 6000)):
        ratios = []
        for _ in range(repeats):
            with servers() as stub:
                mine = seen(ours(stub, np.zeros(count), 32, concurrency))
                peer = theirs(stub, f"--max-concurrency {concurrency}", count, 32)
            line = f"  concurrency {concurrency:5d}  ours {mine.requests_s:7.0f}/s ({mine.failed} failed)"
            if peer is not None:
                ratios.append(mine.requests_s / peer.requests_s)
                line += f"  vllm bench serve {peer.requests_s:7.0f}/s ({peer.failed} failed)  ratio {ratios[-1]:.2f}"
            print(f"{line}  {load_average()}", flush=True)
        if ratios:
            print(f"  concurrency {concurrency:5d}  median ratio {np.median(ratios):.2f}")


def accuracy(repeats: int) -> None:
    rate, count = 200.0, 2000
    print(
        f"\nAccuracy at {rate:g} requests/s of 32 tokens: client − server's truth (TTFT from receipt to sending)"
    )
    for _ in range(repeats):
        arrivals = np.cumsum(np.random.default_rng(0).exponential(1 / rate, count))
        with servers(options="--ttft-ms 20 --itl-ms 5") as stub:
            mine = seen(ours(stub, arrivals - arrivals[0], 32))
            print(f"  ours              {difference(mine, stub.truth(31))}", flush=True)
            stub.reset()
            peer = theirs(stub, f"--request-rate {rate}", count, 32)
            if peer is not None:
                print(f"  vllm bench serve  {difference(peer, stub.truth(31))}", flush=True)


def difference(mine: Seen, truth: Truth) -> str:
    p50, p99 = (np.percentile(mine.ttft_ms, part) - np.percentile(truth.ttft_ms, part) for part in (50, 99))
    itl = mine.itl_ms - truth.itl_ms
    return f"TTFT p50 {p50:+6.2f} ms, p99 {p99:+7.2f} ms, ITL {itl:+.3f} ms  {mine.note}  {load_average()}"


def burst(repeats: int) -> None:
    count = 15_000
    print(f"\nBurst of {count} at t = 0: how long sending took, and mean TTFT beside the server's truth")
    for _ in range(repeats):
        with servers(options="--ttft-ms 20 --itl-ms 20 --capacity 256") as stub:
            outcome = ours(stub, np.zeros(count), 16)
            truth = stub.truth(15)
            since_start_s = (truth.first_s - outcome.t0_monotonic_s).mean()
            print(f"  ours              {sending(seen(outcome), truth)}")
            print(
                f"                    first tokens were sent {since_start_s:.2f} s after t = 0, mean",
                flush=True,
            )
            stub.reset()
            peer = theirs(stub, "", count, 16)
            if peer is not None:
                print(f"  vllm bench serve  {sending(peer, stub.truth(15))}", flush=True)


def sending(mine: Seen, truth: Truth) -> str:
    received_s = float(np.ptp(truth.received_s))
    sent = "" if mine.sending_s is None else f"sent in {mine.sending_s:.2f} s, "
    ttft, true = mine.ttft_ms.mean() / 1e3, truth.ttft_ms.mean() / 1e3
    return (
        f"{sent}received in {received_s:.2f} s, {mine.failed} failed, TTFT {ttft:.2f} s, truth {true:.2f} s "
        f"({100 * (ttft / true - 1):+.1f} %)  {mine.note}  {load_average()}"
    )


def streams(repeats: int) -> None:
    count, rate = 33_000, 1500.0
    print(f"\n{count} streams of 10 tokens offered at {rate:g}/s, each open for 25 s, two servers")
    for _ in range(repeats):
        with servers(2, "--ttft-ms 2000 --itl-ms 2600") as stub, watched() as memory:
            outcome = ours(stub, np.arange(count) / rate, 10)
        start, end = outcome.requests["arrival_s"].to_numpy(), outcome.requests["last_token_s"].to_numpy()
        at_once = max(
            int((start <= time_s).sum() - (end <= time_s).sum()) for time_s in np.arange(0, 60, 0.5)
        )
        mine = seen(outcome)
        print(
            f"  open at once {at_once}, {mine.failed} lost, {mine.note}, "
            f"max {outcome.facts['client_lag_max_ms']:.0f} ms, client memory {memory():.0f} MiB  {load_average()}",
            flush=True,
        )


@contextmanager
def watched() -> Iterator[Callable[[], float]]:
    """Give the largest memory, MiB, that this process's client processes had together."""
    import psutil

    most, over = 0.0, threading.Event()

    def look() -> None:
        nonlocal most
        while not over.wait(0.5):
            total = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    words = " ".join(child.cmdline())
                    client = "load_process" in words and "lifeline" not in words  # not its guard
                    total += child.memory_info().rss if client else 0
                except psutil.NoSuchProcess:
                    continue
            most = max(most, total / 2**20)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lambda: most
    finally:
        over.set()
        thread.join()


def main() -> None:
    parts = {"closed": closed, "accuracy": accuracy, "burst": burst, "streams": streams}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(parts), help="parts to run, separated by commas")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {load_average()}")
    start_s = time.monotonic()
    for name in options.only.split(","):
        parts[name](options.repeats)
    print(f"\n{time.monotonic() - start_s:.0f} s")


if __name__ == "__main__":
    main()
