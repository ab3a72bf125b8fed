"""How long tens of thousands of executions take into the store.

    python benchmarks/aloja_import.py ../shared/data/aloja_executions_dev.csv.gz --rows 37000

The file's rows are repeated with other IDs and times until there are enough; CPU seconds are those of the whole
command in a process of its own.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("--rows", type=int, default=37_000)
    given = parser.parse_args()
    opened = gzip.open if given.file.endswith(".gz") else open
    with opened(given.file, "rt", newline="") as source:
        executions = list(csv.DictReader(source))
    with tempfile.TemporaryDirectory() as folder:
        many = Path(folder) / "many.csv"
        with open(many, "w", newline="") as target:
            writer = csv.DictWriter(target, list(executions[0]))
            writer.writeheader()
            for number in range(given.rows):
                row = executions[number % len(executions)]
                again = number // len(executions)
                time_s = f"{float(row['Exe.Time']) + 0.001 * again:.3f}"
                writer.writerow({**row, "ID": number, "Exe.Time": time_s})
        started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [
            sys.executable,
            "-m",
            "framework",
            "import",
            "aloja",
            str(many),
            "--outputs",
            f"{folder}/outputs",
        ]
        subprocess.run(command, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{given.rows} executions: {time.monotonic() - started:.1f} s wall, {cpu_s:.1f} CPU-s")


if __name__ == "__main__":
    main()
