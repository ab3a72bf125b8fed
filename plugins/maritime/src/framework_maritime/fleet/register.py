"""The register of ships as arrays, and reading it from CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from framework.errors import InputError
from framework_maritime.emissions.totals import Engines
from framework_maritime.fleet.ship_types import SHIP_TYPES, type_of_word

Array = npt.NDArray[np.float64]

NUMBERS = ("length_m", "main_kw", "main_engines", "design_speed_kn", "main_rpm", "aux_kw", "build_year")
SCHEMA = pa.schema(
    [pa.field("ship_id", pa.int64(), nullable=False), pa.field("ship_type", pa.string())]
    + [pa.field(name, pa.float64()) for name in NUMBERS]
)
"""One row a ship; a null is what the register lacks."""


@dataclass(frozen=True)
class Register:
    """A register as arrays; unknown numbers are NaN, unknown types "".

    Attributes:
        table: the Arrow table behind it (`SCHEMA`).
    """

    table: pa.Table

    def numbers(self, name: str) -> Array:
        """Return one column of numbers."""
        return np.asarray(self.table[name].to_numpy(zero_copy_only=False), float)

    @property
    def types(self) -> npt.NDArray[np.str_]:
        """Ship types, "" where unknown."""
        return np.array([kind or "" for kind in self.table["ship_type"].to_pylist()])

    def __len__(self) -> int:
        return int(self.table.num_rows)


def passenger(types: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Return which types run their hotel load at all times."""
    return np.array([bool(kind) and SHIP_TYPES[str(kind)].passenger for kind in types], bool)


def engines_of(register: Register) -> Engines:
    """Return the engines as the register has them; numbers of minor weight get their type's typical value.

    Power and design speed stay NaN where unknown: nothing is emitted by an engine that nobody has filled in.
    """
    types = register.types
    typical = [SHIP_TYPES.get(str(kind)) for kind in types]

    def filled(name: str, values: list[float]) -> Array:
        known = register.numbers(name)
        return np.where(np.isnan(known), np.array(values, float), known)

    return Engines(
        main_kw=register.numbers("main_kw"),
        main_engines=filled("main_engines", [kind.engines if kind else 1 for kind in typical]),
        design_speed_kn=register.numbers("design_speed_kn"),
        main_rpm=filled("main_rpm", [kind.rpm if kind else np.nan for kind in typical]),
        aux_kw=filled("aux_kw", [kind.aux_kw if kind else np.nan for kind in typical]),
        build_year=register.numbers("build_year"),
        passenger=passenger(types),
    )


_NAMES = {"mmsi": "ship_id", "id": "ship_id", "type": "ship_type", "kw": "main_kw", "power_kw": "main_kw"}


def read_register(file: Path) -> Register:
    """Read a register from CSV: `ship_id` (or `mmsi`), `ship_type`, and the numbers of `SCHEMA` that it has.

    Raises:
        InputError: no such file, no column of ids, an id twice, a word where a number belongs; names file and row.
    """
    try:
        table = pa_csv.read_csv(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{file}: can't be read as CSV: {str(error).splitlines()[0]}") from None
    names = [_NAMES.get(name.strip().lower(), name.strip().lower()) for name in table.column_names]
    table = table.rename_columns(names)
    if "ship_id" not in names:
        raise InputError(f"{file}: no column 'ship_id' or 'mmsi' (columns: {', '.join(names)})")
    ids = table["ship_id"].to_pylist()
    seen: set[int] = set()
    for row, identity in enumerate(ids, start=2):
        if not isinstance(identity, int):
            raise InputError(f"{file}, row {row}: ship id '{identity}' is not a whole number")
        if identity in seen:
            raise InputError(f"{file}, row {row}: ship {identity} stands twice")
        seen.add(identity)
    columns: dict[str, pa.Array] = {"ship_id": pa.array(ids, pa.int64())}
    words = table["ship_type"].to_pylist() if "ship_type" in names else [None] * len(ids)
    columns["ship_type"] = pa.array([type_of_word(word) for word in words], pa.string())
    for name in NUMBERS:
        columns[name] = _numbers(file, table, name) if name in names else pa.nulls(len(ids), pa.float64())
    return Register(pa.table(columns, schema=SCHEMA))


def _numbers(file: Path, table: pa.Table, name: str) -> pa.Array:
    values: list[float | None] = []
    for row, value in enumerate(table[name].to_pylist(), start=2):
        try:
            number = None if value in (None, "") else float(value)
        except (TypeError, ValueError):
            raise InputError(f"{file}, row {row}: {name} '{value}' is not a number") from None
        if number is not None and number <= 0:
            raise InputError(f"{file}, row {row}: {name} must be above 0, got {number:g}")
        values.append(number)
    return pa.array(values, pa.float64())
