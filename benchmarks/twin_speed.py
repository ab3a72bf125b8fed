"""How fast the twin simulates: the target figures and the measured figures, in processor seconds.

    python benchmarks/twin_speed.py [--data ../shared/data] [--only requests,operators,commands,validation,…]

Processor seconds are user plus system time, best of a few repeats; other load on the machine makes them longer. The
compiled kernel is built first, and its build is reported apart.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests
from framework_twin.kernel.simulate import simulate
from framework_twin.physics.step_time import parameter_vector
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.step_physics import step_physics

ENGINE = EngineConfig(kv_blocks=30_000, max_num_seqs=256, max_num_batched_tokens=2048)
LAW = parameter_vector(host_s=0.004, weights_s=0.0095, compute_per_token_s=2e-5, per_context_token_s=8e-8)
"""About Llama-3.1-8B on an H100: 14 ms a step at small batches."""
COMMAND = (
    "-m framework backend=twin model=llama-3.1-8b gpu=h100-64gb backend.kv_blocks=30000 workload=fixed "
    "workload.num_requests={n} workload.lengths.input_tokens=1155 workload.lengths.output_tokens=211 "
    "workload.arrivals.kind=constant +workload.arrivals.rate_rps=6.45"
)


FIRST_LOOK = """
import time
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.providers import priced
shape, gpu = model_shape("meta-llama/Llama-3.1-70B"), gpu_spec("h100-80gb")
began = time.process_time()
assert priced(shape, gpu, Deployment(tensor=4)).provider == "operators"
print(time.process_time() - began)
"""


def main() -> None:
    sections = {
        "requests": requests,
        "operators": operators,
        "commands": commands,
        "validation": validation,
        "adapters": adapters,
        "growth": growth,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default=",".join(sections))
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # byte code is on the disk, as after any first start
    report("building the kernel, this machine, once", "≤ 8 CPU-s", f"{build_s():.1f} CPU-s")
    simulate(ENGINE, stream(10), LAW)
    for name in options.only.split(","):
        sections[name](options.data)


def report(what: str, asked: str, measured: str) -> None:
    print(f"{what:<74} {asked:>14} {measured:>22}", flush=True)


def stream(n: int, prompt: int = 1155, output: int = 211, rate_rps: float = 6.45) -> Requests:
    """Equal requests at constant spacing."""
    return Requests(
        np.arange(n) / rate_rps, np.full(n, prompt, dtype=np.int32), np.full(n, output, dtype=np.int32)
    )


def cpu_s(work: Callable[[], object], repeats: int = 7) -> float:
    """Least processor seconds of a few repeats."""
    measured = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        measured.append(time.process_time() - began)
    return min(measured)


def child_cpu_s(arguments: list[str], folder: str, **environment: str) -> float:
    """Processor seconds of a Python command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def build_s() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return child_cpu_s(["-m", "framework_twin.kernel.compiled.build", "kernel.o"], folder)


def requests(data: Path) -> None:
    seconds = cpu_s(lambda: simulate(ENGINE, stream(10_000), LAW))
    report(
        "10,000 requests of 1155 + 211 tokens at 6.45/s, simulate call",
        "≥ 27,000 /CPU-s",
        f"{10_000 / seconds:,.0f}",
    )


def operators(data: Path) -> None:
    """Look at a model on a GPU for the first time and again, then simulate with its tables."""
    with tempfile.TemporaryDirectory() as folder:
        for what, asked in (("made", "≤ 8 CPU-s"), ("read from the cache", "≤ 0.2 CPU-s")):
            done = subprocess.run(
                [sys.executable, "-c", FIRST_LOOK],
                env={**os.environ, "XDG_CACHE_HOME": folder},
                check=True,
                capture_output=True,
                text=True,
            )
            report(f"operator tables of a 70B on four H100, {what}", asked, f"{float(done.stdout):.3f} CPU-s")
    shape, gpu = model_shape("meta-llama/Llama-3.1-70B"), gpu_spec("h100-80gb")
    physics = step_physics(shape, gpu, Deployment(tensor=4), physics="operators")
    law = physics.tables.behind(physics.coefficients.law())
    load = stream(10_000)
    seconds = cpu_s(lambda: simulate(ENGINE, load, law))
    report("10,000 requests with these tables, simulate call", "≥ 300,000 /CPU-s", f"{10_000 / seconds:,.0f}")


def commands(data: Path) -> None:
    for n, asked in ((10_000, "≤ 1 CPU-s"), (100, "≤ 1 CPU-s")):
        with tempfile.TemporaryDirectory() as folder:
            arguments = COMMAND.format(n=n).split()
            seconds = min(child_cpu_s([*arguments, "resume=false"], folder) for _ in range(3))
        report(f"the same as a command, {n:,} requests", asked, f"{seconds:.2f} CPU-s")


