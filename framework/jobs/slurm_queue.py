"""Slurm as a queue of jobs. Every command runs under a time limit: Slurm's clients may wait for ever.

`squeue` knows jobs for some minutes after they ended (`MinJobAge`), without an accounting database; `sacct`, where
there is one, knows them for months.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from framework.jobs.sbatch_script import sbatch_script
from framework.processes.job_queue import UNKNOWN, Batch, JobState, QueueError

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
_SHORTENED = 8
_SHELL_SIGNAL = 128  # a shell whose child a signal ended exits with that much more
_LISTING = ("JobArrayID:60|", "State:30|", "NodeList:250|", "Partition:100|", "Reason:100|", "exit_code:12|")
_SSH_FAILED = 255


def job_state(
    job_id: str, word: str, node: str = "", partition: str = "", reason: str = "", code: str = ""
) -> JobState:
    """Return what Slurm's word for a job's state means; `code` is how it ended, as Slurm writes that."""
    short = word if len(word) >= _SHORTENED else None  # sacct may cut a long word
    kinds = (kind for full, kind in _KINDS.items() if full == word or (short and full.startswith(short)))
    kind = next(kinds, "lost")
    if kind == "job_failed":
        reason = _end(code) or reason  # Slurm's own is `JobLaunchFailure` for a job that was killed
        kind = "killed" if reason == "SIGKILL" else kind
    return JobState(job_id, word, node, partition, reason, word in _ACTIVE, kind)


def _end(code: str) -> str:
    """Return what ended a job, its signal or exit status: squeue writes what `wait` gives, sacct `status:signal`."""
    status, colon, number = code.partition(":")
    if not status.isdigit():
        return ""
    ended, by = (int(status), int(number or 0)) if colon else (int(status) >> 8, int(status) & 0x7F)
    by = by or max(0, ended - _SHELL_SIGNAL)
    try:
        return signal.Signals(by).name if by else f"exit status {ended}" if ended else ""
    except ValueError:
        return f"exit status {ended}"


class SlurmQueue:
    """Slurm, through its client programs.

    Args:
        submit_via: words in front of each client command, for a machine that has none itself: `ssh login1`. The
            command follows as one word, quoted for a shell.
        options: keys of `hydra.launcher` that sbatch is given (`framework.jobs.launcher_conf`).
    """

    requeue = ("scontrol", "requeue")

    def __init__(self, submit_via: str | None = None, **options: Any) -> None:
        self.via = shlex.split(submit_via or "")
        self.options = options

    def submit(self, batch: Batch) -> list[str]:
        """Submit a batch as one array. Raises `QueueError` with sbatch's complaint."""
        script = batch.script.with_name("sbatch.sh")
        script.write_text(sbatch_script(batch, self.options))
        self._check_shared(script)
        done = self._client("sbatch", "--parsable", str(script))
        if done.returncode != 0:
            raise QueueError(f"sbatch: {_complaint(done.stderr)}")
        array = done.stdout.strip().splitlines()[-1].partition(";")[0] if done.stdout.strip() else ""
        if not array.isdigit():
            raise QueueError(f"sbatch: no job id in its answer {done.stdout.strip()!r}")
        return _ids(array, batch.count)

    def find(self, name: str, count: int) -> list[str]:
        """Return the jobs of the array of this name. Raises `QueueError`."""
        done = self._client("squeue", "--noheader", "--states=all", f"--name={name}", "--format=%F")
        if done.returncode != 0:
            raise QueueError(f"squeue: {_last_line(done.stderr)}")
        words = done.stdout.split()
        if not words:
            since = ("--starttime=now-30days", "--format=JobID")
            done = self._client(
                "sacct", "--noheader", "--parsable2", "--allocations", f"--name={name}", *since
            )
            words = done.stdout.split() if done.returncode == 0 else []
        return _ids(_array_id(words[0]), count) if words else []

    def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Return the state of each job; one that Slurm has forgotten is `UNKNOWN`.

        Raises:
            QueueError: there is no Slurm to ask, or its controller does not answer now.
        """
        wanted = set(job_ids)
        found: dict[str, JobState] = {}
        for some in _chunks(sorted({_array_id(job_id) for job_id in wanted})):
            found |= self._squeue(some)
        forgotten = sorted({_array_id(job_id) for job_id in wanted - set(found)})
        for some in _chunks(forgotten):
            found = {**self._sacct(some), **found}
        return {job_id: found.get(job_id, JobState(job_id)) for job_id in job_ids}

    def cancel(self, job_ids: Sequence[str]) -> None:
        """Cancel jobs, waiting or running. Raises `QueueError`."""
        for some in _chunks(sorted(job_ids)):
            done = self._client("scancel", "--quiet", *some)
            if done.returncode != 0:
                raise QueueError(f"scancel: {_last_line(done.stderr)}")

    def largest_array(self) -> int:
        """Return how many tasks an array may have on this cluster (`MaxArraySize`); 1000 if Slurm does not say."""
        try:
            config = self._client("scontrol", "show", "config").stdout
            found = re.search(r"MaxArraySize\s*=\s*(\d+)", config)
        except QueueError:
            found = None
        return max(1, int(found[1]) - 1) if found else 1000

    def _squeue(self, ids: Sequence[str]) -> dict[str, JobState]:
        """Ask for the jobs one knows of; an unknown id among several is left out, alone it is an error."""
        listing = f"--Format={','.join(_LISTING)}"
        done = self._client(
            "squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(ids)}", listing
        )
        if done.returncode != 0 and "Invalid job id" not in done.stderr:
            raise QueueError(f"squeue: {_last_line(done.stderr)}")
        return _parsed(done.stdout)

    def _sacct(self, ids: Sequence[str]) -> dict[str, JobState]:
        """Ask the accounting; a cluster without one knows nothing."""
        fields = "--format=JobID,State,NodeList,Partition,Reason,ExitCode"
        done = self._client(
            "sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={','.join(ids)}", fields
        )
        return _parsed(done.stdout) if done.returncode == 0 else {}

    def _check_shared(self, script: Path) -> None:
        if self.via and self._client("test", "-r", str(script)).returncode != 0:
            raise QueueError(
                f"'{shlex.join(self.via)}' sees no {script}: outputs_dir must be on a file system that both "
                "machines and the nodes share, under the same path"
            )

    def _client(self, *command: str) -> subprocess.CompletedProcess[str]:
        words = [*self.via, shlex.join(command)] if self.via else list(command)
        program = f"{shlex.join(self.via)} {command[0]}" if self.via else command[0]
        try:
            done = subprocess.run(
                words,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the launcher
            )
        except FileNotFoundError:
            where = "configuration key 'hydra.launcher.submit_via'" if self.via else "hydra/launcher=slurm"
            raise QueueError(
                f"'{words[0]}' not found: {where} needs "
                + (
                    "it"
                    if self.via
                    else "Slurm's client programs on this machine, or hydra.launcher.submit_via"
                )
            ) from None
        except subprocess.TimeoutExpired:
            raise QueueError(f"{program}: no answer within {TIMEOUT_S:.0f} s") from None
        if self.via and done.returncode == _SSH_FAILED:
            raise QueueError(f"{program}: {_last_line(done.stderr)}")
        return done


def _parsed(listing: str) -> dict[str, JobState]:
    states = {}
    for line in listing.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < len(_LISTING):
            continue
        job_id, state, node, partition, reason, code = cells[: len(_LISTING)]
        # sacct writes `CANCELLED by 1000`, and `None assigned` for the node of a job that never had one
        node, reason = ("" if text.startswith(("None", "(null)")) else text for text in (node, reason))
        word = state.split()[0].rstrip("+") if state else UNKNOWN
        for each in _tasks(job_id):
            states[each] = job_state(each, word, node, partition, reason, code)
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


def _ids(array: str, count: int) -> list[str]:
    return [f"{array}_{task}" for task in range(count)]


def _array_id(job_id: str) -> str:
    return job_id.partition("_")[0]


def _chunks(items: Sequence[str]) -> Iterable[Sequence[str]]:
    return (items[i : i + _IDS_PER_CALL] for i in range(0, len(items), _IDS_PER_CALL))


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "failed"


def _complaint(text: str) -> str:
    """Return the first line of what sbatch complains of, without its own name in front."""
    complaints = [line.partition("error:")[2].strip() for line in text.splitlines() if "error:" in line]
    return complaints[0] if complaints else _last_line(text)


def from_settings(settings: Mapping[str, Any], folder: Path) -> SlurmQueue:
    """Return Slurm as the keys of `hydra.launcher` describe it; it keeps nothing in the sweep's folder."""
    return SlurmQueue(**settings)
