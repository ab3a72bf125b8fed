"""What a job of a queue costs its node: processor seconds a run, for several numbers of runs a job.

    python benchmarks/job_cost.py --runs 20 --runs-per-job 1 5 20

Short runs of the twin (20 requests) go through `hydra/launcher=background`; then each script is called again
by itself, as a queue calls it, and its processor time is taken. The runs' own work is part of it. What importing the
libraries takes by itself is stated below (least of `--repeats`). Byte code is on the disk, as after any first start.
"""

from __future__ import annotations

import argparse
import os
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

IMPORTS = {
    "Python alone": "pass",
    "NumPy and Arrow, as a run imports them": "import framework.run.number_libraries as n; n.load_numpy_and_arrow()",
    "Hydra": "import hydra",
    "DuckDB": "import duckdb",
    "LLVM, for the compiled kernel": "import llvmlite.binding",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--runs-per-job", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for each in given.runs_per_job:
        with tempfile.TemporaryDirectory() as folder:
            cpu_s = _cpu_s(Path(folder) / "outputs", given.runs, each)
        print(f"{each} runs a job: {cpu_s / given.runs:.2f} processor seconds a run", flush=True)
    for what, code in IMPORTS.items():
        least_s = min(_spent_s([sys.executable, "-c", code]) for _ in range(given.repeats))
        print(f"{what}: {least_s:.2f} processor seconds")


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
    tasks = range(-(-runs // each))
    cpu_s = sum(_spent_s(["bash", str(script), str(task), f"job_{task}"]) for task in tasks)
    done = len(list((outputs / "runs").iterdir()))
    if done != runs:
        sys.exit(f"{done} of {runs} runs are done")
    return cpu_s


def _spent_s(command: list[str]) -> float:
    """Return the processor seconds of a command and what it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
