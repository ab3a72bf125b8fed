"""Hashes of content: of Arrow tables, independent of how they are laid out in memory, and of source files.

Two tables with the same column names, types and values hash the same, whatever their chunking, slicing,
buffer padding, bytes under nulls, schema metadata, dictionary encoding or version of pyarrow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_HEX_DIGITS = 32


def tables_hash(tables: Mapping[str, pa.Table]) -> str:
    """Return a hex digest (128 bits of SHA-256) of named tables: names, schemas and values, rows in order.

    Raises:
        TypeError: a column's type has no canonical form here (maps, unions, extension types).
    """
    digest = hashlib.sha256()
    for name in sorted(tables):
        table = tables[name]
        _add_text(digest, f"table {name} {table.num_rows} {table.num_columns}")
        for field, column in zip(table.schema, table.columns, strict=True):
            _add_text(digest, f"column {field.name}")
            _add_array(digest, _one_array(column))
    return digest.hexdigest()[:_HEX_DIGITS]


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _add_text(digest: Any, text: str) -> None:
    encoded = text.encode()
    digest.update(len(encoded).to_bytes(8, "little") + encoded)


def _add_array(digest: Any, array: pa.Array) -> None:
    """Add type, validity and values; a null's own bytes never count."""
    import numpy as np
    import pyarrow as pa

    kind = array.type
    if pa.types.is_dictionary(kind):
        _add_array(digest, array.dictionary_decode())
        return
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        _add_text(digest, "list")
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        _add_numbers(digest, np.packbits(valid), lengths.astype("<i8"))
        _add_array(digest, array.flatten())
    elif pa.types.is_struct(kind):
        _add_text(digest, f"struct {[kind.field(i).name for i in range(kind.num_fields)]}")
        _add_numbers(digest, np.packbits(valid))
        for child in array.flatten():
            _add_array(digest, child)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        _add_text(digest, "binary" if pa.types.is_binary(kind) else "string")
        encoded = [b"" if value is None else _encoded(value) for value in array.to_pylist()]
        lengths = np.array([len(value) for value in encoded], dtype="<i8")
        _add_numbers(digest, np.packbits(valid), lengths)
        digest.update(b"".join(encoded))
    elif pa.types.is_null(kind):
        _add_text(digest, f"null {len(array)}")
    else:
        _add_text(digest, _canonical_name(kind))
        _add_numbers(digest, np.packbits(valid), _canonical_numbers(array))


def _encoded(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _canonical_name(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        letter = "f" if pa.types.is_floating(kind) else "i" if pa.types.is_signed_integer(kind) else "u"
        return f"{letter}{kind.bit_width}"
    if pa.types.is_timestamp(kind):
        return f"timestamp {kind.unit} {kind.tz}"
    if pa.types.is_duration(kind):
        return f"duration {kind.unit}"
    if pa.types.is_date32(kind):
        return "date"
    raise TypeError(f"no canonical form for a column of type {kind}")


def _canonical_numbers(array: pa.Array) -> Any:
    """Return the values as a little-endian array: zero under nulls, one NaN, no negative zero."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_temporal(array.type):
        array = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    filled = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    numbers = filled.to_numpy(zero_copy_only=False)
    if numbers.dtype.kind == "f":
        numbers = numbers + np.zeros((), numbers.dtype)
        numbers[np.isnan(numbers)] = np.nan
    return numbers.astype(numbers.dtype.newbyteorder("<"), copy=False)


def _add_numbers(digest: Any, *arrays: Any) -> None:
    import numpy as np

    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())


def source_fingerprint(folder: Path, suffixes: tuple[str, ...]) -> str:
    """Return a hash of the content of all files with these suffixes below a folder, by relative path.

    For what a closure of Python code can't see: a backend's programs in other languages, its own tables.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix in suffixes and file.is_file():
            digest.update(str(file.relative_to(folder)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
