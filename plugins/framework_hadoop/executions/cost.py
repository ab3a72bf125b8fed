"""What an execution costs: one function, from prices given as data.

    cost = hours · (cluster $/h + remote volumes · $/h + solid-state disks · $/h + [InfiniBand] · $/h)

ALOJA has two formulas for this and swaps the prices of solid-state disks and InfiniBand in one of them; this is the
one of the papers (arXiv 1511.02037, section on cost). All prices are for the whole cluster, as ALOJA's are: a
surcharge is not multiplied by the number of nodes. A surcharge that a price list does not state is not in the cost;
`left_out` says which (for remote volumes of cloud machines that may be right, for disks of one's own it is not).
A price is of a day and from somewhere: both can be in the list, and where they are not, the figure says so. A list
may have several prices of a cluster, each from its day on: an execution costs what held on the day when it ran.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from framework.errors import InputError, did_you_mean
from framework_hadoop.executions.disks import disk_layout
from framework_hadoop.executions.execution_table import Executions

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class ClusterPrice:
    """Hourly prices of a cluster in US dollars, for the whole cluster; None where the list states none.

    Attributes:
        cluster: its name.
        per_hour: the cluster itself; None: the cluster can't be priced.
        remote_volume_per_hour, ssd_per_hour, infiniband_per_hour: surcharges for each remote volume, for each
            solid-state disk, and for the network.
        valid_on: the day from which these prices hold, as YYYY-MM-DD; "" if the list states none.
        source: where they come from; "" if the list does not state it.
    """

    cluster: str
    per_hour: float | None
    remote_volume_per_hour: float | None = None
    ssd_per_hour: float | None = None
    infiniband_per_hour: float | None = None
    valid_on: str = ""
    source: str = ""

    @property
    def origin(self) -> str:
        """Price, day and source in words."""
        day = f"of {self.valid_on}" if self.valid_on else "undated"
        return f"{self.per_hour:g} USD/h, {day}, {self.source or 'source not stated'}"

    def left_out(self, disk: str | None, network: str | None) -> str:
        """Return what an execution used that the list states no price for, in words; "" if there is nothing."""
        layout, parts = disk_layout(disk), []
        if layout is not None and layout.remote and self.remote_volume_per_hour is None:
            parts.append(f"{layout.remote} remote volume{'s' if layout.remote > 1 else ''}")
        if layout is not None and layout.ssd and self.ssd_per_hour is None:
            parts.append(f"{layout.ssd} solid-state disk{'s' if layout.ssd > 1 else ''}")
        if disk and layout is None:
            parts.append(f"disks '{disk}'")
        if network == "IB" and self.infiniband_per_hour is None:
            parts.append("InfiniBand")
        return ", ".join(parts)


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


Prices = Mapping[str, Sequence[ClusterPrice]]
"""A price list: the prices of each cluster, in the order of their days."""


def price_on(listed: Sequence[ClusterPrice], day: str | None) -> ClusterPrice | None:
    """Return the price of a cluster that held on a day (YYYY-MM-DD).

    Of a day before all prices it is the first one, of an unknown day the last one; None where there is none.
    """
    held = [price for price in listed if day is None or price.valid_on <= day]
    return next(iter([*held[-1:], *listed]), None)


def execution_costs_usd(executions: Executions, prices: Prices) -> np.ndarray:
    """Return the cost of each execution in US dollars; NaN where time or price is missing."""
    hourly: dict[tuple[object, ...], float] = {}
    found = np.full(len(executions), np.nan)
    for row, key in enumerate(_priced_by(executions)):
        if key not in hourly:
            cluster, disk, network, day = key
            price = price_on(prices.get(str(cluster), ()), day)
            known = price is not None and price.per_hour is not None
            hourly[key] = (
                execution_cost_usd(SECONDS_PER_HOUR, price, disk, network) if known and price else np.nan
            )
        found[row] = hourly[key]
    costs: np.ndarray = found * executions.time_s / SECONDS_PER_HOUR
    return costs


def _priced_by(executions: Executions) -> Iterator[tuple[str | None, str | None, str | None, str | None]]:
    """Yield what the hourly price of each execution depends on: cluster, disk, network and day."""
    columns = executions.columns
    names = (columns[name].tolist() for name in ("cluster", "disk", "network"))
    return zip(*names, executions.days, strict=True)


@dataclass(frozen=True)
class PriceFacts:
    """What is to be known of each execution's cost, as text; None where it has no cost, or nothing is to be said.

    Attributes:
        price: hourly price of the cluster, its day and source, and whether it held when the execution ran.
        leaves_out: what the cost does not contain.
    """

    price: list[str | None]
    leaves_out: list[str | None]


def price_facts(executions: Executions, prices: Prices) -> PriceFacts:
    """Return price and gaps of each execution's cost."""
    found = PriceFacts([], [])
    for cluster, disk, network, day in _priced_by(executions):
        listed = prices.get(str(cluster), ())
        price = price_on(listed, day)
        if price is None or price.per_hour is None:
            found.price.append(None)
            found.leaves_out.append(None)
            continue
        found.price.append(price.origin + _doubt(price, listed, day))
        found.leaves_out.append(price.left_out(disk, network) or None)
    return found


def _doubt(price: ClusterPrice, listed: Sequence[ClusterPrice], day: str | None) -> str:
    """Return why a price may not have held when the execution ran; "" if nothing speaks against it."""
    if day is None:
        return f", the last of {len(listed)}: the day of the run is not known" if len(listed) > 1 else ""
    return ", later than the run" if price.valid_on > day else ""


_PRICE_COLUMNS = {
    "cost_per_hour": "per_hour",
    "cost_per_hour_remote_disk": "remote_volume_per_hour",
    "cost_per_hour_ssd": "ssd_per_hour",
    "cost_per_hour_infiniband": "infiniband_per_hour",
}


def read_price_list(file: Path | str) -> dict[str, tuple[ClusterPrice, ...]]:
    """Read cluster prices by name from a CSV file with `cluster`, `cost_per_hour` and, where known, the surcharges.

    The columns `valid_on` (a day) and `source` say from when on and from where the prices are. A cluster may have
    several rows of different days.

    Raises:
        InputError: no such file, a missing column, a price that is not a number ≥ 0, or a day that is not one; names
            file and row.
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
        prices: dict[str, list[ClusterPrice]] = {}
        for number, row in enumerate(reader, start=1):
            name = (row["cluster"] or "").strip()
            values = {
                field: _price(row.get(head), head, number, path) for head, field in _PRICE_COLUMNS.items()
            }
            day = _day(row.get("valid_on"), number, path)
            source = (row.get("source") or "").strip()
            listed = prices.setdefault(name, [])
            if any(price.valid_on == day for price in listed):
                again = f" with the day {day}" if day else ""
                raise InputError(f"{path}: row {number}: cluster '{name}' is in the list twice{again}")
            listed.append(ClusterPrice(name, **values, valid_on=day, source=source))
    return {name: tuple(sorted(listed, key=lambda price: price.valid_on)) for name, listed in prices.items()}


def _day(text: str | None, row: int, path: Path) -> str:
    if text is None or not text.strip():
        return ""
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise InputError(
            f"{path}: row {row}: column 'valid_on' contains {text!r}, not a day as YYYY-MM-DD"
        ) from None


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
