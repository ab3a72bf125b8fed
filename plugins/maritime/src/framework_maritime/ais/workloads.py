"""The workloads `ais` and `ais_synthetic`: tables `positions` and `ships`, and the truth where it is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from framework.contracts import WorkloadTables
from framework.errors import ConfigError, InputError
from framework.identity.fingerprint import tables_hash
from framework_maritime.ais.cleaning import clean
from framework_maritime.ais.csv_file import read_csv
from framework_maritime.fleet import port_map
from framework_maritime.fleet.register import SCHEMA, read_register
from framework_maritime.fleet.ship_types import type_of_ais_code, type_of_word
from framework_maritime.fleet.synthetic import Missing, hide, synthetic_fleet


class SyntheticAis:
    """A synthetic fleet; see `SyntheticAisSettings`."""

    def __init__(
        self, name: str = "ais_synthetic", seed: int = 0, max_ships: int | None = None, **keys: Any
    ) -> None:
        missing = dict(keys.pop("missing", None) or {})
        self._missing = Missing(**missing)
        self._ships = min(int(keys["ships"]), max_ships or int(keys["ships"]))
        self._keys = keys
        if self._ships < 4:
            raise ConfigError(f"configuration key 'workload.ships': must be at least 4, got {self._ships}")
        for key in ("days", "period_s"):
            if keys[key] <= 0:
                raise ConfigError(f"configuration key 'workload.{key}': must be above 0, got {keys[key]}")
        if not 0 <= keys["gap_share"] < 1:
            raise ConfigError(
                f"configuration key 'workload.gap_share': must lie in [0, 1), got {keys['gap_share']}"
            )
        if keys["noise"] < 0:
            raise ConfigError(f"configuration key 'workload.noise': must not be below 0, got {keys['noise']}")
        for key in ("share", "type_share"):
            if not 0 <= getattr(self._missing, key) <= 1:
                value = getattr(self._missing, key)
                raise ConfigError(
                    f"configuration key 'workload.missing.{key}': must lie in [0, 1], got {value}"
                )
        if self._missing.mechanism not in ("random", "small_ships"):
            raise ConfigError(
                f"configuration key 'workload.missing.mechanism': unknown mechanism '{self._missing.mechanism}'"
                " (known: random, small_ships)"
            )

    def build(self, seed: int) -> WorkloadTables:
        """Return `positions`, `ships` (with gaps), and the truth: `truth_ships`, `truth_phases`."""
        keys = self._keys
        fleet = synthetic_fleet(
            self._ships, keys["days"], seed, keys["period_s"], keys["noise"], keys["gap_share"]
        )
        tables = {
            "positions": fleet.positions,
            "ships": hide(fleet.ships, self._missing, seed),
            "truth_ships": fleet.ships,
            "truth_phases": pa.table({"phase": fleet.phases}),
        }
        facts = {"ships": self._ships, "messages": fleet.positions.num_rows, "cleaning": {}}
        return WorkloadTables(tables, tables_hash(tables), facts)


class RecordedAis:
    """Recorded messages and a register; see `AisSettings`."""

    def __init__(
        self,
        file: str | None,
        register: str | None = None,
        layout: str = "auto",
        land: str = "none",
        period_s: float = 60.0,
        name: str = "ais",
        seed: int = 0,
    ) -> None:
        if not file:
            raise ConfigError("configuration key 'workload.file': name a file of AIS messages")
        if period_s < 0:
            raise ConfigError(f"configuration key 'workload.period_s': must not be below 0, got {period_s}")
        self._file, self._layout, self._period_s = Path(file), layout, period_s
        self._register = Path(register) if register else None
        self._land = _outlines(land)

    def build(self, seed: int) -> WorkloadTables:
        """Return `positions` and `ships`. Raises `InputError` naming the file, and the row where there is one."""
        if not self._file.is_file():
            raise InputError(f"workload.file: no file {self._file}")
        messages, skipped = _messages(self._file, self._layout)
        cleaned = clean(messages, self._land, self._file.name)
        positions = _thinned(cleaned.positions, self._period_s)
        ships, unregistered = _ships(positions, messages, self._register)
        tables = {"positions": positions, "ships": ships}
        facts = {
            "file": self._file.name,
            "ships": ships.num_rows,
            "messages": messages.num_rows,
            "cleaning": {**skipped, **cleaned.left_out},
            "repaired": cleaned.notes,
            "thinned": cleaned.positions.num_rows - positions.num_rows,
            "ships_without_register_row": unregistered,
        }
        return WorkloadTables(tables, tables_hash(tables), facts)


def _messages(file: Path, layout: str) -> tuple[pa.Table, dict[str, int]]:
    with file.open("rb") as stream:
        start = stream.read(4096)
    if b"!AIVD" in start or b"!BSVD" in start:
        from framework_maritime.ais.nmea import read_nmea

        return read_nmea(file)
    return read_csv(file, layout), {}


def _outlines(land: str) -> list[Any]:
    if land == "none":
        return []
    if land == "port":
        return port_map.LAND
    try:
        content = json.loads(Path(land).read_text(encoding="utf-8"))
        shapes = [item["geometry"] for item in content["features"]] if "features" in content else [content]
        found: list[Any] = []
        for shape in shapes:
            polygons = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
            found += [polygon[0] for polygon in polygons]
    except OSError as error:
        raise InputError(f"workload.land: {land}: can't be read: {error}") from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"workload.land: {land}: not GeoJSON with polygons ({error!r})") from None
    return found


def _thinned(positions: pa.Table, period_s: float) -> pa.Table:
    """Keep the first message of each ship in each period."""
    if period_s <= 0 or positions.num_rows == 0:
        return positions
    ship, slot = positions["ship_id"].to_numpy(), (positions["t_s"].to_numpy() // period_s).astype(np.int64)
    first = np.ones(len(ship), bool)
    first[1:] = (ship[1:] != ship[:-1]) | (slot[1:] != slot[:-1])
    return positions.filter(pa.array(first))


def _ships(positions: pa.Table, messages: pa.Table, register: Path | None) -> tuple[pa.Table, int]:
    """Return a row for each ship with positions: the register's, filled up from what AIS itself says."""
    ids = np.unique(positions["ship_id"].to_numpy())
    rows: dict[int, Mapping[str, Any]] = {}
    if register is not None:
        rows = {row["ship_id"]: row for row in read_register(register).table.to_pylist()}
    said = _said(messages)
    found = []
    for identity in ids.tolist():
        row = dict(rows.get(identity) or dict.fromkeys(SCHEMA.names))
        kind, length = said.get(identity, (None, None))
        row["ship_id"] = identity
        row["ship_type"] = row["ship_type"] or kind
        row["length_m"] = row["length_m"] or length
        found.append(row)
    return pa.Table.from_pylist(found, schema=SCHEMA), sum(identity not in rows for identity in ids.tolist())


def _said(messages: pa.Table) -> dict[int, tuple[str | None, float | None]]:
    """Return type and length that ships broadcast themselves."""
    names = [name for name in ("ship_type", "length_m") if name in messages.column_names]
    if not names:
        return {}
    found: dict[int, tuple[str | None, float | None]] = {}
    grouped = messages.select(["ship_id", *names]).group_by(["ship_id", *names]).aggregate([])
    for row in grouped.to_pylist():
        if row["ship_id"] is None:
            continue
        word = row.get("ship_type")
        kind = type_of_ais_code(int(float(word))) if _is_number(word) else type_of_word(word)
        length = row.get("length_m")
        old = found.get(row["ship_id"], (None, None))
        found[row["ship_id"]] = (kind or old[0], length if length and length > 0 else old[1])
    return found


def _is_number(word: Any) -> bool:
    try:
        float(word)
    except (TypeError, ValueError):
        return False
    return True
