from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.identity.fingerprint import tables_hash

TABLE = pa.table(
    {
        "id": pa.array([0, 1, None, 3], pa.int64()),
        "x": pa.array([0.5, None, float("nan"), -1.0]),
        "name": pa.array(["a", None, "", "béta"]),
        "blocks": pa.array([[1, 2], None, [], [3, None]], pa.list_(pa.int64())),
        "flag": pa.array([True, None, False, False]),
        "at": pa.array([1, 2, None, 4], pa.timestamp("us")),
    }
)


def test_hash_is_of_bytes_that_no_library_decides() -> None:
    def text(line: str) -> bytes:
        return len(line).to_bytes(8, "little") + line.encode()

    validity, values = b"\xc0", (1).to_bytes(8, "little") + (2).to_bytes(8, "little")
    said = text("table t 2 1") + text("column a") + text("i64") + validity + values
    table = pa.table({"a": pa.array([1, 2], pa.int64())})
    assert tables_hash({"t": table}) == hashlib.sha256(said).hexdigest()[:32]


@given(st.lists(st.integers(0, 4), max_size=6))
def test_chunking_and_slicing_do_not_change_the_hash(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), 4]
    pieces = [TABLE.slice(start, end - start) for start, end in pairwise(edges)]
    assert tables_hash({"t": pa.concat_tables(pieces)}) == tables_hash({"t": TABLE})


def test_bytes_under_a_null_do_not_change_the_hash() -> None:
    mask = np.array([False, True])
    one = pa.table({"x": pa.array(np.array([1.0, 7.0]), mask=mask)})
    other = pa.table({"x": pa.array(np.array([1.0, 9.0]), mask=mask)})
    assert tables_hash({"t": one}) == tables_hash({"t": other})


def test_schema_metadata_and_dictionary_encoding_do_not_change_the_hash() -> None:
    names = pa.table({"name": pa.array(["a", "b", "a"])})
    encoded = pa.table({"name": names["name"].dictionary_encode()}).replace_schema_metadata({"k": "v"})
    assert tables_hash({"t": encoded}) == tables_hash({"t": names})


@pytest.mark.parametrize("column", TABLE.column_names)
def test_any_changed_value_changes_the_hash(column: str) -> None:
    position = TABLE.column_names.index(column)
    backwards = TABLE.set_column(position, column, TABLE[column].take(pa.array([3, 1, 2, 0])))
    assert tables_hash({"t": backwards}) != tables_hash({"t": TABLE})


def test_names_types_and_order_of_rows_count() -> None:
    hashes = {
        tables_hash({"t": TABLE}),
        tables_hash({"other": TABLE}),
        tables_hash({"t": TABLE.rename_columns([name.upper() for name in TABLE.column_names])}),
        tables_hash({"t": TABLE.set_column(0, "id", TABLE["id"].cast(pa.int32()))}),
        tables_hash({"t": TABLE.take(pa.array([1, 0, 2, 3]))}),
        tables_hash({"t": TABLE, "empty": TABLE.slice(0, 0)}),
    }
    assert len(hashes) == 6


def test_list_boundaries_count_not_only_their_values() -> None:
    one = pa.table({"b": pa.array([[1, 2], [3]], pa.list_(pa.int64()))})
    other = pa.table({"b": pa.array([[1], [2, 3]], pa.list_(pa.int64()))})
    assert tables_hash({"t": one}) != tables_hash({"t": other})


def test_a_type_without_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        tables_hash({"t": pa.table({"m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))})})
