"""The verb `cancel`: end the jobs of a sweep that a launcher left, or is still watching."""

from __future__ import annotations

from pathlib import Path

from framework.errors import StoreError, did_you_mean
from framework.jobs.batch_folder import batches_folder
from framework.jobs.job_ledger import JobLedger, ledgers
from framework.jobs.known_queues import queue_named
from framework.jobs.submission import cancel_jobs, settle_open_batches
from framework.processes.job_queue import JobQueue
from framework.store.side_files.sweep_plans import read_plans
from framework.sweep.sharing.launchers import Launcher, launchers_at_work


def cancel_sweep(sweep_id: str | None, outputs: str) -> int:
    """Cancel a sweep's jobs, or end the process of this machine that carries it out; say what was done.

    Without an id: the one sweep that is under way.

    Returns:
        0; 1 if a process does not end.

    Raises:
        StoreError: no such sweep, nothing to cancel, or several are under way and none is named.
        QueueError: the queue can't be asked.
    """
    at_work = [launcher for launcher in launchers_at_work(outputs) if sweep_id in (None, launcher.sweep_id)]
    known = {ledger.sweep_id: ledger for ledger in ledgers(outputs) if sweep_id in (None, ledger.sweep_id)}
    if sweep_id is not None and not at_work and not known:
        plans = [plan.sweep_id for plan in read_plans(Path(outputs))]
        if sweep_id not in plans:
            raise StoreError(f"no sweep '{sweep_id}' in {outputs}{did_you_mean(sweep_id, plans)}")
    active = {name: found for name, ledger in known.items() if (found := _active(ledger, outputs))[1]}
    local = [launcher for launcher in at_work if launcher.sweep_id not in active]
    under_way = {*active, *(launcher.sweep_id for launcher in local)}
    if not under_way:
        raise StoreError(f"nothing to cancel: no waiting or running jobs of {sweep_id or 'any sweep'}")
    if len(under_way) > 1:
        raise StoreError(f"several sweeps have jobs; name one: {', '.join(sorted(under_way))}")
    for name, (queue, job_ids) in active.items():
        jobs = [job for job in known[name].jobs.values() if job.job_id in job_ids]
        cancel_jobs(queue, batches_folder(outputs, name), jobs)
        print(
            f"{name}: {len(job_ids)} jobs cancelled; to run the missing points, repeat the command of the sweep"
        )
    return _cancel_local(local)


def _cancel_local(launchers: list[Launcher]) -> int:
    """End the processes that carry out a sweep here; a launcher of Slurm jobs is not one of them: its jobs are."""
    status = 0
    for launcher in launchers:
        ended = launcher.end()
        words = "ended; finished runs are kept" if ended else "does not end; it has been asked to"
        print(f"{launcher.sweep_id}: process {launcher.pid} {words}; the same command resumes")
        status = status if ended else 1
    return status


def _active(ledger: JobLedger, outputs: str) -> tuple[JobQueue, list[str]]:
    room = batches_folder(outputs, ledger.sweep_id)
    queue = queue_named(ledger.queue, room)
    if ledger.open_batches:
        with ledger.submitting():
            settle_open_batches(ledger, queue, room)
    states = queue.states(sorted({job.job_id for job in ledger.jobs.values()}))
    return queue, [job_id for job_id, state in states.items() if state.active]
