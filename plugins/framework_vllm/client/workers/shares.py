"""How a load is divided among client processes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from framework_vllm.client.load_contracts import LoadPlan

    IntArray = npt.NDArray[np.int64]
    FloatArray = npt.NDArray[np.float64]

TOKENS_S_PER_PROCESS: Final = 50_000
"""Streamed tokens a second that one process is given: a third of what one core was measured to take
(docs/load_client.md), so that it is rarely late."""

REQUESTS_S_PER_PROCESS: Final = 2_000
SLOTS_PER_PROCESS: Final = 4_000
MOST_PROCESSES: Final = 16
_SPARE_DESCRIPTORS: Final = 200
_PORTS: Final = 28_000  # Linux hands out 32768–60999 to one pair of addresses


@dataclass(frozen=True)
class LoadShare:
    """The requests of one client process.

    Rows are distributed in rounds of one a target, which itself is the row mod targets: every process sees the same
    mix of requests, and every target.

    Attributes:
        process, processes: this one's number, and how many there are.
        targets: how many servers there are.
        rows: its rows of the board, in order of arrival.
        request_ids, arrivals_s, input_tokens, output_tokens: columns of its rows.
        adapters: adapter ids; -1 is the base model.
        hashes: prefix blocks of each prompt; None if the workload names none.
        following: row → the row of the next turn of its session.
        think_s: row → pause of its user after it.
    """

    process: int
    processes: int
    targets: int
    rows: Sequence[int]
    request_ids: IntArray
    arrivals_s: FloatArray
    input_tokens: IntArray
    output_tokens: IntArray
    adapters: IntArray
    hashes: Sequence[Sequence[int] | None] | None
    following: Mapping[int, int] = field(default_factory=dict)
    think_s: Mapping[int, float] = field(default_factory=dict)

    def place(self, row: int) -> int:
        """Return where a row is in its columns."""
        return row // (self.targets * self.processes) * self.targets + row % self.targets


def divide(plan: LoadPlan, processes: int) -> list[LoadShare]:
    """Return the share of each process."""
    import numpy as np
    import pyarrow.compute as pc

    requests = plan.requests
    columns = [
        requests[name].to_numpy() for name in ("request_id", "arrival_s", "input_tokens", "output_tokens")
    ]
    columns.append(np.asarray(pc.fill_null(requests["adapter_id"], -1).to_numpy()))
    targets = len(plan.targets)
    holders = holder(np.arange(len(requests)), targets, processes)
    following = _following(plan)
    thought_s = requests["think_s"].to_numpy() if "think_s" in requests.column_names else None
    shares = []
    for process in range(processes):
        rows = np.flatnonzero(holders == process)
        hashes = None
        if "prefix_block_hashes" in requests.column_names:
            hashes = requests["prefix_block_hashes"].take(rows).to_pylist()
        ids, arrivals, inputs, outputs, adapters = (column[rows] for column in columns)
        think_s = (
            dict(zip(rows.tolist(), thought_s[rows].tolist(), strict=True)) if thought_s is not None else {}
        )
        shares.append(
            LoadShare(
                process,
                processes,
                targets,
                rows.tolist(),
                ids,
                arrivals,
                inputs,
                outputs,
                adapters,
                hashes,
                following,
                think_s,
            )
        )
    return shares


def _following(plan: LoadPlan) -> dict[int, int]:
    """Return which row follows which. Request ids are rows in a workload; a table may have others all the same."""
    if "follows" not in plan.requests.column_names:
        return {}
    ids = {identity: row for row, identity in enumerate(plan.requests["request_id"].to_pylist())}
    before = plan.requests["follows"].to_pylist()
    return {ids[identity]: row for row, identity in enumerate(before) if identity is not None}


def holder(rows: IntArray, targets: int, processes: int) -> IntArray:
    """Return which process holds each row."""
    return rows // targets % processes


def process_count(plan: LoadPlan, descriptors: int | None = None) -> int:
    """Return how many client processes a plan gets if it does not say.

    Enough for the tokens and requests offered in the busiest tenth of the load, and for as many sockets as can be
    open at once (all of them, since nothing is known of the server); but for the sockets, not more than the
    machine has cores. A load of sessions gets one: the process that sees an answer sends the next turn.

    Args:
        plan: the load.
        descriptors: open files a process may have; None asks the system.
    """
    import numpy as np

    if descriptors is None:
        descriptors = descriptor_limit()
    total = plan.requests.num_rows
    sockets_each = max(1, min(descriptors - _SPARE_DESCRIPTORS, _PORTS * len(plan.targets)))
    if plan.has_sessions:
        return 1
    if plan.concurrency is not None:
        wanted = -(-plan.concurrency // SLOTS_PER_PROCESS)
        sockets = min(plan.concurrency, total)
    else:
        arrivals = plan.requests["arrival_s"].to_numpy()
        tokens = plan.requests["output_tokens"].to_numpy()
        window_s = max(float(arrivals[-1] - arrivals[0]) / 10, 1.0)
        counts, edges = np.histogram(
            arrivals, bins=np.arange(arrivals[0], arrivals[-1] + 2 * window_s, window_s)
        )
        sums, _ = np.histogram(arrivals, bins=edges, weights=tokens)
        requests_s, tokens_s = counts.max() / window_s, sums.max() / window_s
        wanted = int(max(requests_s / REQUESTS_S_PER_PROCESS, tokens_s / TOKENS_S_PER_PROCESS)) + 1
        sockets = min(total, int(requests_s * plan.request_timeout_s) + 1)
    needed: int = min(-(-sockets // sockets_each), MOST_PROCESSES)
    count: int = max(1, min(total, max(min(wanted, os.cpu_count() or 1), needed)))
    return count


def descriptor_limit() -> int:
    """Return how many files a process may have open once it has raised its own limit to the most allowed."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard if hard != resource.RLIM_INFINITY else 2**20
