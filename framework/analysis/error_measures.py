"""How wrong a prediction is: MAPE, halved SMAPE, median and p90 absolute percentage error, bias.

With prediction p and measurement m, row by row, all in percent:

    relative error e = 100 (p / m - 1)
    MAPE             = mean |e|
    median, p90 APE  = 50th, 90th percentile of |e| (linear between order statistics)
    bias             = mean e; positive when the prediction is too large
    halved SMAPE     = mean 100 |p - m| / (|p| + |m|): for small errors half a MAPE

ALOJA's "RAE" is MAPE. A relative error of a measured zero does not exist, and a missing value is not a zero:
`summarise_errors` leaves such rows out and says how many.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ErrorSummary:
    """Errors of one predicted quantity over a set of rows; percentages, None when no row counts.

    Attributes:
        count: rows behind the figures.
        mape, smape_halved, median_ape, p90_ape, bias: see the module.
        without_prediction: rows left out because the prediction is missing.
        without_measurement: rows left out because the measurement is missing.
        measured_zero: rows left out because a relative error of zero does not exist.
    """

    count: int
    mape: float | None = None
    smape_halved: float | None = None
    median_ape: float | None = None
    p90_ape: float | None = None
    bias: float | None = None
    without_prediction: int = 0
    without_measurement: int = 0
    measured_zero: int = 0


def summarise_errors(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> ErrorSummary:
    """Summarise the rows that have both values; NaN represents a missing value.

    Raises:
        ValueError: the two are not one-dimensional and of equal length, or contain an infinity.
    """
    prediction, measurement = _pair(predicted, measured)
    no_measurement = np.isnan(measurement)
    no_prediction = np.isnan(prediction) & ~no_measurement
    zero = (measurement == 0) & ~no_prediction
    rows = ~(no_measurement | no_prediction | zero)
    left_out = ErrorSummary(
        count=int(rows.sum()),
        without_prediction=int(no_prediction.sum()),
        without_measurement=int(no_measurement.sum()),
        measured_zero=int(zero.sum()),
    )
    if left_out.count == 0:
        return left_out
    p, m = prediction[rows], measurement[rows]
    return replace(
        left_out,
        mape=mape(p, m),
        smape_halved=smape_halved(p, m),
        median_ape=median_ape(p, m),
        p90_ape=p90_ape(p, m),
        bias=bias(p, m),
    )


def percentage_errors(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> FloatArray:
    """Return 100 (p / m - 1) for each row; shape (n,).

    Raises:
        ValueError: there is no row, a value is missing or infinite, or a measurement is zero.
    """
    p, m = _complete(predicted, measured)
    if np.any(m == 0):
        raise ValueError("a measurement is zero: its relative error does not exist")
    return 100.0 * (p / m - 1.0)


def mape(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> float:
    """Return the mean absolute percentage error."""
    return float(np.mean(np.abs(percentage_errors(predicted, measured))))


def median_ape(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> float:
    """Return the median absolute percentage error."""
    return float(np.median(np.abs(percentage_errors(predicted, measured))))


def p90_ape(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> float:
    """Return the 90th percentile of the absolute percentage error, linear between order statistics."""
    return float(np.percentile(np.abs(percentage_errors(predicted, measured)), 90))


def bias(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> float:
    """Return the mean signed percentage error; positive when the prediction is too large."""
    return float(np.mean(percentage_errors(predicted, measured)))


def smape_halved(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> float:
    """Return 100 mean(|p - m| / (|p| + |m|)), between 0 and 100; a row where both are zero counts as 0.

    Raises:
        ValueError: there is no row, or a value is missing or infinite.
    """
    p, m = _complete(predicted, measured)
    size = np.abs(p) + np.abs(m)
    share = np.divide(np.abs(p - m), size, out=np.zeros_like(size), where=size > 0)
    return float(100.0 * np.mean(share))


def _pair(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    p, m = np.asarray(predicted, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if p.ndim != 1 or p.shape != m.shape:
        raise ValueError(
            f"predictions and measurements must be two equal rows, got shapes {p.shape}, {m.shape}"
        )
    if np.any(np.isinf(p)) or np.any(np.isinf(m)):
        raise ValueError("a prediction or measurement is infinite")
    return p, m


def _complete(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    p, m = _pair(predicted, measured)
    if p.size == 0:
        raise ValueError("no rows to measure an error on")
    if np.any(np.isnan(p)) or np.any(np.isnan(m)):
        raise ValueError("a prediction or measurement is missing (NaN)")
    return p, m
