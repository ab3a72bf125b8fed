"""Read the tables of an Nsight Systems export: a SQLite file or a folder of Parquet files, with the same columns.

`nsys export --type=sqlite REPORT.nsys-rep` and `--type=parquetdir`. Names of tables and columns are those of the
exporter's schema (NVIDIA, Nsight Systems user guide, "SQLite schema reference"); times are nanoseconds. Versions
differ in columns that we don't need, so only what is read is asked for.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from framework.errors import InputError, one_line

if TYPE_CHECKING:
    import pyarrow as pa

KERNELS = "CUPTI_ACTIVITY_KIND_KERNEL"
COPIES = ("CUPTI_ACTIVITY_KIND_MEMCPY", "CUPTI_ACTIVITY_KIND_MEMSET")
GRAPHS = "CUPTI_ACTIVITY_KIND_GRAPH_TRACE"
_PUSH_POP, _START_END = 59, 60
_SQLITE_MAGIC = b"SQLite format 3\x00"
_BATCH = 50_000


@dataclass(frozen=True)
class NsysExport:
    """What a trace holds that we read, as Arrow tables.

    Attributes:
        work: `start_ns, end_ns, device, source, name`: kernels, copies and whole CUDA graphs; `source` is the table.
        ranges: `start_ns, end_ns, text`: NVTX ranges that ended.
        counters: `time_ns, device, name, value`: sampled GPU metrics, % or MHz.
        gpus: name by device number.
        version: of the exporter's schema; "" if it does not say.
    """

    work: pa.Table
    ranges: pa.Table
    counters: pa.Table
    gpus: Mapping[int, str]
    version: str


class _Source(Protocol):
    """Tables by name, one of the two formats."""

    file: Path

    def columns(self, table: str) -> Sequence[str]:
        """Return the columns of a table; empty if there is no such table."""
        ...

    def read(self, table: str, columns: Sequence[str]) -> dict[str, list[object]]:
        """Return columns of a table as lists."""
        ...


def read_export(path: Path) -> NsysExport:
    """Read an export. Raises `InputError` for a file that is not an export, is damaged, or has no GPU work."""
    with _source(path) as source:
        names = _strings(source)
        work = _work(source, names)
        return NsysExport(work, _ranges(source, names), _counters(source), _gpus(source), _version(source))


@contextmanager
def _source(path: Path) -> Iterator[_Source]:
    if path.is_dir():
        yield _ParquetFolder(path)
        return
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(_SQLITE_MAGIC))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    if magic != _SQLITE_MAGIC:
        raise InputError(
            f"{path}: is not a SQLite database; export it with: nsys export --type=sqlite REPORT.nsys-rep"
        )
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            yield _SqliteFile(path, connection)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # names of columns are decoded strictly
        raise InputError(f"{path}: damaged SQLite database: {error}") from error


class _SqliteFile:
    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self.file = file
        self._connection = connection

    def _actual(self, table: str) -> str:
        """Return the name of a table, which some versions of the tool write with one behind it (`…_V3`)."""
        names = [
            row[0] for row in self._connection.execute("SELECT name FROM sqlite_master WHERE type <> 'index'")
        ]
        return _versioned(table, names)

    def columns(self, table: str) -> Sequence[str]:
        return [row[1] for row in self._connection.execute(f"PRAGMA table_info({self._actual(table)})")]

    def read(self, table: str, columns: Sequence[str]) -> dict[str, list[object]]:
        table = self._actual(table)
        names = ", ".join(f'"{name}"' for name in columns)
        cursor = self._connection.execute(f"SELECT {names} FROM {table}")
        found: dict[str, list[object]] = {name: [] for name in columns}
        while rows := cursor.fetchmany(_BATCH):
            for name, values in zip(columns, zip(*rows, strict=True), strict=True):
                found[name].extend(values)
        return found


def _versioned(table: str, names: Sequence[str]) -> str:
    if table in names:
        return table
    found = [name for name in names if re.fullmatch(rf"{re.escape(table)}_V\d+", name)]
    return max(found, key=lambda name: int(name.rpartition("_V")[2])) if found else table


class _ParquetFolder:
    def __init__(self, file: Path) -> None:
        self.file = file
        if not any(file.glob("*.parquet")):
            raise InputError(
                f"{file}: a folder without .parquet files; nsys export --type=parquetdir writes one"
            )

    def _table(self, table: str) -> Path:
        return self.file / f"{_versioned(table, [file.stem for file in self.file.glob('*.parquet')])}.parquet"

    def columns(self, table: str) -> Sequence[str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self._table(table)
        if not file.is_file():
            return []
        try:
            names: list[str] = pq.read_schema(file).names
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{file}: {one_line(error)}") from error
        return names

    def read(self, table: str, columns: Sequence[str]) -> dict[str, list[object]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self._table(table)
        try:
            found: dict[str, list[object]] = pq.read_table(file, columns=list(columns)).to_pydict()
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{file}: {one_line(error)}") from error
        return found


def _need(source: _Source, table: str, columns: Sequence[str]) -> dict[str, list[object]]:
    """Return columns of a table that must hold them."""
    present = source.columns(table)
    for name in columns:
        if name not in present:
            raise InputError(
                f"{source.file}: table {table} has no column '{name}': not an export of Nsight Systems?"
            )
    return source.read(table, columns)


def _strings(source: _Source) -> Mapping[object, object]:
    if not source.columns("StringIds"):
        raise InputError(f"{source.file}: no table StringIds: not an export of Nsight Systems")
    table = _need(source, "StringIds", ("id", "value"))
    return dict(zip(table["id"], table["value"], strict=True))


def _work(source: _Source, names: Mapping[object, object]) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, list[object]] = {key: [] for key in ("start_ns", "end_ns", "device", "source", "name")}
    for table in (KERNELS, *COPIES, GRAPHS):
        present = source.columns(table)
        if not present:
            continue
        label = next(
            (name for name in ("demangledName", "shortName", "mangledName") if name in present), None
        )
        if table == KERNELS and label is None:
            raise InputError(f"{source.file}: table {KERNELS} has no column with a kernel's name")
        wanted = ["start", "end", "deviceId", *([label] if table == KERNELS and label else [])]
        rows = _need(source, table, wanted)
        count = len(rows["start"])
        columns["start_ns"] += rows["start"]
        columns["end_ns"] += rows["end"]
        columns["device"] += rows["deviceId"]
        columns["source"] += [table] * count
        if table == KERNELS and label:
            columns["name"] += [str(names.get(key, f"kernel {key}")) for key in rows[label]]
        else:
            columns["name"] += [table.rpartition("_")[2].lower()] * count
    if not columns["start_ns"]:
        raise InputError(f"{source.file}: contains no GPU work (no rows in {KERNELS}): was CUDA traced?")
    try:
        whole = {key: pa.array(columns[key], pa.int64()) for key in ("start_ns", "end_ns", "device")}
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
        raise InputError(f"{source.file}: a time or device is not a whole number: {error}") from error
    return pa.table({**whole, "source": columns["source"], "name": columns["name"]})


def _ranges(source: _Source, names: Mapping[object, object]) -> pa.Table:
    import pyarrow as pa

    found: dict[str, list[object]] = {"start_ns": [], "end_ns": [], "text": []}
    present = source.columns("NVTX_EVENTS")
    if {"start", "end", "eventType", "text"} <= set(present):
        extra = ["textId"] if "textId" in present else []
        rows = _need(source, "NVTX_EVENTS", ["start", "end", "eventType", "text", *extra])
        ids = rows.get("textId", [None] * len(rows["start"]))
        for start, end, kind, text, text_id in zip(
            rows["start"], rows["end"], rows["eventType"], rows["text"], ids, strict=True
        ):
            label = text if text is not None else names.get(text_id)
            if end is not None and kind in (_PUSH_POP, _START_END) and label:
                for key, value in (("start_ns", start), ("end_ns", end), ("text", str(label))):
                    found[key].append(value)
    schema = pa.schema([("start_ns", pa.int64()), ("end_ns", pa.int64()), ("text", pa.string())])
    return pa.table(found, schema)


def _counters(source: _Source) -> pa.Table:
    import pyarrow as pa

    found: dict[str, list[object]] = {"time_ns": [], "device": [], "name": [], "value": []}
    present = source.columns("GPU_METRICS")
    if present and source.columns("TARGET_INFO_GPU_METRICS"):
        time = "timestamp" if "timestamp" in present else "rawTimestamp"
        info = _need(source, "TARGET_INFO_GPU_METRICS", ("typeId", "metricId", "metricName"))
        labels = dict(
            zip(zip(info["typeId"], info["metricId"], strict=True), info["metricName"], strict=True)
        )
        rows = _need(source, "GPU_METRICS", (time, "typeId", "metricId", "value"))
        found["time_ns"] = rows[time]
        found["device"] = [int(str(kind)) & 0xFF for kind in rows["typeId"]]
        found["name"] = [
            str(labels.get(key, "")) for key in zip(rows["typeId"], rows["metricId"], strict=True)
        ]
        found["value"] = rows["value"]
    schema = pa.schema(
        [("time_ns", pa.int64()), ("device", pa.int64()), ("name", pa.string()), ("value", pa.float64())]
    )
    return pa.table(found, schema)


def _gpus(source: _Source) -> Mapping[int, str]:
    present = source.columns("TARGET_INFO_GPU")
    if not {"id", "name"} <= set(present):
        return {}
    rows = source.read("TARGET_INFO_GPU", ["id", "name"])
    return {int(str(number)): str(name) for number, name in zip(rows["id"], rows["name"], strict=True)}


def _version(source: _Source) -> str:
    if not {"name", "value"} <= set(source.columns("META_DATA_EXPORT")):
        return ""
    rows = source.read("META_DATA_EXPORT", ["name", "value"])
    known = dict(zip(rows["name"], rows["value"], strict=True))
    return str(known.get("EXPORT_SCHEMA_VERSION", ""))
