"""One-step forecasts of a series, all out of sample: what was trained on other ships, or on the series' own past.

Every forecaster sees the rows before the one it forecasts and nothing else of the test series. VAR is fitted to other
ships, ARIMA to the first part of the same series, and both are scored on the rest.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError
from framework_maritime.series.crbm import Crbm, train
from framework_maritime.series.gru import gru_forecaster
from framework_maritime.series.windows import Forecaster, Scaler, Series, history, usable_rows

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

LEARNERS = ("crbm", "last", "seasonal", "var", "arima", "gru")


def training_windows(
    series: Sequence[Series], scaler: Scaler, delay: int, most: int, seed: int
) -> tuple[Array, Array]:
    """Return at most so many windows of all series, drawn evenly: (rows, history), standard scores."""
    random = np.random.default_rng([seed, 17])
    rows, pasts = [], []
    share = max(1, most // max(1, len(series)))
    for one in series:
        usable = usable_rows(one, delay)
        if len(usable) > share:
            usable = np.sort(random.choice(usable, share, replace=False))
        scaled = scaler(one.values)
        rows.append(scaled[usable])
        pasts.append(history(scaled, usable, delay))
    return np.concatenate(rows), np.concatenate(pasts)


def crbm_forecaster(machine: Crbm, scaler: Scaler, delay: int) -> Forecaster:
    """Return the machine's forecast: its mean-field steps start from the history."""

    def forecast(series: Series, rows: Rows) -> Array:
        past = history(scaler(series.values), rows, delay)
        return np.asarray(machine.forecast(past) * scaler.sd + scaler.mean)

    return forecast


def crbm_reconstruction(machine: Crbm, scaler: Scaler, delay: int) -> Forecaster:
    """Return the machine's reconstruction, which has seen the row: scored apart from forecasts."""

    def rebuild(series: Series, rows: Rows) -> Array:
        scaled = scaler(series.values)
        return np.asarray(
            machine.reconstruction(scaled[rows], history(scaled, rows, delay)) * scaler.sd + scaler.mean
        )

    return rebuild


def forecaster(
    learner: str,
    training: Sequence[Series],
    delay: int,
    hidden: int,
    season: int,
    seed: int,
    windows: int = 30_000,
) -> Forecaster:
    """Return a forecaster fitted to the training series.

    Raises:
        ConfigError: unknown learner, or its package isn't installed; names the key.
    """
    if learner == "last":
        return lambda series, rows: series.values[rows - 1]
    if learner == "seasonal":
        return lambda series, rows: series.values[np.where(rows >= season, rows - season, rows - 1)]
    scaler = Scaler.of(np.concatenate([one.values for one in training]))
    if learner == "crbm":
        v, past = training_windows(training, scaler, delay, windows, seed)
        return crbm_forecaster(train(v, past, hidden, seed=seed), scaler, delay)
    if learner == "var":
        v, past = training_windows(training, scaler, delay, windows, seed)
        return _linear(v, past, scaler, delay)
    if learner == "arima":
        return _arima
    if learner == "gru":
        v, past = training_windows(training, scaler, delay, windows, seed)
        return gru_forecaster(v, past, scaler, delay, seed)
    raise ConfigError(f"backend.learner: unknown learner '{learner}' (known: {', '.join(LEARNERS)})")


def _linear(v: Array, past: Array, scaler: Scaler, delay: int) -> Forecaster:
    """Vector autoregression of the order `delay`, by least squares over all training ships."""
    design = np.column_stack([past, np.ones(len(past))])
    weights = np.linalg.lstsq(design, v, rcond=None)[0]

    def forecast(series: Series, rows: Rows) -> Array:
        past = history(scaler(series.values), rows, delay)
        return np.asarray(np.column_stack([past, np.ones(len(past))]) @ weights * scaler.sd + scaler.mean)

    return forecast


def _arima(series: Series, rows: Rows) -> Array:
    """ARMA(2, 1) of each variable, fitted to the rows before the first one asked for; then one step at a time."""
    try:
        from statsmodels.tsa.arima.model import ARIMA
    except ImportError:
        raise ConfigError(
            "backend.learner=arima needs the package statsmodels: pip install 'framework-maritime[forecast]'"
        ) from None
    begin = int(rows[0])
    found = np.empty((len(rows), series.values.shape[1]))
    for column in range(series.values.shape[1]):
        values = series.values[: rows[-1] + 1, column]
        sd = values[:begin].std()
        if sd < 1e-9:
            found[:, column] = values[rows - 1]
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = ARIMA(values[:begin] / sd, order=(2, 0, 1)).fit(method_kwargs={"maxiter": 30})
            ahead = fitted.append(values[begin:] / sd, refit=False).predict(begin, len(values) - 1)
        found[:, column] = sd * np.asarray(ahead)[rows - begin]
    return found


def nrmse(forecast: Array, truth: Array, spread: Array) -> Array:
    """Return root mean square error over standard deviation, by variable; NaN for a variable that never changes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            np.sqrt(np.mean((forecast - truth) ** 2, axis=0)) / np.where(spread > 1e-9, spread, np.nan)
        )
