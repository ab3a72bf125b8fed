"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework_hadoop.benchmarks.data_size import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("10MB", 10_000_000),
        ("64KiB", 65_536),
        ("1GB", 10**9),
        ("1.5 GiB", 3 * 2**29),
        ("123", 123),
        (456, 456),
        ("7b", 7),
        ("2m", 2_000_000),
    ],
)
def test_a_size_is_a_number_with_a_decimal_or_binary_prefix(text: str | int, size_bytes: int) -> None:
    assert parse_size(text, "workload.size") == size_bytes


@pytest.mark.parametrize(
    "text", ["", "MB", "10XB", "-1MB", "0", "1.5", "1e6", "10iB", True, None, 1.5, "0.0001KB"]
)
def test_what_is_no_whole_positive_size_is_refused_with_its_key(text: object) -> None:
    with pytest.raises(ConfigError, match=r"^workload\.size: "):
        parse_size(text, "workload.size")


@given(st.integers(min_value=1, max_value=10**15))
def test_a_formatted_size_reads_back_as_itself(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes), "size") == size_bytes
