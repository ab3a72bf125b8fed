"""CPU package and DRAM energy by RAPL, as Linux shows it under /sys/class/powercap (Intel and AMD)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from framework_metrics.sampling.probe import UnavailableError

POWERCAP = Path("/sys/class/powercap")
FIX = "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj /sys/class/powercap/intel-rapl:*:*/energy_uj"


@dataclass(frozen=True)
class Zone:
    """One counter.

    Attributes:
        column: `rapl.package-0`, `rapl.dram-0`; the number is the socket's.
        file: its reading in µJ.
        wrap_at_j: after which it restarts at 0.
    """

    column: str
    file: Path
    wrap_at_j: float

    def read_j(self) -> float:
        """Return the counter (J). Raises `UnavailableError` if it can't be read."""
        try:
            return 1e-6 * int(self.file.read_text())
        except (OSError, ValueError) as error:
            raise UnavailableError(f"{self.file}: {_why(error)}") from None


def find_zones(folder: Path = POWERCAP) -> tuple[list[Zone], dict[str, str]]:
    """Return the readable packages and DRAM zones, and why others can't be read.

    `core` and `uncore` are parts of the package; `psys` contains the package: neither is counted.
    """
    zones: list[Zone] = []
    absent: dict[str, str] = {}
    for place in sorted(folder.glob("intel-rapl:*")):
        try:
            name = (place / "name").read_text().strip()
        except OSError:
            continue
        socket = place.name.split(":")[1]
        if not name.startswith("package") and name != "dram":
            continue
        column = f"rapl.{'package' if name.startswith('package') else 'dram'}-{socket}"
        try:
            wrap_at_j = 1e-6 * int((place / "max_energy_range_uj").read_text())
            zone = Zone(column, place / "energy_uj", wrap_at_j)
            zone.read_j()
        except UnavailableError as missing:
            absent[column] = str(missing)
        except (OSError, ValueError) as error:
            absent[column] = f"{place}: {_why(error)}"
        else:
            zones.append(zone)
    for kind in ("package", "dram"):
        known = [*absent, *(zone.column for zone in zones)]
        if not any(column.startswith(f"rapl.{kind}") for column in known):
            absent[f"rapl.{kind}"] = _nothing_there(folder, kind)
    return zones, absent


def _nothing_there(folder: Path, kind: str) -> str:
    if not folder.exists():
        return f"no RAPL counters under {folder} (virtual machines have none)"
    return f"no RAPL counter of the {kind} under {folder}"


def _why(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"no permission to read it; {FIX}"
    return getattr(error, "strerror", None) or str(error)
