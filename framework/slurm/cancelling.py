"""The verb `cancel`: end the jobs of a sweep that a launcher left, or is still watching."""

from __future__ import annotations

from framework.errors import StoreError
from framework.slurm.job_ledger import JobLedger, ledger_of, ledgers
from framework.slurm.queue import cancel_jobs, job_states


def cancel_sweep(sweep_id: str | None, outputs: str) -> int:
    """Cancel a sweep's jobs and say how many; without an id, those of the one sweep that has any.

    Raises:
        StoreError: no such sweep, or several have jobs and none is named.
        SlurmError: Slurm can't be asked.
    """
    asked = [ledger_of(outputs, sweep_id)] if sweep_id is not None else ledgers(outputs)
    active = {ledger.sweep_id: found for ledger in asked if (found := _active(ledger))}
    if not active:
        print(f"no waiting or running jobs of {sweep_id or 'any sweep'}")
        return 0
    if len(active) > 1:
        raise StoreError(f"several sweeps have jobs; name one: {', '.join(sorted(active))}")
    for name, job_ids in active.items():
        cancel_jobs(job_ids)
        print(
            f"{name}: {len(job_ids)} jobs cancelled; to run the missing points, repeat the command of the sweep"
        )
    return 0


def _active(ledger: JobLedger) -> list[str]:
    states = job_states([job.job_id for job in ledger.jobs.values()])
    return [job_id for job_id, state in states.items() if state.active]
