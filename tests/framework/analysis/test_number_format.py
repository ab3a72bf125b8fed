"""Numbers as people read them."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.analysis.number_format import (
    format_duration,
    format_interval,
    format_number,
    format_value,
    is_number,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0"),
        (0.0, "0"),
        (-0.0, "0"),
        (256, "256"),
        (256.0, "256"),
        (2048, "2048"),
        (12345, "12,345"),
        (12345.678, "12,346"),
        (1234.567, "1235"),
        (123.456, "123.5"),
        (12.3456, "12.35"),
        (1.23456, "1.235"),
        (9.9996, "10.00"),
        (999.97, "1000"),
        (0.123456, "0.1235"),
        (0.9, "0.9"),
        (0.00123456, "0.001235"),
        (0.000123456, "1.235e-4"),
        (123456789.0, "1.235e8"),
        (-12.3456, "-12.35"),
        (float("inf"), "∞"),
        (True, "yes"),
        ("opt-1.3b", "opt-1.3b"),
        ([1, 2.5], "1, 2.500"),
        ({"a": 1}, '{"a": 1}'),
        (datetime(2026, 1, 2, 3, 4, 5, 6), "2026-01-02 03:04:05"),
    ],
)
def test_values_are_shown_short(value: Any, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("percent", "text"),
    [
        (9.105e-14, "0"),
        (-9.105e-14, "0"),
        (0.004, "< 0.01"),
        (-0.004, "> -0.01"),
        (0.01, "0.01"),
        (12.3456, "12.35"),
    ],
)
def test_a_percentage_is_shown_no_finer_than_a_hundredth(percent: float, text: str) -> None:
    assert format_value(percent, "%") == text
    assert format_interval(percent, percent, "%") == f"{text} … {text}"


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: 1e-300 < abs(value) < 1e300))
def test_a_shown_number_is_right_to_four_digits(value: float) -> None:
    assert float(format_number(value).replace(",", "")) == pytest.approx(value, rel=5.1e-4)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (9.97, "10 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_an_interval_with_one_open_end_says_so() -> None:
    assert format_interval(1.0, 2.5) == "1 … 2.500"
    assert format_interval(None, 2.5) == "– … 2.500"
    assert format_interval(None, None) == ""


def test_flags_and_texts_are_no_numbers() -> None:
    assert is_number(1)
    assert is_number(1.5)
    assert not is_number(True)
    assert not is_number("1")
    assert not is_number(None)
