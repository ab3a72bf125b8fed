"""Small files in ALOJA's columns, with a known law behind the times."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

_HEADER = (
    "ID,Benchmark,Exe.Time,Net,Disk,Maps,IO.SFac,Rep,IO.FBuf,Comp,Blk.size,Cluster,Cl.Name,Datanodes,"
    "Headnodes,VM.OS,VM.Cores,VM.RAM,Provider,VM.Size,Service.Type,Bench.Type"
)
HEADINGS = tuple(next(csv.reader([_HEADER])))
_BENCHMARKS = {"terasort": 600.0, "wordcount": 900.0, "prep_sort": 200.0}
_CLUSTERS = {"c-1": (8, 8, 56, 1.0), "c-2": (3, 4, 7, 2.0), "c-3": (16, 8, 28, 0.6)}


def execution(number: int, **changes: str) -> dict[str, str]:
    """Return one execution as texts."""
    usual = "terasort,600.000,ETH,HDD,8,10,1,65536,0,64,1,c-1,8,1,linux,8,56.000,azure,A7,IaaS,HiBench"
    values = [str(number), *usual.split(",")]
    return {**dict(zip(HEADINGS, values, strict=True)), **changes}


def executions(rows: int, seed: int = 0, noise: float = 0.03) -> list[dict[str, str]]:
    """Draw executions: time = base(benchmark) · cluster · codec · maps · lognormal noise."""
    draw = np.random.default_rng(seed)
    found = []
    for number in range(rows):
        benchmark, cluster = draw.choice(list(_BENCHMARKS)), draw.choice(list(_CLUSTERS))
        nodes, cores, memory, factor = _CLUSTERS[cluster]
        maps, codec = int(draw.choice([4, 6, 8])), str(draw.choice(["0", "1", "3"]))
        slow = {"0": 1.0, "1": 1.2, "3": 0.9}[codec] * (1 + abs(maps - cores) / 10)
        time_s = _BENCHMARKS[benchmark] * factor * slow * np.exp(noise * draw.standard_normal())
        changes = {"Benchmark": benchmark, "Exe.Time": f"{time_s:.3f}", "Maps": str(maps), "Comp": codec}
        hardware = {
            "Cl.Name": cluster,
            "Datanodes": str(nodes),
            "VM.Cores": str(cores),
            "VM.RAM": f"{memory:.3f}",
        }
        found.append(execution(seed * 100_000 + number, **changes, **hardware))
    return found


def write(file: Path, rows: Iterable[Mapping[str, str]], headings: Iterable[str] = HEADINGS) -> Path:
    """Write rows as CSV and return the path."""
    with open(file, "w", newline="") as target:
        writer = csv.DictWriter(target, list(headings), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return file
