"""Executions read from CSV files in ALOJA's columns.

ALOJA's traps: "None" is a codec, not a missing value; a block size of 0 is a missing one; a provider is written in
two ways. What a cell holds is either a value, missing (empty, `NULL`, a coded 0 or -1), or odd (text where a number
belongs); odd cells are missing too, but counted with their row, and strict readers refuse them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from framework.errors import InputError, did_you_mean, one_line
from framework.input_files.decimal_marks import MixedMarksError, decimal_mark, number_with
from framework.input_files.file_head import delimiter_of
from framework.input_files.opening import HEAD_BYTES, encoding_of, opened_bytes
from framework_hadoop.executions.execution_table import (
    COLUMNS,
    OUTCOMES,
    SIZES,
    ExecutionColumn,
    Executions,
    OddCell,
    empty_column,
    plain_heading,
)

if TYPE_CHECKING:
    import pyarrow as pa

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


def read_executions(file: Path | str, strict: bool = False) -> Executions:
    """Read a CSV file in ALOJA's columns, compressed or not, by the names of its exports or of its database.

    Columns that ALOJA does not have are settings of the user's own: numbers where all cells are, else names.

    Args:
        file: its path.
        strict: refuse the file for its first odd cell.

    Raises:
        InputError: no such file, no table of executions, a row of the wrong length, or (strict) an odd cell; one
            line that names the file, and the row where there is one.
    """
    path = Path(file)
    table, mark = _read_text_table(path)
    headings = _by_plain_name(table.column_names, path)
    if "benchmark" not in headings and "bench" not in headings:
        hint = did_you_mean("Benchmark", list(headings.values()))
        raise InputError(f"{path}: no column 'Benchmark' among the {len(headings)} columns{hint}")
    odd: list[OddCell] = []
    columns: dict[str, np.ndarray] = {}
    absent, read = [], set()
    for column in COLUMNS:
        names = [headings[plain_heading(name)] for name in column.source if plain_heading(name) in headings]
        if not names:
            absent.append(column.name)
            columns[column.name] = empty_column(column.kind, table.num_rows)
            continue
        read.update(names)  # a second one is the same by another name (the cluster's number)
        columns[column.name] = _column(column, names[0], table.column(names[0]), odd, mark)
    columns["benchmark"] = _required_benchmark(columns["benchmark"], path, odd)
    if strict and odd:
        raise InputError(f"{path}: {odd[0]}, not {_expected(odd[0].column)}")
    own, facts, notes = _own_columns(table, [name for name in headings.values() if name not in read], mark)
    columns |= {name: values for name, (_, values) in own.items()}
    return Executions(
        columns,
        str(path),
        tuple(odd),
        tuple(absent),
        {name: column for name, (column, _) in own.items()},
        facts,
        tuple(notes),
    )


def _by_plain_name(headings: Sequence[str], path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for heading in headings:
        other = found.setdefault(plain_heading(heading) or heading, heading)
        if other != heading:
            raise InputError(f"{path}: columns '{other}' and '{heading}' have the same name")
    return found


def own_name(heading: str) -> str:
    """Return the parameter that a user's own column becomes: `Executor.Memory` → `backend.executor_memory`."""
    return "backend." + re.sub(r"[^a-z0-9]+", "_", heading.strip().lower()).strip("_")


def _own_columns(
    table: pa.Table, headings: Sequence[str], mark: str | None
) -> tuple[dict[str, tuple[ExecutionColumn, np.ndarray]], dict[str, np.ndarray], list[str]]:
    """Return the columns that are not ALOJA's usual ones, those that are facts, and what to tell of them."""
    outcomes = {plain_heading(name) for name in OUTCOMES}
    sizes = {plain_heading(name): column for column in SIZES for name in column.source}
    own: dict[str, tuple[ExecutionColumn, np.ndarray]] = {}
    facts: dict[str, np.ndarray] = {}
    listed, unique = [], []
    for heading in headings:
        texts = np.array([(text or "").strip() for text in table.column(heading).to_pylist()], dtype=object)
        known = [text for text in texts.tolist() if text.upper() not in _MISSING]
        if plain_heading(heading) in outcomes or not heading.strip():
            facts[heading or "column without a name"] = texts
            continue
        if not known:
            continue
        numbers = _numbers(texts, mark)
        if numbers is None and len(known) >= 10 and len(set(known)) == len(known):
            facts[heading] = texts
            unique.append(heading)
            continue
        standard = sizes.get(plain_heading(heading))
        name = standard.name if standard else own_name(heading)
        column = ExecutionColumn(
            name, (heading,), "name" if numbers is None else "number", name.partition(".")[0]
        )
        values = _names(texts) if numbers is None else numbers
        own[name] = (column, values)
        if standard is None:
            listed.append(f"{heading} → {name}")
    notes = []
    if listed:
        notes.append("columns that ALOJA does not have count as settings: " + ", ".join(listed))
    if unique:
        notes.append("columns with another text in each row are kept as facts: " + ", ".join(unique))
    return own, facts, notes


