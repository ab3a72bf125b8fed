"""Decimal commas and points, by what the numbers of a file look like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.input_files.decimal_marks import MixedMarksError, decimal_mark, number_with


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["10.00", "1,000,000"], "."),
        (["10,00", "1.000.000"], ","),
        (["10,00", "1 000 000"], ","),
        (["1,234.5"], "."),
        (["1.234,5"], ","),
        (["1,234", "name", "n/a", ""], None),
        (["0,123"], ","),
        (["12", "13"], None),
    ],
)
def test_the_mark_is_what_some_number_settles(texts: list[str], mark: str | None) -> None:
    assert decimal_mark(texts) == mark


def test_both_marks_in_one_file_are_refused() -> None:
    with pytest.raises(MixedMarksError, match=r"2\.55.*2,55"):
        decimal_mark(["2.55", "2,55"])


@pytest.mark.parametrize(
    ("text", "mark"), [("1,23,456", "."), ("1,234", None), ("12,34", "."), ("x", "."), ("1.2.3", ".")]
)
def test_what_is_no_number_with_this_mark_is_refused(text: str, mark: str | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        number_with(text, mark)


@given(st.floats(min_value=-1e9, max_value=1e9), st.sampled_from([".", ","]), st.integers(0, 6))
def test_a_number_written_with_a_mark_is_read_back(value: float, mark: str, digits: int) -> None:
    text = f"{value:,.{digits}f}"
    if mark == ",":
        text = text.replace(",", "_").replace(".", ",").replace("_", ".")
    assert number_with(text, mark) == float(f"{value:.{digits}f}")
