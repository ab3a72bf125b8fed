"""A Gaussian process on configurations, for dozens to hundreds of runs: what is known, and how well.

    k(x, y) = Σ_j a_j exp(−3 d_j) + b Π_j exp(−w_j d_j) + noise

with d_j the distance of two configurations in setting j: |difference| for a number scaled to 0…1, 0 or 1 for a
category. The sum holds each setting's own effect on log time, the product their interplay; amplitudes, weights and
noise maximise the posterior under weak priors (Rasmussen and Williams, "Gaussian Processes for Machine Learning",
2006, chapter 5). A disturbed run must not bend the surface: a row whose leave-one-out residual exceeds 2.5 standard
deviations gets a noise of its own, the square of that residual, and the rest is fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from framework.analysis.prediction.features import Features, FloatArray
from framework.analysis.prediction.libraries import learning_library

_ADDITIVE_DECAY = 3.0
_JITTER = 1e-6
_OUTLYING = 2.5
_ROBUST_ROUNDS = 2
# Priors on the logarithms, as (mean, standard deviation): half of the deviation of log time is a setting's own
# doing, a few settings interact, and repeats differ by some percent.
_AMPLITUDE_PRIOR = (-2.0, 1.5)
_WEIGHT_PRIOR = (-1.5, 1.5)
_INTERPLAY_PRIOR = (-1.0, 2.0)
_NOISE_PRIOR = (-5.5, 1.5)


def unit_scaled(features: Features) -> Features:
    """Return features whose numbers run from 0 to 1, on a logarithmic scale where they are positive."""
    return scaled_like(features, features)


def scaled_like(training: Features, features: Features) -> Features:
    """Return rows scaled as `unit_scaled` scales the training rows; beyond their range they exceed 0…1."""
    values = features.values.copy()
    for position, levels in enumerate(training.levels):
        column = training.values[:, position]
        known = column[~np.isnan(column)]
        if levels is not None or not known.size:
            continue
        own = values[:, position]
        if known.min() > 0:
            own, known = np.log(np.where(own > 0, own, np.nan)), np.log(known)
        values[:, position] = (own - known.min()) / (float(np.ptp(known)) or 1.0)
    return Features(features.names, values, features.levels)


def distances(a: Features, b: Features) -> FloatArray:
    """Return the distance in each setting between rows of two tables; shape (settings, rows of a, rows of b).

    A missing value is 1 away from everything, another missing value included.
    """
    found = np.empty((len(a.names), len(a), len(b)))
    for position, levels in enumerate(a.levels):
        x, y = a.values[:, position][:, None], b.values[:, position][None, :]
        apart = np.abs(x - y) if levels is None else (x != y).astype(np.float64)
        found[position] = np.where(np.isnan(x) | np.isnan(y), 1.0, apart)
    return found


@dataclass(frozen=True)
class GaussianProcess:
    """A process conditioned on measured rows.

    Attributes:
        rows: the measured rows, scaled by `unit_scaled`.
        parameters: logarithms of a, w, b and the noise variance, in this order.
        mean: of the target.
        chol: lower Cholesky factor of the measured rows' covariance.
        weights: covariance⁻¹ (target − mean).
    """

    rows: Features
    parameters: FloatArray
    mean: float
    chol: FloatArray
    weights: FloatArray

    @classmethod
    def fit(cls, rows: Features, target: FloatArray, start: FloatArray | None = None) -> GaussianProcess:
        """Fit to scaled rows and a target (log time); `start` continues from earlier parameters."""
        # matrices of some hundred rows: threads would spin more than they work
        with learning_library("threadpoolctl").threadpool_limits(1):
            return cls._fit(rows, target, start)

    @classmethod
    def _fit(cls, rows: Features, target: FloatArray, start: FloatArray | None) -> GaussianProcess:
        apart = distances(rows, rows)
        mean = float(np.median(target))
        residual: FloatArray = target - mean
        own_noise = np.zeros(len(target))
        parameters = _start(len(rows.names)) if start is None else start
        for _ in range(_ROBUST_ROUNDS):
            parameters = _most_probable(apart, residual, own_noise, parameters)
            chol = np.linalg.cholesky(_covariance(apart, parameters, own_noise))
            inverse = np.linalg.inv(chol.T) @ np.linalg.inv(chol)
            left_out = (inverse @ residual) / np.diag(inverse)
            deviation = np.sqrt(1.0 / np.diag(inverse))
            outlying = (np.abs(left_out) > _OUTLYING * deviation) | (own_noise > 0)
            own_noise = np.where(outlying, np.maximum(own_noise, left_out**2), 0.0)
        factor: FloatArray = np.linalg.cholesky(_covariance(apart, parameters, own_noise)).astype(np.float64)
        weights: FloatArray = np.linalg.solve(factor.T, np.linalg.solve(factor, residual)).astype(np.float64)
        return cls(rows, parameters, mean, factor, weights)

    @classmethod
    def prior(cls, like: Features) -> GaussianProcess:
        """Return the process before anything was measured, of the settings of these rows."""
        nothing = like.rows(np.zeros(0, dtype=np.int64))
        return cls(nothing, _start(len(like.names)), 0.0, np.zeros((0, 0)), np.zeros(0))

    @property
    def noise(self) -> float:
        """Variance between repeats of one configuration."""
        return float(np.exp(self.parameters[-1])) + _JITTER

    def covariance(self, a: Features, b: Features) -> FloatArray:
        """Return the prior covariance between rows, without noise."""
        return _kernel(distances(a, b), self.parameters)

    def interplay(self, a: Features, b: Features) -> FloatArray:
        """Return the similarity of rows for joint effects of settings, Π_j exp(−w_j d_j): 1 for equal rows."""
        settings = len(self.rows.names)
        weight = np.exp(self.parameters[settings : 2 * settings])
        found: FloatArray = np.exp(-np.tensordot(weight, distances(a, b), 1))
        return found

    def left_out_scores(self) -> FloatArray:
        """Return each measured row's squared residual, the row left out, in units of its variance (noise included).

        The leave-one-out mean and variance in closed form: Rasmussen and Williams, section 5.4.2.
        """
        half = np.linalg.inv(self.chol)
        found: FloatArray = self.weights**2 / (half**2).sum(axis=0)
        return found

    def predict(self, rows: Features) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance (without noise) of the target in each row."""
        across = self.covariance(rows, self.rows)
        whitened = np.linalg.solve(self.chol, across.T)
        return across @ self.weights + self.mean, np.maximum(
            self.prior_variance - (whitened**2).sum(axis=0), 0.0
        )

    @property
    def prior_variance(self) -> float:
        """Variance of a row about which nothing is known."""
        settings = len(self.rows.names)
        return float(np.exp(self.parameters[:settings]).sum() + np.exp(self.parameters[-2]))


