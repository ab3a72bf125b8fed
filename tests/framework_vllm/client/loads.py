"""A stub server on loopback, and the few lines that every load of a test shares."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from framework_serving.tables import requests_in
from framework_vllm.client.load import run_load
from framework_vllm.client.load_contracts import LoadOutcome, LoadPlan, Progress, ShouldStop, Target

STUB = Path(__file__).parents[2] / "support" / "stub_server.py"

Serve = Callable[..., "Stub"]


class Stub:
    """A running stub server."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(STUB), *options], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.target = Target(self.url, "stub")

    def truth(self, outcome: LoadOutcome) -> dict[int, list[float]]:
        """By request: when it was received and when each token was sent, seconds from t = 0."""
        with urllib.request.urlopen(f"{self.url}/truth") as answer:
            seen: dict[str, list[float]] = json.load(answer)
        prefix = f"{outcome.facts['client_id_prefix']}-"
        return {
            int(key.removeprefix(prefix)): [time - outcome.t0_monotonic_s for time in times]
            for key, times in seen.items()
            if key.startswith(prefix)
        }

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def requests(
    arrivals: Sequence[float], inputs: int = 8, outputs: int = 6, adapters: Sequence[int | None] | None = None
) -> pa.Table:
    """A workload of equal requests."""
    n = len(arrivals)
    columns = [
        np.arange(n),
        np.asarray(arrivals, dtype=np.float64),
        np.full(n, inputs),
        np.full(n, outputs),
        pa.array(adapters or [None] * n, pa.int64()),
    ]
    return pa.table(columns, schema=requests_in())


class Streaming:
    """A progress display that notes when all of so many requests have begun to stream."""

    def __init__(self, requests: int) -> None:
        self.requests, self.begun = requests, False

    def __call__(self, fraction: float, text: str) -> None:
        self.begun |= f"{self.requests} streaming" in text


def load(
    table: pa.Table,
    *stubs: Stub,
    should_stop: ShouldStop = lambda: None,
    progress: Progress = lambda fraction, text: None,
    **keys: Any,
) -> LoadOutcome:
    """Run a load against stubs."""
    targets = tuple(stub.target for stub in stubs)
    plan = LoadPlan(table, targets, vocabulary=range(5, 1000), seed=0, **keys)
    return run_load(plan, progress, should_stop)


def statuses(outcome: LoadOutcome) -> dict[str, int]:
    """How many requests have each status."""
    found: dict[str, int] = {}
    for status in outcome.requests["status"].to_pylist():
        found[status] = found.get(status, 0) + 1
    return found
