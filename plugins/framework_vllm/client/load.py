"""Runs a load: starts client processes, gives them their t = 0, watches, and gathers what they saw."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from framework_vllm.client.load_contracts import (
    LoadError,
    LoadOutcome,
    LoadPlan,
    Progress,
    SaturationRule,
    ShouldStop,
)
from framework_vllm.client.load_result import Ending, outcome
from framework_vllm.client.plan_check import check_plan
from framework_vllm.client.request_ledger import LoopReport
from framework_vllm.client.saturation import Saturation, judge
from framework_vllm.client.warm_up import warm_up
from framework_vllm.client.workers.board import FAILED, FINISHED, PENDING, REFUSED, STREAMING, Board
from framework_vllm.client.workers.load_task import LoadTask, Ready, Refused, Start, Stop
from framework_vllm.client.workers.shares import divide, process_count
from framework_vllm.client.workers.worker_processes import ClientProcess

_POLL_S: Final = 0.1
_JUDGE_EVERY_S: Final = 1.0
_START_IN_S: Final = 0.1
_PREPARE_LIMIT_S: Final = 60.0
_GATHER_LIMIT_S: Final = 60.0


def run_load(plan: LoadPlan, progress: Progress, should_stop: ShouldStop) -> LoadOutcome:
    """Send a plan's requests to its servers and return what became of each.

    Args:
        plan: what to send.
        progress: called with the progress.
        should_stop: polled about ten times a second; see `ShouldStop`.

    Raises:
        LoadError: nothing could be sent: a bad plan, an unknown host, a warm-up that failed, a lost process.
    """
    check_plan(plan)
    dialect = warm_up(plan, progress, should_stop, execute)
    return execute(dataclasses.replace(plan, dialect=dialect), progress, should_stop)


def execute(plan: LoadPlan, progress: Progress, should_stop: ShouldStop) -> LoadOutcome:
    """Run a checked plan whose dialect is known, without a warm-up."""
    processes = plan.processes or process_count(plan)
    if plan.concurrency is not None:
        processes = min(processes, plan.concurrency)
    processes = min(processes, -(-plan.requests.num_rows // len(plan.targets)))
    room = plan.requests["output_tokens"].to_numpy()
    board = Board(plan.requests.num_rows, int(room.sum()), processes, len(plan.targets))
    try:
        board.reset(room)
        id_prefix = f"load-{os.urandom(4).hex()}"
        clients = [ClientProcess(board.fd) for _ in range(processes)]
        try:
            for client, task in zip(clients, _tasks(plan, board, id_prefix), strict=True):
                client.send(task)
            _wait_until_ready(clients, progress, should_stop)
            t0_s = time.monotonic() + _START_IN_S
            for client in clients:
                client.send(Start(t0_s))
            watch = _Watch(plan, board, t0_s, progress, should_stop)
            ending = watch.follow(clients)
            reports = _gather(clients)
        finally:
            for client in clients:
                client.end()
        return outcome(plan, board, t0_s, ending, reports, id_prefix)
    finally:
        board.close()


def _tasks(plan: LoadPlan, board: Board, id_prefix: str) -> Sequence[LoadTask]:
    processes = board.processes
    return [
        LoadTask(
            share=share,
            board=(board.rows, board.tokens, processes, board.targets, board.fd),
            targets=plan.targets,
            adapter_names=dict(plan.adapter_names),
            vocabulary=plan.vocabulary,
            seed=plan.seed,
            prefix_block_tokens=plan.prefix_block_tokens,
            dialect="vllm" if plan.dialect == "auto" else plan.dialect,
            extra_body=dict(plan.extra_body),
            id_prefix=id_prefix,
            users=None if plan.concurrency is None else _users(plan.concurrency, share.process, processes),
            linked=plan.linked,
            horizon_s=plan.horizon_s,
            request_timeout_s=plan.request_timeout_s,
            retries=plan.retries,
            least_load=plan.routing == "least_load",
            prepare_limit_s=_PREPARE_LIMIT_S,
        )
        for share in divide(plan, processes)
    ]


def _users(concurrency: int, process: int, processes: int) -> int:
    return concurrency // processes + (process < concurrency % processes)


def _wait_until_ready(clients: Sequence[ClientProcess], progress: Progress, should_stop: ShouldStop) -> None:
    """Wait until every process has made its prompts and opened its connections."""
    for number, client in enumerate(clients):
        while not client.poll(_POLL_S):
            progress(0.0, f"client process {number + 1} of {len(clients)} starting")
            cause = should_stop()
            if cause is not None:
                raise LoadError(f"stopped before the first request was sent: {cause}")
        try:
            message = client.receive()
        except LoadError as gone:
            raise LoadError(f"client process {number + 1} ended: {gone}") from None
        if isinstance(message, Refused):
            raise LoadError(message.reason)
        if not isinstance(message, Ready):
            raise LoadError("client process ended before it was ready")


def _gather(clients: Sequence[ClientProcess]) -> list[LoopReport | str]:
    """Return what each process reports, or how it was lost. What it saw is on the board all the same."""
    until = time.monotonic() + _GATHER_LIMIT_S
    reports: list[LoopReport | str] = []
    for client in clients:
        try:
            message = client.receive() if client.poll(max(0.0, until - time.monotonic())) else "no answer"
        except LoadError as lost:
            message = str(lost)
        reports.append(message if isinstance(message, LoopReport) else str(message))
    return reports


@dataclass
class _Watch:
    """Follows a load on its board until it is over."""

    plan: LoadPlan
    board: Board
    t0_s: float
    progress: Progress
    should_stop: ShouldStop

    def follow(self, clients: Sequence[ClientProcess]) -> Ending:
        """Return how the load ended, after informing every process."""
        saturation: Saturation | None = None
        judged_s = 0.0
        while not all(client.poll(0.0) for client in clients):
            time.sleep(_POLL_S)
            now_s = time.monotonic() - self.t0_s
            self._show(now_s)
            cause = self.should_stop()
            if cause is not None:
                return self._stop(clients, Ending(now_s, cause, saturation))
            rule = self.plan.saturation
            if rule is not None and now_s - judged_s >= _JUDGE_EVERY_S:
                judged_s = now_s
                saturation = self._judge(now_s, rule)
                if saturation.saturated:
                    return self._stop(clients, Ending(now_s, None, saturation))
        return Ending(self.plan.horizon_s, None, saturation)

    def _stop(self, clients: Sequence[ClientProcess], ending: Ending) -> Ending:
        for client in clients:
            with contextlib.suppress(LoadError):  # one that has gone has stopped
                client.send(Stop())
        return ending

    def _show(self, now_s: float) -> None:
        state = self.board.array("state")
        done = int((state >= FINISHED).sum())
        failed = int(((state == FAILED) | (state == REFUSED)).sum())
        streaming, pending = int((state == STREAMING).sum()), int((state == PENDING).sum())
        waiting = self.board.rows - done - streaming - pending
        fraction = done / self.board.rows
        if self.plan.horizon_s is not None:
            fraction = max(fraction, min(1.0, now_s / self.plan.horizon_s))
        text = f"{done} of {self.board.rows} served, {streaming} streaming, {waiting} waiting"
        self.progress(fraction, text + (f", {failed} failed" if failed else ""))

    def _judge(self, now_s: float, rule: SaturationRule) -> Saturation:
        import numpy as np

        due_s = self.board.array("due_s")
        sent = np.isfinite(due_s)
        return judge(due_s[sent], self.board.array("first_s")[sent], now_s, rule)