def _start(settings: int) -> FloatArray:
    return np.concatenate(
        [
            np.full(settings, _AMPLITUDE_PRIOR[0]),
            np.full(settings, _WEIGHT_PRIOR[0]),
            [_INTERPLAY_PRIOR[0], _NOISE_PRIOR[0]],
        ]
    )


def _priors(settings: int) -> tuple[FloatArray, FloatArray]:
    table = [_AMPLITUDE_PRIOR] * settings + [_WEIGHT_PRIOR] * settings + [_INTERPLAY_PRIOR, _NOISE_PRIOR]
    mean, deviation = np.array(table).T
    return mean, deviation


def _kernel(apart: FloatArray, parameters: FloatArray) -> FloatArray:
    settings = len(apart)
    amplitude, weight = np.exp(parameters[:settings]), np.exp(parameters[settings : 2 * settings])
    additive = np.tensordot(amplitude, np.exp(-_ADDITIVE_DECAY * apart), 1)
    found: FloatArray = additive + np.exp(parameters[-2]) * np.exp(-np.tensordot(weight, apart, 1))
    return found


def _covariance(apart: FloatArray, parameters: FloatArray, own_noise: FloatArray) -> FloatArray:
    noise = np.exp(parameters[-1]) + _JITTER + own_noise
    return _kernel(apart, parameters) + np.diag(noise)


def _most_probable(
    apart: FloatArray, residual: FloatArray, own_noise: FloatArray, start: FloatArray
) -> FloatArray:
    """Return the parameters of highest posterior density, by gradients."""
    from scipy.optimize import minimize

    settings = len(apart)
    prior_mean, prior_deviation = _priors(settings)
    effects = np.exp(-_ADDITIVE_DECAY * apart)

    def cost(parameters: FloatArray) -> tuple[float, FloatArray]:
        amplitude, weight = np.exp(parameters[:settings]), np.exp(parameters[settings : 2 * settings])
        interplay = np.exp(parameters[-2]) * np.exp(-np.tensordot(weight, apart, 1))
        noise = np.exp(parameters[-1])
        covariance = np.tensordot(amplitude, effects, 1) + interplay
        chol = np.linalg.cholesky(covariance + np.diag(noise + _JITTER + own_noise))
        half = np.linalg.inv(chol)
        inverse = half.T @ half
        solved = inverse @ residual
        slope = 0.5 * (inverse - np.outer(solved, solved))
        offset = (parameters - prior_mean) / prior_deviation
        gradient = offset / prior_deviation
        gradient[:settings] += amplitude * np.tensordot(effects, slope, 2)
        gradient[settings : 2 * settings] -= weight * np.tensordot(apart, slope * interplay, 2)
        gradient[-2] += (slope * interplay).sum()
        gradient[-1] += np.trace(slope) * noise
        value = 0.5 * residual @ solved + np.log(np.diag(chol)).sum() + 0.5 * (offset**2).sum()
        return float(value), gradient

    # beyond these bounds the covariance says nothing new and its factor loses its digits
    bounds = [(-9.0, 4.0)] * len(start)
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
    return np.asarray(found.x, dtype=np.float64)


@dataclass(frozen=True)
class SmallDataLearner:
    """A Gaussian process on log target as a `Learner`: the better choice below some three hundred rows."""

    name: str = "Gaussian process (log)"

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> _SmallDataModel:
        """See `Learner.fit`; nothing is drawn."""
        return _SmallDataModel(features, GaussianProcess.fit(unit_scaled(features), np.log(target)))


@dataclass(frozen=True)
class _SmallDataModel:
    training: Features
    process: GaussianProcess

    def predict(self, features: Features) -> FloatArray:
        if len(features) == 0:
            return np.zeros(0)
        return np.exp(self.process.predict(scaled_like(self.training, features))[0])
