"""How long the readers take over large files: a published trace, its first rows, and many results in one file.

    python benchmarks/large_files.py --rows 16800000 --results 1000

Makes a trace in the format of the Azure traces and a file of results of `vllm bench serve`, and reads each in a
process of its own: CPU seconds, seconds on the clock, and the memory that was needed at most, imports included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

_BEGIN = datetime(2024, 5, 10, tzinfo=UTC)
_READ = """
from framework_serving.workloads.trace import TraceWorkload
limit = int({limit!r}) or None
tables = TraceWorkload(preset="azure", file={file!r}, limit=limit).build(0).tables
print(tables["requests"].num_rows, "requests")
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the trace")
    parser.add_argument("--first", type=int, default=1000, help="rows of it that are read with a limit")
    parser.add_argument("--results", type=int, default=1000, help="results in one file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.csv"
        write_trace(trace, given.rows)
        for limit in (given.first, min(given.rows, 1_000_000)):
            code = _READ.format(file=str(trace), limit=limit)
            measure(f"{limit:,} of {given.rows:,} rows", [sys.executable, "-c", code])
        results = Path(folder) / "results.json"
        write_results(results, given.results)
        outputs = str(Path(folder) / "outputs")
        command = [sys.executable, "-m", "framework", "import", str(results), "--outputs", outputs]
        measure(f"import of {given.results:,} results", command)


def write_trace(file: Path, rows: int) -> None:
    """Write rows as the Azure traces of 2024 have them, 0.05 s apart."""
    with open(file, "w", encoding="utf-8") as stream:
        stream.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
        for row in range(rows):
            at = _BEGIN + timedelta(microseconds=50_000 * row + 9_930)
            stream.write(
                f"{at.isoformat(' ', 'microseconds')},{1 + row * 7919 % 4000},{1 + row * 104729 % 500}\n"
            )


def write_results(file: Path, count: int) -> None:
    """Write results of `vllm bench serve`, one a line, of a sweep over the rate."""
    with open(file, "w", encoding="utf-8") as stream:
        for place in range(count):
            rate = 1.0 + place
            result = {
                "date": f"20250901-{place:06}",
                "backend": "vllm",
                "model_id": "meta-llama/Llama-3.1-8B-Instruct",
                "num_prompts": 100,
                "request_rate": rate,
                "max_concurrency": None,
                "duration": 100 / rate,
                "completed": 100,
                "total_input_tokens": 10_000,
                "total_output_tokens": 2_000,
                "request_throughput": rate,
                "output_throughput": 20 * rate,
                "total_token_throughput": 120 * rate,
                "mean_ttft_ms": 50.0,
                "mean_itl_ms": 10.0,
                "mean_tpot_ms": 10.0,
            }
            stream.write(json.dumps(result) + "\n")


def measure(what: str, command: list[str]) -> None:
    """Run a command and print what it took."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    told = (done.stdout or done.stderr).strip().splitlines()[-1:]
    # the largest child so far: the commands come in the order of what they need
    print(
        f"{what}: {cpu_s:.2f} CPU-s, {time.perf_counter() - began:.2f} s, {after.ru_maxrss / 1024:.0f} MiB ({told})"
    )


if __name__ == "__main__":
    main()
