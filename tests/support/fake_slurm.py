"""A stand-in for Slurm's client programs: it keeps its queue in a folder, and carries jobs out on this machine.

`install` puts `sbatch`, `squeue`, `sacct`, `scancel` and `scontrol` into a folder. With it in PATH and
`FAKE_SLURM` naming the folder of the queue, they answer as the real ones do, as far as the launcher asks. The file
`ends` says what becomes of the jobs, one line a job of each array: `run` carries it out; a state of Slurm (`PENDING`,
`TIMEOUT` …) is where it stays, without having run; `raise TEXT` leaves a result that says so, `torn` half a result.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

CLIENTS = ("sbatch", "squeue", "sacct", "scancel", "scontrol")


class FakeSlurm:
    """The queue as a test sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def will_end(self, *ends: str) -> None:
        """Say what becomes of the jobs of every array from now on; without words, all are carried out."""
        (self.folder / "ends").write_text("\n".join(ends))

    def refuse(self, complaint: str) -> None:
        """Have `sbatch` refuse jobs with this complaint."""
        (self.folder / "refused").write_text(complaint)

    def forget(self) -> None:
        """Drop the queue's memory: from now on only a job's own result says what became of it."""
        for job in self.jobs():
            (self.folder / "jobs" / job).unlink()

    def set_all(self, state: str) -> None:
        """Bring all jobs into a state."""
        for job in self.jobs():
            _set(self.folder, job, state)

    def jobs(self) -> dict[str, str]:
        """Return the state of each job, in order of submission."""
        files = [file for file in (self.folder / "jobs").iterdir() if file.suffix != ".part"]
        files.sort(key=lambda file: tuple(map(int, file.name.split("_"))))
        return {file.name: file.read_text() for file in files}

    def ended(self, limit_s: float = 30) -> dict[str, str]:
        """Return the states once no job runs: a result may be there before the shell around its job notes the end."""
        until = time.monotonic() + limit_s
        while "RUNNING" in self.jobs().values() and time.monotonic() < until:
            time.sleep(0.05)
        return self.jobs()


def install(programs: Path, folder: Path) -> FakeSlurm:
    """Put the clients into a folder of programs; return the queue that they keep in `folder`."""
    (folder / "jobs").mkdir(parents=True)
    programs.mkdir(exist_ok=True)
    for name in CLIENTS:
        client = programs / name
        client.write_text(f'#!/bin/sh\nexec {sys.executable} -S {Path(__file__).resolve()} {name} "$@"\n')
        client.chmod(0o755)
    return FakeSlurm(folder)


def _set(folder: Path, job: str, state: str) -> None:
    (folder / "jobs" / f"{job}.part").write_text(state)
    (folder / "jobs" / f"{job}.part").replace(folder / "jobs" / job)


def _sbatch(folder: Path, script: Path) -> int:
    if (folder / "refused").exists():
        print(f"sbatch: error: {(folder / 'refused').read_text()}", file=sys.stderr)
        return 1
    text = script.read_text()
    number = 1 + max((int(file.name.split("_")[0]) for file in (folder / "jobs").iterdir()), default=0)
    array = re.search(r"#SBATCH --array='?0-(\d+)", text)
    name = re.search(r"#SBATCH --job-name='?(\S+)", text)
    assert array is not None
    assert name is not None
    (folder / "names").mkdir(exist_ok=True)
    (folder / "names" / name[1]).write_text(str(number))
    ends = (folder / "ends").read_text().splitlines() if (folder / "ends").exists() else []
    for task in range(int(array[1]) + 1):
        job = f"{number}_{task}"
        end = ends[task] if task < len(ends) else "run"
        if end == "run":
            _carry_out(folder, script, job, number, task)
        elif end.startswith(("raise ", "torn")):
            _leave(script.parent, task, end.removeprefix("raise "))
            _set(folder, job, "COMPLETED")
        else:
            _set(folder, job, end)
    print(number)
    return 0


def _leave(batch: Path, task: int, words: str) -> None:
    """Leave what a task's own Python would, had it raised; or half of it."""
    for point in json.loads((batch / "tasks.json").read_text())["tasks"][task]:
        kind, _, message = words.partition(": ")
        failure = {"stage": "launcher", "kind": kind, "message": message or kind}
        text = json.dumps({"failure": failure})
        file = batch / "results" / f"{point['index']}.{point['repeat']}.json"
        file.write_text(text[:9] if words == "torn" else text)


def _carry_out(folder: Path, script: Path, job: str, number: int, task: int) -> None:
    """Start a job's script in the background; its end is noted by the shell around it."""
    of_job = {
        "SLURM_JOB_ID": str(number), "SLURM_JOB_NODELIST": "node-1", "SLURM_NODELIST": "node-1",
        "SLURM_JOB_PARTITION": "debug", "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NODEID": "0",
        "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURMD_NODENAME": "node-1",
        "SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(task),
    }  # fmt: skip
    _set(folder, job, "RUNNING")
    state = folder / "jobs" / job
    logs = f">>{script.parent}/{task}.out 2>>{script.parent}/{task}.err"
    ended = f"bash {script} {logs} && word=COMPLETED || word=FAILED"
    subprocess.Popen(
        ["sh", "-c", f"{ended}; printf $word > {state}.part && mv {state}.part {state}"],
        env={**os.environ, **of_job},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _squeue(folder: Path, words: list[str]) -> int:
    named = next((word.removeprefix("--name=") for word in words if word.startswith("--name=")), None)
    if named is not None:
        file = folder / "names" / named
        if file.exists():
            print(file.read_text())
        return 0
    wanted = next(word for word in words if word.startswith("--jobs=")).removeprefix("--jobs=").split(",")
    for job, state in FakeSlurm(folder).jobs().items():
        if job.split("_")[0] in wanted:
            node = "" if state == "PENDING" else "node-1"
            print(f"{job}|{state}|{node}|debug|None|{'256' if state == 'FAILED' else '0'}")
    return 0


def _scancel(folder: Path, words: list[str]) -> int:
    for job, state in FakeSlurm(folder).jobs().items():
        if state in ("PENDING", "RUNNING") and {job, job.split("_")[0]} & set(words):
            _set(folder, job, "CANCELLED")
    return 0


def main(client: str, words: list[str]) -> int:
    """Answer as one of Slurm's clients; return the exit status."""
    folder = Path(os.environ["FAKE_SLURM"])
    if client == "sbatch":
        return _sbatch(folder, Path(words[-1]))
    if client == "squeue":
        return _squeue(folder, words)
    if client == "scancel":
        return _scancel(folder, words)
    if client == "scontrol":
        print("MaxArraySize            = 1001")
        return 0
    print("Slurm accounting storage is disabled", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
