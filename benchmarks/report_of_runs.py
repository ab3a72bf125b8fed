"""Seconds and size of the report of many runs, made as a user makes it.

    python benchmarks/report_of_runs.py [RUNS]

The runs are the twin's: four models, two GPUs, 25 batch sizes, and as many seeds as it takes. Asked: a report of
1,000 runs within 20 s, of 3 MB at most. CPU seconds are those of the command: on a machine that does other work too,
they say more than the time on the clock.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_BATCHES = [1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256]
_MODELS, _GPUS = "opt-1.3b,opt-2.7b,llama-2-7b,llama-2-13b", "h100-64gb,a100-80gb"


def main(runs: int) -> None:
    """Run the study, write its report, and print a line."""
    seeds = range(-(-runs // (4 * 2 * len(_BATCHES))))
    study = [
        *(
            "-m",
            "backend=twin",
            f"model={_MODELS}",
            f"gpu={_GPUS}",
            "workload=fixed",
            "workload.num_requests=20",
        ),
        f"backend.max_num_seqs={','.join(map(str, _BATCHES))}",
        f"workload.seed={','.join(map(str, seeds))}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        outputs = f"{folder}/outputs"
        _framework(*study, f"outputs_dir={outputs}", "progress=false")
        cpu_s, began_s = _children_cpu_s(), time.perf_counter()
        _framework("report", "--outputs", outputs, "--out", folder)
        took_s, used_s = time.perf_counter() - began_s, _children_cpu_s() - cpu_s
        html = (Path(folder) / "report.html").read_text(encoding="utf-8")
    figures, done = html.count("<figure>"), re.search(r"<dt>runs done</dt><dd[^>]*>([\d,]+)", html)
    print(
        f"{done.group(1) if done else '?'} runs: {took_s:.1f} s, {used_s:.1f} CPU-s, "
        f"{len(html.encode()) / 1e6:.2f} MB, {figures} figures"
    )


def _framework(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "framework", *words], check=True, stdout=subprocess.DEVNULL)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=int, nargs="?", default=1000)
    main(parser.parse_args().runs)
