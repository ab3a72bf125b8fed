"""One client process: takes its share over a pipe, gets ready, waits for the common t = 0, runs, reports.

Started as `python -m framework_vllm.client.workers.load_process FD`. It ends when its parent does: the pipe closes.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import sys
from math import inf
from multiprocessing.connection import Connection as Pipe

from framework.errors import UserError
from framework_vllm.client.load_loop import LoadLoop, LoopRules
from framework_vllm.client.outbox import Outbox
from framework_vllm.client.prompts import PromptMaker
from framework_vllm.client.request_ledger import Ledger, LoopReport
from framework_vllm.client.send_times import LinkedLoop, OpenLoop, Schedule
from framework_vllm.client.wire.connections import ConnectionPool
from framework_vllm.client.wire.request_bytes import Endpoint, RequestEncoder
from framework_vllm.client.workers.board import Board
from framework_vllm.client.workers.load_task import LoadTask, Ready, Refused, Start, Stop
from framework_vllm.client.workers.shares import descriptor_limit

NICE = -10


def main(pipe_fd: int) -> None:
    """Serve one load."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    with contextlib.suppress(OSError):  # only some may: a client late for want of a core measures itself
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    limit = descriptor_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    pipe = Pipe(pipe_fd)
    try:
        task = pipe.recv()
        try:
            loop = build(task, pipe)
        except UserError as error:
            pipe.send(Refused(str(error)))
            return
        loop.prepare(task.prepare_limit_s)
        pipe.send(Ready())
        start = pipe.recv()
        if isinstance(start, Start):
            pipe.send(_run(loop, start.t0_monotonic_s))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has gone


def build(task: LoadTask, pipe: Pipe) -> LoadLoop:
    """Put the parts of a client process together; raises `LoadError`."""
    share = task.share
    rows, tokens, processes, targets, fd = task.board
    board = Board(rows, tokens, processes, targets, fd)
    schedule: Schedule
    arrivals_s = share.arrivals_s.tolist()
    if task.linked:
        schedule = LinkedLoop(share.rows, arrivals_s, task.users, share.following, share.think_s)
    else:
        schedule = OpenLoop(share.rows, arrivals_s)
    encoder = RequestEncoder(task.targets, task.adapter_names, task.dialect, task.extra_body, task.id_prefix)
    prompts = PromptMaker(task.vocabulary, task.seed, task.prefix_block_tokens)
    poller = select.epoll()
    endpoints = [Endpoint.of(target.url) for target in task.targets]

    def told_to_stop() -> bool:
        try:
            return isinstance(pipe.recv(), Stop)
        except (EOFError, ConnectionResetError):
            os._exit(1)  # no process is left to report to

    rules = LoopRules(
        inf if task.horizon_s is None else task.horizon_s,
        task.request_timeout_s,
        task.retries,
        task.least_load,
    )
    outbox = Outbox(share, encoder, prompts, board.view("attempts"))
    pool = ConnectionPool(endpoints, poller, share.process)
    ledger = Ledger(board, share.process)
    control = (pipe.fileno(), told_to_stop)
    return LoadLoop(ledger, schedule, outbox, pool, poller, control, targets, rules)


def _run(loop: LoadLoop, t0_monotonic_s: float) -> LoopReport:
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection among 30,000 connections takes longer than a token
    return loop.run(t0_monotonic_s)


if __name__ == "__main__":
    main(int(sys.argv[1]))