def _numbers(texts: np.ndarray, mark: str | None) -> np.ndarray | None:
    """Return the column as numbers, missing ones as NaN; None if a cell is not a number."""
    found: dict[str, float] = {}
    for text in set(texts.tolist()):
        if text.upper() in _MISSING:
            found[text] = np.nan
            continue
        try:
            found[text] = number_with(text, mark)
        except ValueError:
            return None
        if not np.isfinite(found[text]):
            return None
    return np.array([found[text] for text in texts.tolist()])


def _names(texts: np.ndarray) -> np.ndarray:
    return np.array(
        [None if text.upper() in _MISSING else text.lower() for text in texts.tolist()], dtype=object
    )


def _expected(heading: str) -> str:
    kinds = {heading: column.kind for column in COLUMNS for heading in column.source}
    return "a positive number" if kinds.get(heading) == "number" else "a name"


def _read_text_table(path: Path) -> tuple[pa.Table, str | None]:
    """Return the cells as texts, and the decimal mark of the file (None: no number settles it)."""
    import pyarrow as pa
    from pyarrow import csv

    if not path.is_file():
        raise InputError(f"file '{path}' does not exist or is not a regular file")
    try:
        with opened_bytes(path) as stream:
            data = stream.read()
        encoding = encoding_of(data[:HEAD_BYTES]) or "utf-8"
        if encoding != "utf-8":
            data = data.decode(encoding).encode()
        first = data.lstrip().partition(b"\n")[0].decode(errors="replace")
        delimiter = delimiter_of(first)
        in_order = csv.ReadOptions(use_threads=False)  # its errors then name the row
        form = csv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in data)
        opened = csv.open_csv(pa.BufferReader(data), read_options=in_order, parse_options=form)
        names = opened.schema.names
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{path}: column '{twice}' is in the header twice")
        table = csv.read_csv(
            pa.BufferReader(data),
            read_options=in_order,
            parse_options=form,
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
        return table, "." if delimiter == "," else _mark(path, table)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not a readable CSV table: not a text in UTF-8 or UTF-16: {error}"
        ) from error
    except (pa.ArrowException, OSError, EOFError) as error:
        raise InputError(f"{path}: not a readable CSV table: {_parse_trouble(error)}") from error


def _mark(path: Path, table: pa.Table) -> str | None:
    """Return the decimal mark: in a file that commas separate it is the point, elsewhere its numbers say it."""
    import pyarrow.compute as pc

    distinct = (text for column in table.columns for text in pc.unique(column).to_pylist() if text)
    try:
        return decimal_mark(distinct)
    except MixedMarksError as error:
        raise InputError(f"{path}: {error}") from None


def _parse_trouble(error: Exception) -> str:
    """Return a parser's message in one short line, its row counted from 1 without the header, as ours are."""
    line = one_line(error).removeprefix("CSV parse error: ")
    wrong_length = re.match(r"Row #(\d+): Expected (\d+) columns, got (\d+)", line)
    if wrong_length:
        row, expected, got = map(int, wrong_length.groups())
        return f"row {row - 1} has {got} cells instead of {expected}"
    return line


_LARGEST_NUMBER = 1e15
"""No time in seconds, number of nodes or bytes of a buffer is beyond a million times a thousand million."""


def _column(
    column: ExecutionColumn, heading: str, cells: pa.ChunkedArray, odd: list[OddCell], mark: str | None
) -> np.ndarray:
    """Return a column's values: each distinct text is looked at once, since few differ."""
    encoded = cells.combine_chunks().dictionary_encode()
    texts = [text.strip() for text in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    if column.kind != "number":
        levels = np.array([_name(text, column) for text in texts], dtype=object)
        return levels[codes] if len(levels) else empty_column(column.kind, len(codes))
    values = np.full(len(texts), np.nan)
    for position, text in enumerate(texts):
        if text.upper() in _MISSING:
            continue
        try:
            values[position] = float(text) if mark == "." else number_with(text, mark)
        except ValueError:
            values[position] = np.inf  # marks an odd text until its rows are noted
        if values[position] > _LARGEST_NUMBER:
            values[position] = np.inf
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
    if column.name == "codec":
        name = name.removeprefix("cmp") if re.fullmatch(r"cmp\d+", name) else name
        return _CODECS.get(name, name)
    return name


def _required_benchmark(values: np.ndarray, path: Path, odd: list[OddCell]) -> np.ndarray:
    if len(values) == 0:
        raise InputError(f"{path}: contains no execution")
    nameless = [row for row, value in enumerate(values.tolist()) if value is None]
    odd += [OddCell(row + 1, "Benchmark", "") for row in nameless]
    return values
