"""What an execution costs: one function, from prices given as data.

    cost = hours · (cluster $/h + remote volumes · $/h + solid-state disks · $/h + [InfiniBand] · $/h)

ALOJA has two formulas for this and swaps the prices of solid-state disks and InfiniBand in one of them; this is the
one of the papers (arXiv 1511.02037, section on cost). All prices are for the whole cluster, as ALOJA's are: a
surcharge is not multiplied by the number of nodes. A surcharge that a price list does not state is taken to be in
the cluster's price (remote volumes of cloud machines are).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from framework.errors import InputError, did_you_mean
from framework_hadoop.executions.disks import disk_layout
from framework_hadoop.executions.execution_files import Executions

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class ClusterPrice:
    """Hourly prices of a cluster in US dollars, for the whole cluster; None where the list states none.

    Attributes:
        cluster: its name.
        per_hour: the cluster itself; None: the cluster can't be priced.
        remote_volume_per_hour, ssd_per_hour, infiniband_per_hour: surcharges for each remote volume, for each
            solid-state disk, and for the network.
    """

    cluster: str
    per_hour: float | None
    remote_volume_per_hour: float | None = None
    ssd_per_hour: float | None = None
    infiniband_per_hour: float | None = None


def execution_cost_usd(
    time_s: float, price: ClusterPrice, disk: str | None = None, network: str | None = None
) -> float:
    """Return what one execution costs in US dollars.

    Args:
        time_s: wall time in seconds.
        price: of its cluster.
        disk: disk code (`RL3`, `SSD` …); an unknown one adds nothing.
        network: `IB` for InfiniBand.

    Raises:
        ValueError: the cluster has no hourly price.
    """
    if price.per_hour is None:
        raise ValueError(f"cluster '{price.cluster}' has no hourly price")
    hourly = price.per_hour
    layout = disk_layout(disk)
    if layout is not None:
        hourly += layout.remote * (price.remote_volume_per_hour or 0.0)
        hourly += layout.ssd * (price.ssd_per_hour or 0.0)
    if network == "IB":
        hourly += price.infiniband_per_hour or 0.0
    return time_s / SECONDS_PER_HOUR * hourly


def execution_costs_usd(executions: Executions, prices: Mapping[str, ClusterPrice]) -> np.ndarray:
    """Return the cost of each execution in US dollars; NaN where time or price is missing."""
    columns = executions.columns
    hourly: dict[tuple[object, object, object], float] = {}
    found = np.full(len(executions), np.nan)
    rows = zip(
        columns["cluster"].tolist(), columns["disk"].tolist(), columns["network"].tolist(), strict=True
    )
    for row, key in enumerate(rows):
        if key not in hourly:
            price = prices.get(str(key[0]))
            known = price is not None and price.per_hour is not None
            hourly[key] = (
                execution_cost_usd(SECONDS_PER_HOUR, price, key[1], key[2]) if known and price else np.nan
            )
        found[row] = hourly[key]
    costs: np.ndarray = found * executions.time_s / SECONDS_PER_HOUR
    return costs


_PRICE_COLUMNS = {
    "cost_per_hour": "per_hour",
    "cost_per_hour_remote_disk": "remote_volume_per_hour",
    "cost_per_hour_ssd": "ssd_per_hour",
    "cost_per_hour_infiniband": "infiniband_per_hour",
}


def read_price_list(file: Path | str) -> dict[str, ClusterPrice]:
    """Read cluster prices by name from a CSV file with `cluster`, `cost_per_hour` and, where known, the surcharges.

    Raises:
        InputError: no such file, a missing column, or a price that is not a number ≥ 0; names file and row.
    """
    path = Path(file)
    if not path.is_file():
        raise InputError(f"file '{path}' does not exist or is not a regular file")
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as lines:
        reader = csv.DictReader(lines)
        headings = reader.fieldnames or []
        for needed in ("cluster", "cost_per_hour"):
            if needed not in headings:
                raise InputError(f"{path}: no column '{needed}'{did_you_mean(needed, headings)}")
        prices = {}
        for number, row in enumerate(reader, start=1):
            name = (row["cluster"] or "").strip()
            values = {
                field: _price(row.get(head), head, number, path) for head, field in _PRICE_COLUMNS.items()
            }
            if name in prices:
                raise InputError(f"{path}: row {number}: cluster '{name}' is in the list twice")
            prices[name] = ClusterPrice(name, **values)
    return prices


def _price(text: str | None, heading: str, row: int, path: Path) -> float | None:
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 <= value < np.inf:
        raise InputError(f"{path}: row {row}: column '{heading}' contains {text!r}, not a price")
    return value
