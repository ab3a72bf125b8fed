"""Error measures: golden numbers by hand from the definitions in ../shared/data/README.md."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.analysis.error_measures import (
    bias,
    mape,
    median_ape,
    p90_ape,
    percentage_errors,
    smape_halved,
    summarise_errors,
)

PREDICTED = [110.0, 90.0, 300.0, 50.0]
MEASURED = [100.0, 100.0, 200.0, 100.0]  # errors: +10, -10, +50, -50 %


def test_mape_is_the_mean_of_absolute_relative_errors() -> None:
    assert mape(PREDICTED, MEASURED) == pytest.approx(30.0)


def test_median_and_p90_are_linear_between_order_statistics() -> None:
    assert median_ape(PREDICTED, MEASURED) == pytest.approx(30.0)
    assert p90_ape([101, 102, 103, 104, 105], [100] * 5) == pytest.approx(4.6)


def test_bias_is_positive_when_the_prediction_is_too_large() -> None:
    assert bias(PREDICTED, MEASURED) == pytest.approx(0.0)
    assert bias([110.0], [100.0]) == pytest.approx(10.0)


def test_smape_is_halved_so_that_it_never_exceeds_100() -> None:
    assert smape_halved([3.0], [1.0]) == pytest.approx(50.0)  # 2 / 4
    assert smape_halved([1.0], [0.0]) == pytest.approx(100.0)
    assert smape_halved([0.0, 3.0], [0.0, 1.0]) == pytest.approx(25.0)


def test_smape_of_5_is_a_mape_of_about_10() -> None:
    assert smape_halved([110.0], [100.0]) == pytest.approx(100 * 10 / 210)


def test_rows_without_a_value_or_with_a_measured_zero_are_left_out_and_counted() -> None:
    summary = summarise_errors([110.0, np.nan, 7.0, 5.0, np.nan], [100.0, 100.0, np.nan, 0.0, np.nan])
    assert summary.count == 1
    assert summary.mape == pytest.approx(10.0)
    assert (summary.without_prediction, summary.without_measurement, summary.measured_zero) == (1, 2, 1)


def test_no_rows_give_no_figures_rather_than_zeros() -> None:
    summary = summarise_errors([], [])
    assert summary.count == 0
    assert (
        summary.mape is summary.smape_halved is summary.median_ape is summary.p90_ape is summary.bias is None
    )


@pytest.mark.parametrize(
    ("predicted", "measured", "why"),
    [
        ([1.0], [0.0], "zero"),
        ([np.nan], [1.0], "missing"),
        ([1.0], [np.nan], "missing"),
        ([np.inf], [1.0], "infinite"),
        ([1.0, 2.0], [1.0], "equal rows"),
        ([[1.0]], [[1.0]], "equal rows"),
        ([], [], "no rows"),
    ],
)
def test_what_has_no_relative_error_is_refused(
    predicted: list[float], measured: list[float], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        percentage_errors(predicted, measured)


positive = st.floats(min_value=1e-3, max_value=1e6)
rows = st.lists(st.tuples(positive, positive), min_size=1, max_size=30)


@given(rows, st.floats(min_value=1e-3, max_value=1e3))
def test_every_measure_is_free_of_the_unit(pairs: list[tuple[float, float]], factor: float) -> None:
    p, m = np.array(pairs).T
    plain, scaled = summarise_errors(p, m), summarise_errors(p * factor, m * factor)
    for name in ("mape", "smape_halved", "median_ape", "p90_ape", "bias"):
        assert getattr(scaled, name) == pytest.approx(getattr(plain, name), rel=1e-6, abs=1e-6)


@given(rows)
def test_measures_keep_their_order(pairs: list[tuple[float, float]]) -> None:
    p, m = np.array(pairs).T
    assert abs(bias(p, m)) <= mape(p, m) * (1 + 1e-9) + 1e-9
    assert median_ape(p, m) <= p90_ape(p, m) + 1e-9
    assert 0 <= smape_halved(p, m) <= 100
    assert smape_halved(p, m) == pytest.approx(smape_halved(m, p))
