"""Executions of data-engine benchmarks as one table with our names, read from CSV files in ALOJA's columns.

ALOJA's traps: "None" is a codec, not a missing value; a block size of 0 is a missing one; a provider is written in
two ways. What a cell holds is either a value, missing (empty, `NULL`, a coded 0 or -1), or odd (text where a number
belongs); odd cells are missing too, but counted with their row, and strict readers refuse them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from framework.errors import InputError, did_you_mean, one_line

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["number", "name", "text"]


@dataclass(frozen=True)
class ExecutionColumn:
    """One column.

    Attributes:
        name: ours.
        source: ALOJA's headings, the first one present counts.
        kind: a positive number; a name (case does not matter); or text as it is.
        group: where it is in a run's configuration; "" for what is not a configuration.
    """

    name: str
    source: tuple[str, ...]
    kind: Kind
    group: str = ""


COLUMNS = (
    ExecutionColumn("execution_id", ("ID",), "text"),
    ExecutionColumn("exe_time_s", ("Exe.Time",), "number"),
    ExecutionColumn("benchmark", ("Benchmark",), "name", "workload"),
    ExecutionColumn("suite", ("Bench.Type",), "text", "workload"),
    ExecutionColumn("network", ("Net",), "name", "cluster"),
    ExecutionColumn("disk", ("Disk",), "name", "cluster"),
    ExecutionColumn("map_slots", ("Maps",), "number", "backend"),
    ExecutionColumn("io_sort_factor", ("IO.SFac",), "number", "backend"),
    ExecutionColumn("replication", ("Rep",), "number", "backend"),
    ExecutionColumn("io_file_buffer_bytes", ("IO.FBuf",), "number", "backend"),
    ExecutionColumn("codec", ("Comp",), "name", "backend"),
    ExecutionColumn("block_size_mb", ("Blk.size", "Blk.Size"), "number", "backend"),
    ExecutionColumn("cluster", ("Cl.Name", "Cluster"), "text", "cluster"),
    ExecutionColumn("data_nodes", ("Datanodes",), "number", "cluster"),
    ExecutionColumn("head_nodes", ("Headnodes",), "number", "cluster"),
    ExecutionColumn("vm_os", ("VM.OS",), "name", "cluster"),
    ExecutionColumn("cores_per_node", ("VM.Cores",), "number", "cluster"),
    ExecutionColumn("memory_per_node_gb", ("VM.RAM",), "number", "cluster"),
    ExecutionColumn("provider", ("Provider",), "name", "cluster"),
    ExecutionColumn("vm_size", ("VM.Size",), "text", "cluster"),
    ExecutionColumn("service_type", ("Service.Type",), "name", "cluster"),
)
BY_NAME = {column.name: column for column in COLUMNS}
CONFIGURATION = tuple(column.name for column in COLUMNS if column.group)

_MISSING = frozenset({"", "NULL", "NA", "N/A", "NAN", "-", "?"})
# 0 to 3 in ALOJA's tables. Code 2 is BZIP2 to the web tool and LZO to the runner, so it keeps both names.
_CODECS = {
    "0": "none",
    "1": "zlib",
    "2": "bzip2/lzo",
    "3": "snappy",
    "bzip2": "bzip2/lzo",
    "lzo": "bzip2/lzo",
}


@dataclass(frozen=True)
class OddCell:
    """A cell without a valid value of its column. `row` counts from 1, without the header."""

    row: int
    column: str
    text: str

    def __str__(self) -> str:
        return f"row {self.row}: column '{self.column}' holds {self.text!r}"


@dataclass(frozen=True)
class Executions:
    """Executions, one row each, in file order.

    Attributes:
        columns: by our names; numbers as float64 with NaN for missing, texts as objects with None.
        source: the file, or where else they come from.
        odd: cells without a valid value of their column (they are missing in `columns`).
        absent: our names of the columns that the file lacks.
    """

    columns: Mapping[str, np.ndarray]
    source: str
    odd: Sequence[OddCell] = field(default_factory=tuple)
    absent: Sequence[str] = field(default_factory=tuple)

    def __len__(self) -> int:
        return len(self.columns["benchmark"])

    def rows(self, index: np.ndarray) -> Executions:
        """Return the rows that an index or mask selects."""
        return Executions({name: values[index] for name, values in self.columns.items()}, self.source)

    @property
    def time_s(self) -> np.ndarray:
        """Execution time in seconds; NaN where there is none."""
        return self.columns["exe_time_s"]

    @property
    def finished(self) -> np.ndarray:
        """Mask of the rows with a time."""
        finished: np.ndarray = np.isfinite(self.time_s)
        return finished


def read_executions(file: Path | str, strict: bool = False) -> Executions:
    """Read a CSV file (or `.csv.gz`) in ALOJA's columns.

    Args:
        file: its path.
        strict: refuse the file for its first odd cell.

    Raises:
        InputError: no such file, no table of executions, a row of the wrong length, or (strict) an odd cell; one
            line that names the file, and the row where there is one.
    """
    path = Path(file)
    table = _read_text_table(path)
    headings = table.column_names
    if "Benchmark" not in headings:
        hint = did_you_mean("Benchmark", headings)
        raise InputError(f"{path}: no column 'Benchmark' among the {len(headings)} columns{hint}")
    odd: list[OddCell] = []
    columns: dict[str, np.ndarray] = {}
    absent = []
    for column in COLUMNS:
        heading = next((name for name in column.source if name in headings), None)
        if heading is None:
            absent.append(column.name)
            columns[column.name] = _empty(column.kind, table.num_rows)
            continue
        columns[column.name] = _column(column, heading, table.column(heading), odd)
    columns["benchmark"] = _required_benchmark(columns["benchmark"], path, odd)
    if strict and odd:
        raise InputError(f"{path}: {odd[0]}, not {_expected(odd[0].column)}")
    return Executions(columns, str(path), tuple(odd), tuple(absent))


def _expected(heading: str) -> str:
    kinds = {heading: column.kind for column in COLUMNS for heading in column.source}
    return "a positive number" if kinds.get(heading) == "number" else "a name"


def _read_text_table(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    if not path.is_file():
        raise InputError(f"file '{path}' does not exist or is not a regular file")
    try:
        with pa.input_stream(str(path)) as stream:
            data = stream.read()
        in_order = csv.ReadOptions(use_threads=False)  # its errors then name the row
        names = csv.open_csv(pa.BufferReader(data), read_options=in_order).schema.names
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{path}: column '{twice}' is in the header twice")
        return csv.read_csv(
            pa.BufferReader(data),
            read_options=in_order,
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, OSError, EOFError) as error:
        raise InputError(f"{path}: not a readable CSV table: {_parse_trouble(error)}") from error


def _parse_trouble(error: Exception) -> str:
    """Return a parser's message in one short line, its row counted from 1 without the header, as ours are."""
    line = one_line(error).removeprefix("CSV parse error: ")
    wrong_length = re.match(r"Row #(\d+): Expected (\d+) columns, got (\d+)", line)
    if wrong_length:
        row, expected, got = map(int, wrong_length.groups())
        return f"row {row - 1} has {got} cells instead of {expected}"
    return line


