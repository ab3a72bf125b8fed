"""What the collectors cost: CPU time of their samplers at the default period, and at the start.

    python benchmarks/collector_overhead.py --seconds 30
    python benchmarks/collector_overhead.py --seconds 30 --fake-nvml --gpus 8

The running cost is the difference between a long and a short stretch, so that the start is not in it. Without a GPU,
`--fake-nvml` compiles the stand-in of the tests: all of our own work is done, the driver's is not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from framework.contracts import Collector, RunContext
from framework_metrics.energy.collector import EnergyCollector
from framework_metrics.host.collector import HostCollector
from framework_metrics.nvml.collector import NvmlCollector
from framework_metrics.sampling.process import SamplerError

SHORT_S = 2.0
COLLECTORS: dict[str, tuple[Callable[[], Collector], float]] = {
    "nvml": (NvmlCollector, 0.2),
    "energy": (EnergyCollector, 0.1),
    "host": (HostCollector, 0.5),
}
"""How to make each, and its default period (s)."""


def use_fake_nvml(gpus: int, folder: Path) -> None:
    source = Path(__file__).parents[1] / "tests" / "framework_metrics" / "fake_nvml.c"
    target = folder / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(target), str(source)], check=True)
    script = folder / "script"
    script.write_text(f"gpus {gpus}\n")
    os.environ |= {"FAKE_NVML_SCRIPT": str(script), "LD_LIBRARY_PATH": str(folder)}


def sampler_cpu_s(make: Callable[[], Collector], name: str, length_s: float) -> tuple[float, float, int]:
    """Return (CPU seconds of the sampler, seconds that start took, missed samples)."""
    with tempfile.TemporaryDirectory() as folder:
        collector = make()
        begin_s = time.monotonic()
        collector.start(RunContext("run", {"metrics": {name: {}}}, 0, Path(folder)))
        started_s = time.monotonic() - begin_s
        time.sleep(length_s)
        facts = collector.stop().facts
    return float(facts["sampler_cpu_s"]), started_s, int(facts["missed_samples"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--fake-nvml", action="store_true")
    parser.add_argument("--gpus", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.fake_nvml:
            use_fake_nvml(given.gpus, Path(folder))
        print(
            f"{'collector':10} {'period':>7} {'of one core':>12} {'start, CPU':>11} {'start, wall':>12} {'missed':>7}"
        )
        for name, (make, period_s) in COLLECTORS.items():
            try:
                short, _, _ = sampler_cpu_s(make, name, SHORT_S)
                long, started_s, missed = sampler_cpu_s(make, name, given.seconds)
            except SamplerError as reason:
                print(f"{name:10} absent: {reason}")
                continue
            rate = (long - short) / (given.seconds - SHORT_S)
            start_cpu_s = short - SHORT_S * rate
            print(
                f"{name:10} {period_s:5.1f} s {rate:11.2%} {start_cpu_s:9.2f} s {started_s:10.2f} s {missed:7}"
            )


if __name__ == "__main__":
    main()
