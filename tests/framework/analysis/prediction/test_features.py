from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from framework.analysis.prediction.features import FeatureEncoder, group_codes, one_hot


def text(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def test_a_level_that_training_never_saw_is_missing_and_no_other_level() -> None:
    encoder = FeatureEncoder.fit({"codec": text("none", "zlib")})

    encoded = encoder.encode({"codec": text("zlib", "lz4", None)})

    assert encoded.values[0, 0] == 1.0
    assert np.isnan(encoded.values[1:, 0]).all()


def test_none_as_text_is_a_level_of_its_own() -> None:
    encoder = FeatureEncoder.fit({"codec": text("None", "zlib", None)})

    assert encoder.levels == (("None", "zlib"),)


def test_a_constant_column_is_dropped() -> None:
    encoder = FeatureEncoder.fit({"nodes": np.array([8.0, 8.0]), "maps": np.array([2.0, 4.0])})

    assert encoder.names == ("maps",)


def test_a_column_that_the_asked_rows_lack_is_missing_in_every_row() -> None:
    encoder = FeatureEncoder.fit({"maps": np.array([2.0, 4.0]), "net": text("ETH", "IB")})

    encoded = encoder.encode({"net": text("IB")})

    assert np.isnan(encoded.values[0, 0])
    assert encoded.values[0, 1] == 1.0


def test_a_text_where_training_had_numbers_is_missing() -> None:
    encoder = FeatureEncoder.fit({"maps": np.array([2.0, 4.0])})

    assert np.isnan(encoder.encode({"maps": text("many")}).values[0, 0])
    assert encoder.encode({"maps": text("4")}).values[0, 0] == 4.0


def test_one_hot_gives_an_unknown_level_a_row_of_zeros() -> None:
    encoder = FeatureEncoder.fit({"net": text("ETH", "IB")})

    table, names = one_hot(encoder.encode({"net": text("IB", "FDDI")}))

    assert names == ("net=ETH", "net=IB")
    assert table.tolist() == [[0.0, 1.0], [0.0, 0.0]]


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([1.0, 2.0])), min_size=1))
def test_group_codes_are_equal_exactly_for_equal_rows(rows: list[tuple[str | None, float]]) -> None:
    columns = {"x": text(*(row[0] for row in rows)), "y": np.array([row[1] for row in rows])}

    codes = group_codes(columns, ["x", "y"])

    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            assert (codes[i] == codes[j]) == (a == b)