def _empty(kind: Kind, rows: int) -> np.ndarray:
    return np.full(rows, np.nan) if kind == "number" else np.full(rows, None, dtype=object)


def _column(column: ExecutionColumn, heading: str, cells: pa.ChunkedArray, odd: list[OddCell]) -> np.ndarray:
    """Return a column's values: each distinct text is looked at once, since few differ."""
    encoded = cells.combine_chunks().dictionary_encode()
    texts = [text.strip() for text in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    if column.kind != "number":
        levels = np.array([_name(text, column) for text in texts], dtype=object)
        return levels[codes] if len(levels) else _empty(column.kind, len(codes))
    values = np.full(len(texts), np.nan)
    for position, text in enumerate(texts):
        if text.upper() in _MISSING:
            continue
        try:
            values[position] = float(text)
        except ValueError:
            values[position] = np.inf  # marks an odd text until its rows are noted
    strange = np.isinf(values)
    for row in np.flatnonzero(strange[codes]) if strange.any() else ():
        odd.append(OddCell(int(row) + 1, heading, texts[codes[row]]))
    values[strange | (values <= 0)] = np.nan  # 0 and -1 are ALOJA's codes for "not known"
    return values[codes] if len(values) else np.zeros(len(codes))


def _name(text: str, column: ExecutionColumn) -> str | None:
    if text.upper() in _MISSING:
        return None
    if column.kind == "text":
        return text
    if column.name in ("disk", "network"):
        return text.upper()
    name = text.lower()
    return _CODECS.get(name, name) if column.name == "codec" else name


def _required_benchmark(values: np.ndarray, path: Path, odd: list[OddCell]) -> np.ndarray:
    if len(values) == 0:
        raise InputError(f"{path}: contains no execution")
    nameless = [row for row, value in enumerate(values.tolist()) if value is None]
    odd += [OddCell(row + 1, "Benchmark", "") for row in nameless]
    return values


def to_arrow(executions: Executions) -> pa.Table:
    """Return the columns as an Arrow table; missing values are null."""
    import pyarrow as pa

    kinds = {"number": pa.float64(), "name": pa.string(), "text": pa.string()}
    return pa.table(
        {
            name: pa.array(values, kinds[BY_NAME[name].kind], from_pandas=True)
            for name, values in executions.columns.items()
        }
    )


def from_arrow(table: pa.Table, source: str = "table") -> Executions:
    """Return executions from a table with our columns; one that is absent is missing in every row."""
    columns = {}
    for column in COLUMNS:
        if column.name not in table.column_names:
            columns[column.name] = _empty(column.kind, table.num_rows)
        elif column.kind == "number":
            numbers = table.column(column.name).to_numpy(zero_copy_only=False)
            columns[column.name] = np.asarray(numbers, dtype=np.float64)
        else:
            columns[column.name] = np.array(table.column(column.name).to_pylist(), dtype=object)
    return Executions(columns, source)
