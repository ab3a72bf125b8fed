"""What a job of a queue costs its node: processor seconds a run, for several numbers of runs a job.

    python benchmarks/job_cost.py --runs 20 --runs-per-job 1 5 20

Short runs of the twin (20 requests) go through `hydra/launcher=background`; then each script is called again
by itself, as a queue calls it, and its processor time is taken. The runs' own work is part of it.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

STUDY = [
    *("backend=twin", "model=opt-1.3b", "gpu=h100-80gb", "workload=fixed", "workload.num_requests=20"),
    *("hydra/launcher=background", "progress=false"),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--runs-per-job", type=int, nargs="+", default=[1, 5, 20])
    given = parser.parse_args()
    for each in given.runs_per_job:
        with tempfile.TemporaryDirectory() as folder:
            cpu_s = _cpu_s(Path(folder) / "outputs", given.runs, each)
        print(f"{each} runs a job: {cpu_s / given.runs:.2f} processor seconds a run", flush=True)


def _cpu_s(outputs: Path, runs: int, each: int) -> float:
    """Return the processor seconds of all jobs of a sweep."""
    sweep = [*STUDY, f"workload.seed=range({runs})", f"hydra.launcher.runs_per_job={each}"]
    command = [sys.executable, "-m", "framework", "-m", *sweep, f"outputs_dir={outputs}"]
    subprocess.run(command, check=True, capture_output=True)
    (script,) = outputs.glob("sweeps/*.jobs/*/task.sh")
    shutil.rmtree(outputs / "runs")
    (outputs / "framework.duckdb").unlink()
    for name in ("claims", "results"):
        shutil.rmtree(script.parent / name)
        (script.parent / name).mkdir()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for task in range(-(-runs // each)):
        subprocess.run(["bash", str(script), str(task), f"job_{task}"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = len(list((outputs / "runs").iterdir()))
    if done != runs:
        sys.exit(f"{done} of {runs} runs are done")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
