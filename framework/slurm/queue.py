"""What Slurm says of its jobs. Every command runs under a time limit: Slurm's clients may wait for ever.

`squeue` knows jobs for some minutes after they ended (`MinJobAge`), without an accounting database; `sacct`, where
there is one, knows them for months.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from framework.errors import UserError

TIMEOUT_S = 30.0
_IDS_PER_CALL = 500
_WAITING = (
    "PENDING",
    "CONFIGURING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "SPECIAL_EXIT",
    "RESV_DEL_HOLD",
)
_AT_WORK = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT")
_ACTIVE = frozenset((*_WAITING, *_AT_WORK))
_KINDS = {
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
    "NODE_FAIL": "node_failure",
    "BOOT_FAIL": "node_failure",
    "PREEMPTED": "preempted",
    "OUT_OF_MEMORY": "out_of_memory",
    "FAILED": "job_failed",
    "COMPLETED": "no_result",
}
UNKNOWN = "UNKNOWN"
_SHORTENED = 8


class SlurmError(UserError):
    """Slurm can't be asked: no client commands, or the controller does not answer."""


@dataclass(frozen=True)
class JobState:
    """A job as Slurm sees it.

    Attributes:
        job_id: `123`, or `123_4` for a task of an array.
        state: Slurm's word (`PENDING`, `RUNNING`, `TIMEOUT` …); `UNKNOWN` for a job it has forgotten.
        node, partition, reason: as Slurm prints them; empty where there is none.
    """

    job_id: str
    state: str = UNKNOWN
    node: str = ""
    partition: str = ""
    reason: str = ""

    @property
    def active(self) -> bool:
        """Whether the job waits or runs."""
        return self.state in _ACTIVE

    @property
    def failure_kind(self) -> str:
        """What to call the end of a job that left no result."""
        short = self.state if len(self.state) >= _SHORTENED else None  # sacct may cut a long word
        named = (
            kind for word, kind in _KINDS.items() if word == self.state or (short and word.startswith(short))
        )
        return next(named, "lost")


def job_states(job_ids: Sequence[str]) -> dict[str, JobState]:
    """Return the state of each job; one that Slurm has forgotten is `UNKNOWN`.

    Raises:
        SlurmError: there is no Slurm to ask, or its controller does not answer now.
    """
    wanted = set(job_ids)
    found: dict[str, JobState] = {}
    for some in _chunks(sorted({_array_id(job_id) for job_id in wanted})):
        found |= _squeue(some)
    forgotten = sorted({_array_id(job_id) for job_id in wanted - set(found)})
    for some in _chunks(forgotten):
        found = {**_sacct(some), **found}
    return {job_id: found.get(job_id, JobState(job_id)) for job_id in job_ids}


def cancel_jobs(job_ids: Iterable[str]) -> None:
    """Cancel jobs, waiting or running. Raises `SlurmError`."""
    for some in _chunks(sorted(job_ids)):
        done = _client("scancel", "--quiet", *some)
        if done.returncode != 0:
            raise SlurmError(f"scancel: {_last_line(done.stderr)}")


def largest_array() -> int:
    """Return how many tasks an array may have on this cluster (`MaxArraySize`); 1000 if Slurm does not report it."""
    try:
        found = re.search(r"MaxArraySize\s*=\s*(\d+)", _client("scontrol", "show", "config").stdout)
    except SlurmError:
        found = None
    return max(1, int(found[1]) - 1) if found else 1000


def _squeue(ids: Sequence[str]) -> dict[str, JobState]:
    """Ask for the jobs one knows of; an unknown id among several is left out, alone it is an error."""
    listing = "--format=%i|%T|%N|%P|%r"
    done = _client("squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(ids)}", listing)
    if done.returncode != 0 and "Invalid job id" not in done.stderr:
        raise SlurmError(f"squeue: {_last_line(done.stderr)}")
    return _parsed(done.stdout)


def _sacct(ids: Sequence[str]) -> dict[str, JobState]:
    """Ask the accounting; a cluster without one knows nothing."""
    fields = "--format=JobID,State,NodeList,Partition,Reason"
    done = _client("sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={','.join(ids)}", fields)
    return _parsed(done.stdout) if done.returncode == 0 else {}


def _parsed(listing: str) -> dict[str, JobState]:
    states = {}
    for line in listing.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 5:
            continue
        job_id, state, node, partition, reason = cells[:5]
        # sacct writes `CANCELLED by 1000`, and `None assigned` for the node of a job that never had one
        node, reason = ("" if text.startswith(("None", "(null)")) else text for text in (node, reason))
        word = state.split()[0].rstrip("+") if state else UNKNOWN
        for each in _tasks(job_id):
            states[each] = JobState(each, word, node, partition, reason)
    return states


def _tasks(job_id: str) -> list[str]:
    """Return the ids that `36_[2-4,7%2]` stands for: tasks of an array that never started are listed in one line."""
    array, bracket, listed = job_id.partition("_[")
    if not bracket:
        return [job_id]
    tasks: list[str] = []
    for part in listed.rstrip("]").partition("%")[0].split(","):
        first, dash, last = part.partition("-")
        last, _, step = last.partition(":")
        if not first.isdigit() or (dash and not last.isdigit()):
            continue
        numbers = range(int(first), int(last or first) + 1, int(step or 1))
        tasks += [f"{array}_{number}" for number in numbers]
    return tasks


def _array_id(job_id: str) -> str:
    return job_id.partition("_")[0]


def _chunks(items: Sequence[str]) -> Iterable[Sequence[str]]:
    return (items[i : i + _IDS_PER_CALL] for i in range(0, len(items), _IDS_PER_CALL))


def _client(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            start_new_session=True,  # Ctrl-C is for the launcher
        )
    except FileNotFoundError:
        raise SlurmError(
            f"'{command[0]}' not found: hydra/launcher=slurm needs Slurm's client programs on this machine"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]}: no answer within {TIMEOUT_S:.0f} s") from None


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "failed"
