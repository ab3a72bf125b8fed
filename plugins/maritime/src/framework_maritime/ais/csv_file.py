"""AIS messages from CSV, by the million: read by Arrow, column by column."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from framework.errors import InputError
from framework_maritime.ais.layouts import Layout, layout_of

NUMBERS = ("lon_deg", "lat_deg", "sog_kn", "turn_deg_min", "length_m", "depth_level")


def read_csv(file: Path, layout: str = "auto") -> pa.Table:
    """Return the messages of a file as they stand: `ship_id, t_s, lon_deg, lat_deg, sog_kn` and what else it has.

    A cell that is not a number becomes null; cleaning counts these. Plain or gzip, comma, semicolon or tab.

    Raises:
        InputError: no such file, empty, no known layout, or no row with a readable time; names the file.
    """
    header, separator = _header(file)
    found = layout_of(header, file.name, layout)
    names = {name.strip().lower(): name for name in header}
    wanted = {ours: names[column] for ours, column in found.columns.items() if column in names}
    try:
        with _opened(file) as stream:
            table = pa_csv.read_csv(
                stream,
                parse_options=pa_csv.ParseOptions(delimiter=separator),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=list(wanted.values()),
                    column_types={name: pa.string() for name in wanted.values()},
                    strings_can_be_null=True,
                ),
            )
    except pa.ArrowInvalid as error:
        raise InputError(f"{file.name}: {str(error).splitlines()[0]}") from None
    if table.num_rows == 0:
        raise InputError(f"{file.name}: holds a header and no message")
    columns: dict[str, pa.ChunkedArray] = {}
    for ours, name in wanted.items():
        if ours == "t_s":
            columns[ours] = _seconds(table[name], found, file)
        elif ours == "ship_id":
            columns[ours] = _number(table[name]).cast(pa.int64(), safe=False)
        elif ours in NUMBERS:
            columns[ours] = _number(table[name])
        else:
            columns[ours] = table[name]
    return pa.table(columns)


def _opened(file: Path) -> pa.NativeFile:
    compressed = file.open("rb").read(2) == b"\x1f\x8b"
    return pa.input_stream(str(file), compression="gzip" if compressed else None)


def _header(file: Path) -> tuple[list[str], str]:
    try:
        with file.open("rb") as stream:
            compressed = stream.read(2) == b"\x1f\x8b"
        with (
            gzip.open(file, "rt", encoding="utf-8-sig")
            if compressed
            else file.open(encoding="utf-8-sig") as text
        ):
            line = text.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: can't be read: {error}") from None
    if not line:
        raise InputError(f"{file}: empty")
    separator = max(",;\t", key=line.count)
    return next(csv.reader([line], delimiter=separator)), separator


def _number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of text as numbers; what isn't one becomes null."""
    text = pc.utf8_trim_whitespace(column)
    plain = pc.match_substring_regex(text, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
    return pc.cast(pc.if_else(plain, text, pa.scalar(None, pa.string())), pa.float64())


def _seconds(column: pa.ChunkedArray, layout: Layout, file: Path) -> pa.ChunkedArray:
    """Return times as seconds since 1970, UTC; null for a time that can't be read."""
    first = next((value for value in column.slice(0, 1000).to_pylist() if value), None)
    if first is not None and first.replace(".", "", 1).isdigit():
        return _number(column)
    if layout.time_format is not None:
        parsed = pc.strptime(column, format=layout.time_format, unit="s", error_is_null=True)
    else:
        text = pc.replace_substring(pc.utf8_rtrim(column, "Z"), "T", " ")
        text = pc.replace_substring_regex(text, r"(\.\d+)?(\+00:00)?$", "")
        parsed = pc.strptime(text, format="%Y-%m-%d %H:%M:%S", unit="s", error_is_null=True)
    if parsed.null_count == len(parsed):
        raise InputError(
            f"{file.name}: no time can be read in column '{layout.columns['t_s']}' (first: {first!r})"
        )
    return pc.cast(pc.cast(parsed, pa.int64()), pa.float64())


def utc(seconds: float) -> str:
    """Return a time for a message to the user."""
    return datetime.fromtimestamp(float(seconds), UTC).isoformat(timespec="seconds")


def seconds_range(table: pa.Table) -> tuple[float, float]:
    """Return the first and last time of a table."""
    times = np.asarray(table["t_s"].drop_null().to_numpy(), float)
    return float(times.min()), float(times.max())
