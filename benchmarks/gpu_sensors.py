"""Log one GPU's sensors to a CSV until the process is told to end: what NVML says, and what asking costs.

    python benchmarks/gpu_sensors.py OUT.csv [--period 0.1] [--index 0]

Standard library alone: NVML is called through ctypes, so that it runs where neither nvidia-ml-py nor the framework
is installed. `python -m framework import gpu-series OUT.csv` reads the columns. A quantity that the GPU does not
offer has no column. On SIGTERM or SIGINT the last line of standard output says how many samples were taken, at what
cost in processor time, and how the energy counter compares with the integral of the sampled power.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import itertools
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

Reader = Callable[[], float]


def opened(index: int) -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    """Return NVML and the handle of a GPU. Ends the program with one line where there is none."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError as error:
        sys.exit(f"gpu_sensors: no NVML on this machine ({error})")
    handle = ctypes.c_void_p()
    for what, code in (
        ("nvmlInit", library.nvmlInit_v2()),
        (f"GPU {index}", library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle))),
    ):
        if code != 0:
            sys.exit(f"gpu_sensors: {what}: NVML error {code}")
    return library, handle


class NotOfferedError(Exception):
    """NVML does not have a quantity."""


def _number(
    library: ctypes.CDLL, name: str, kind: type, handle: ctypes.c_void_p, *arguments: object, scale: float
) -> Reader:
    function = getattr(library, name)
    found = kind()

    def read() -> float:
        code = function(handle, *arguments, ctypes.byref(found))
        if code != 0:
            raise NotOfferedError(f"{name}: NVML error {code}")
        return float(found.value) * scale

    return read


def readers(library: ctypes.CDLL, handle: ctypes.c_void_p) -> dict[str, Reader]:
    """Return the quantities that this GPU offers, by column."""
    uint, wide = ctypes.c_uint, ctypes.c_ulonglong
    wanted = {
        "gpu_power_w": ("nvmlDeviceGetPowerUsage", uint, (), 1e-3),
        "gpu_energy_counter_j": ("nvmlDeviceGetTotalEnergyConsumption", wide, (), 1e-3),
        "gpu_sm_clock_mhz": ("nvmlDeviceGetClockInfo", uint, (uint(1),), 1.0),
        "gpu_memory_clock_mhz": ("nvmlDeviceGetClockInfo", uint, (uint(2),), 1.0),
        "gpu_temperature_c": ("nvmlDeviceGetTemperature", uint, (uint(0),), 1.0),
    }
    offered = {}
    for column, (name, kind, arguments, scale) in wanted.items():
        try:
            read = _number(library, name, kind, handle, *arguments, scale=scale)
            read()
        except (AttributeError, NotOfferedError) as reason:
            print(f"gpu_sensors: without {column}: {reason}", file=sys.stderr)
            continue
        offered[column] = read
    return offered


def summary(columns: Sequence[str], rows: Sequence[Sequence[float]], cpu_s: float) -> str:
    """Return one line: samples, cost, energy by the counter and by the integral of power."""
    length_s = rows[-1][0] - rows[0][0] if len(rows) > 1 else 0.0
    text = (
        f"samples={len(rows)} seconds={length_s:.3f} cpu_ms_per_sample={1e3 * cpu_s / max(1, len(rows)):.4f}"
    )
    if length_s > 0 and {"gpu_power_w", "gpu_energy_counter_j"} <= set(columns):
        power, counter = columns.index("gpu_power_w"), columns.index("gpu_energy_counter_j")
        by_power = sum(
            0.5 * (one[power] + two[power]) * (two[0] - one[0]) for one, two in itertools.pairwise(rows)
        )
        text += f" energy_by_power_j={by_power:.3f} energy_by_counter_j={rows[-1][counter] - rows[0][counter]:.3f}"
    return text


def main() -> None:
    """Sample until told to end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--period", type=float, default=0.1, help="seconds between samples")
    parser.add_argument("--index", type=int, default=0)
    wanted = parser.parse_args()
    offered = readers(*opened(wanted.index))
    if not offered:
        sys.exit("gpu_sensors: the GPU offers none of the quantities")
    ended: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        ended.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    columns = ["time_s", *offered]
    rows: list[list[float]] = []
    begin_s, cpu_s = time.monotonic(), time.process_time()
    with wanted.out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        while not ended:
            try:
                row = [time.monotonic() - begin_s, *(read() for read in offered.values())]
            except NotOfferedError as reason:
                print(f"gpu_sensors: {reason}", file=sys.stderr)
                break
            rows.append(row)
            writer.writerow([f"{value:.6f}" for value in row])
            stream.flush()
            time.sleep(max(0.0, begin_s + len(rows) * wanted.period - time.monotonic()))
    print(summary(columns, rows, time.process_time() - cpu_s), flush=True)


if __name__ == "__main__":
    main()
