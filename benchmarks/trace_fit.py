"""Fit coefficients to one observed run with the times of each request."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from framework.errors import InputError
from framework_twin.calibration.fit import PRIOR_SPREAD, FittedCoefficients, fit_coefficients
from framework_twin.kernel.inputs import EngineConfig, Requests
from framework_twin.kernel.simulate import simulate
from framework_twin.physics.coefficients import StepCoefficients

Floats = npt.NDArray[np.float64]

_COLUMNS = ("input_tokens", "output_tokens", "queued_s", "first_token_s", "finish_s")
_TPOT_NOISE = 0.15
_TTFT_NOISE = 0.9
_SHORTEST_S = 1e-4


@dataclass(frozen=True)
class RequestTrace:
    """Requests of one run in the order in which the engine queued them, with observed times in seconds.

    Attributes:
        ttft_s: first token minus queued; tpot_s: time after the first token over (output tokens − 1).
    """

    requests: Requests
    ttft_s: Floats
    tpot_s: Floats

    def __len__(self) -> int:
        return len(self.ttft_s)


@dataclass(frozen=True)
class TraceError:
    """Mean TPOT and TTFT of some requests, predicted over measured minus one, percent."""

    tpot_mean: float
    ttft_mean: float


def read_trace(path: Path) -> RequestTrace:
    """Read `requests.csv[.gz]` of an observed run. Raises `InputError` naming the file and the row or column."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as stream:
            records = list(csv.DictReader(stream))
        table = np.array([[float(record[name]) for name in _COLUMNS] for record in records])
    except KeyError as error:
        raise InputError(f"{path}: column {error} is missing") from error
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise InputError(f"{path}: can't be read as a table of requests: {error}") from error
    if not len(table):
        raise InputError(f"{path}: no requests")
    table = table[np.argsort(table[:, 2], kind="stable")]
    inputs, outputs, queued, first, finish = table.T
    if np.any(first < queued) or np.any(finish < first):
        row = int(np.flatnonzero((first < queued) | (finish < first))[0])
        raise InputError(f"{path}: request {row} (by queueing time) has a token before it was queued")
    requests = Requests(queued, inputs.astype(np.int32), outputs.astype(np.int32))
    return RequestTrace(requests, first - queued, (finish - first) / np.maximum(outputs - 1.0, 1.0))


def fit_trace(
    trace: RequestTrace, engine: EngineConfig, prior: StepCoefficients, calibrate_on: int
) -> FittedCoefficients:
    """Fit on the times of the first `calibrate_on` requests.

    All requests are simulated, since later ones load the engine while the first still run, but no time of
    a later one enters the fit.
    """
    seen = np.arange(len(trace)) < calibrate_on

    def residuals(coefficients: StepCoefficients) -> Floats:
        ttft_s, tpot_s = _predict(trace, engine, coefficients)
        tpot = np.log(tpot_s[seen] / trace.tpot_s[seen]) / _TPOT_NOISE
        ttft = np.log(np.maximum(ttft_s[seen], _SHORTEST_S) / np.maximum(trace.ttft_s[seen], _SHORTEST_S))
        return np.concatenate([tpot, ttft / _TTFT_NOISE])

    return fit_coefficients(residuals, prior, PRIOR_SPREAD, max_evaluations=20)


def trace_error(
    trace: RequestTrace, engine: EngineConfig, coefficients: StepCoefficients, skip: int
) -> TraceError:
    """Return errors of the means over the requests after the first `skip`."""
    ttft_s, tpot_s = _predict(trace, engine, coefficients)
    later = slice(skip, None)
    return TraceError(
        tpot_mean=float(100.0 * (tpot_s[later].mean() / trace.tpot_s[later].mean() - 1.0)),
        ttft_mean=float(100.0 * (ttft_s[later].mean() / trace.ttft_s[later].mean() - 1.0)),
    )


def _predict(
    trace: RequestTrace, engine: EngineConfig, coefficients: StepCoefficients
) -> tuple[Floats, Floats]:
    outcome = simulate(engine, trace.requests, coefficients.law()).requests
    tokens = np.maximum(np.asarray(trace.requests.output_tokens) - 1.0, 1.0)
    return (
        outcome.first_token_s - trace.requests.arrival_s,
        (outcome.last_token_s - outcome.first_token_s) / tokens,
    )