def validation(data: Path) -> None:
    """Predict the one-hour runs of the adapter study by the command `validate`, drawing of requests and all."""
    import csv
    import gzip

    from framework_twin.measured.measured_runs import read_measured_runs
    from framework_twin.measured.run_prediction import default_seeds

    table = data / "serving_runs_calibration.csv.gz"
    if not table.is_file():
        report("validate over the one-hour adapter runs, whole command", "≥ 44,000 /CPU-s", "no data")
        return
    with gzip.open(table, "rt", newline="") as stream:
        rows = list(csv.DictReader(stream))
    hours = [row for row in rows if row["arrival"] == "poisson" and row["duration_limit_s"] == "3600"]
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "hours.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0].keys())
            writer.writeheader()
            writer.writerows(hours)
        spent_s = child_cpu_s(["-m", "framework", "validate", "hours.csv"], folder)
        runs, _ = read_measured_runs(Path(folder) / "hours.csv")
    draws = sum(len(default_seeds(run.setup)) for run in runs)
    what = f"validate over {len(hours)} one-hour adapter runs, each with its draws, whole command"
    report(what, "≥ 44,000 /CPU-s", f"{3600 * draws / spent_s:,.0f}")


def adapters(data: Path) -> None:
    """Simulate an hour as each Poisson row of the calibration table describes it."""
    from framework_twin.measured.measured_runs import read_measured_runs
    from framework_twin.measured.realise import realise
    from framework_twin.measured.run_prediction import server_of
    from framework_twin.validation.validate import model_of

    path = data / "serving_runs_calibration.csv.gz"
    if not path.exists():
        report(
            "one hour of adapter serving, rows of the calibration table", "≥ 44,000 s", f"{path} is missing"
        )
        return
    runs, _ = read_measured_runs(path)
    rates = []
    for run in runs:
        setup = run.setup
        if setup.arrival != "poisson" or setup.n_adapters == 0:
            continue
        model = model_of(setup)
        workload = realise(setup, 0)
        server = server_of(setup, model, workload)
        requests = server.requests(workload)
        rates.append(3600.0 / cpu_s(lambda s=server, q=requests: s.simulate(q), repeats=3))
    report(
        f"one hour of adapter serving, median of {len(rates)} rows, simulate call",
        "≥ 44,000",
        f"{statistics.median(rates):,.0f} sim-s/CPU-s",
    )
    report("the slowest and the fastest of them", "", f"{min(rates):,.0f} … {max(rates):,.0f}")


def growth(data: Path) -> None:
    """Print how the cost grows with each dimension of a simulation, the others held."""
    print("cost of the simulate call: µs per request, spans per request")
    for n in (1_000, 10_000, 100_000, 1_000_000):
        grow(f"requests: {n:,}", ENGINE, stream(n))
    for output in (100, 1_000, 10_000, 100_000):
        roomy = EngineConfig(kv_blocks=10**7, max_num_seqs=256, max_num_batched_tokens=2048)
        grow(f"output tokens: {output:,} (256 running)", roomy, stream(5_000, 100, output, 10**6))
    for batch in (16, 128, 1_024, 8_192):
        wide = EngineConfig(kv_blocks=10**7, max_num_seqs=batch, max_num_batched_tokens=16_384)
        grow(f"running requests: {batch:,}", wide, stream(40_000, 100, 300, 10**6))
    for count in (1, 32, 384, 4_096):
        grow_adapters(f"adapters: {count:,}, 32 slots, queue of 20,000", count)


def grow(
    what: str,
    engine: EngineConfig,
    load: Requests,
    table: AdapterTable | None = None,
) -> None:
    seconds = cpu_s(lambda: simulate(engine, load, LAW, table), repeats=3)
    spans = simulate(engine, load, LAW, table).spans / len(load)
    print(f"    {what:<50} {seconds / len(load) * 1e6:8.3f} µs   {spans:6.2f} spans")


def grow_adapters(what: str, count: int) -> None:
    rng = np.random.default_rng(0)
    n = 20_000
    load = Requests(
        np.zeros(n),
        rng.integers(1, 400, n).astype(np.int32),
        rng.integers(1, 400, n).astype(np.int32),
        rng.integers(0, count, n).astype(np.int32),
    )
    table = AdapterTable(np.full(count, 8, dtype=np.int32), np.full(count, 0.007))
    engine = EngineConfig(
        kv_blocks=30_000, max_num_seqs=256, max_num_batched_tokens=2048, max_loras=32, max_lora_rank=8
    )
    grow(what, engine, load, table)


if __name__ == "__main__":
    main()
