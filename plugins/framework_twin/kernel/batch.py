"""Run thousands of configurations over all cores.

A *task* is a picklable function of one configuration: it builds the inputs, simulates and returns a small result, so
that neither requests nor outputs travel between processes. Results come back as they are ready, with the
configuration's index.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from framework.errors import UserError

Configuration = TypeVar("Configuration")
Result = TypeVar("Result")

POOL_PAYS_AFTER_S = 2.0
"""A pool costs about a second of start-up per core; work expected to be done sooner stays in this process."""
_PROBES = 2
"""Runs in this process that measure the cost of one; the first may compile the kernel."""
_CHUNK_S = 0.5
"""Seconds of work that a process gets at once."""
_MOST_PER_CHUNK = 256


@dataclass(frozen=True)
class Refusal:
    """A configuration that can't be simulated, and why (one line)."""

    reason: str


@dataclass(frozen=True)
class BatchItem(Generic[Result]):
    """The outcome of one configuration.

    Attributes:
        index: the configuration's place in the sequence given.
        outcome: what the task returned, or a `Refusal` if it raised a UserError.
    """

    index: int
    outcome: Result | Refusal


def run_batch(
    task: Callable[[Configuration], Result],
    configurations: Sequence[Configuration],
    *,
    workers: int | None = None,
) -> Iterator[BatchItem[Result]]:
    """Yield the outcome of every configuration, in no particular order, as soon as it is known.

    Args:
        task: function of one configuration, importable from its module.
        configurations: what to run.
        workers: processes; None for one per core this process may use.

    Raises:
        Exception: whatever a task raises other than a UserError, naming the configuration.
    """
    todo = list(range(len(configurations)))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = cores if workers is None else workers
    run_s: list[float] = []
    while todo and (workers == 1 or len(run_s) < _PROBES or run_s[-1] * len(todo) < POOL_PAYS_AFTER_S):
        index = todo.pop(0)
        began_s = time.perf_counter()
        yield _run_one(task, index, configurations[index])
        run_s.append(time.perf_counter() - began_s)
    if todo:
        for items in _run_in_pool(task, configurations, todo, workers, run_s[-1]):
            yield from items


def _run_in_pool(
    task: Callable[[Configuration], Result],
    configurations: Sequence[Configuration],
    todo: list[int],
    workers: int,
    seconds_each: float,
) -> Iterator[list[BatchItem[Result]]]:
    size = max(1, min(int(_CHUNK_S / max(seconds_each, 1e-6)), _MOST_PER_CHUNK, -(-len(todo) // workers)))
    chunks = (todo[start : start + size] for start in range(0, len(todo), size))
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    pool = ProcessPoolExecutor(min(workers, -(-len(todo) // size)), mp_context=context)
    pending: set[Future[list[BatchItem[Result]]]] = set()
    try:
        while True:
            # Two chunks a process keep all busy; more would only hold memory.
            while len(pending) < 2 * workers and (chunk := next(chunks, None)):
                pending.add(pool.submit(_run_chunk, task, [(i, configurations[i]) for i in chunk]))
            if not pending:
                break
            ready, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in ready:
                yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_chunk(
    task: Callable[[Configuration], Result], chunk: list[tuple[int, Configuration]]
) -> list[BatchItem[Result]]:
    return [_run_one(task, index, configuration) for index, configuration in chunk]


def _run_one(
    task: Callable[[Configuration], Result], index: int, configuration: Configuration
) -> BatchItem[Result]:
    try:
        return BatchItem(index, task(configuration))
    except UserError as error:
        return BatchItem(index, Refusal(str(error)))
    except Exception as error:
        error.add_note(f"while simulating configuration {index}: {configuration!r}"[:500])
        raise
