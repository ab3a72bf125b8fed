"""How long a million AIS messages take to read and clean, and how much memory that needs."""

from __future__ import annotations

import argparse
import csv
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from framework_maritime.ais.workloads import RecordedAis
from framework_maritime.fleet.synthetic import synthetic_fleet


def write_file(path: Path, messages: int) -> None:
    """Write a file in the US layout, with a tenth of a percent of wrong rows."""
    fleet = synthetic_fleet(max(4, messages // 7_000), 5.0, 0)
    table = fleet.positions.slice(0, messages)
    times = np.datetime_as_string(table["t_s"].to_numpy().astype("datetime64[s]"))
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["MMSI", "BaseDateTime", "LAT", "LON", "SOG", "COG", "VesselType", "Length"])
        columns = [table[name].to_pylist() for name in ("ship_id", "lat_deg", "lon_deg", "sog_kn")]
        for row, (ship, lat, lon, sog) in enumerate(zip(*columns, strict=True)):
            speed = 102.3 if row % 1000 == 0 else round(sog, 1)
            writer.writerow([ship, times[row], f"{lat:.5f}", f"{lon:.5f}", speed, 0, 70, 150])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ais.csv"
        write_file(path, arguments.messages)
        before = time.process_time(), time.perf_counter()
        workload = RecordedAis(str(path), period_s=0).build(0)
        cpu_s, wall_s = time.process_time() - before[0], time.perf_counter() - before[1]
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{workload.facts['messages']:,} messages: {cpu_s:.1f} CPU-s, {wall_s:.1f} s, {workload.facts['cleaning']}"
    )
    print(f"peak of the process, file writing included: {peak_mib:,.0f} MiB", file=sys.stderr)


if __name__ == "__main__":
    main()
