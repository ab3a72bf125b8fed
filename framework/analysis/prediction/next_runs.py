"""Which runs to make next, given those that were made: the ones after which the least is unknown.

A batch is chosen greedily. Each candidate's worth is the variance that one run of it would take from all the
configurations one wants to know, Σ_r s_r cov(r, c)² / (var(c) + noise), divided by what the run costs (active
learning after Cohn, "Neural network exploration using optimal experiment design", 1996). Measuring is simulated:
after each choice the covariances are those given a run there, so that a batch does not ask the same thing twice.
Before anything is known the same criterion works on the process's prior.

s_r corrects the process where it errs more, or less, than it says: a process has one scale for all configurations,
but one benchmark may answer to its knobs wildly and another not at all. It is the mean squared leave-one-out
residual, in units of its own variance, over the known runs like r, drawn towards 1 as if `_PRIOR_RUNS` more had
been just as expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from framework.analysis.prediction.features import Features, FloatArray, IntArray
from framework.analysis.prediction.gaussian_process import GaussianProcess, distances

_MOST_CANDIDATES = 1200
_MOST_REFERENCES = 500
_PRIOR_RUNS = 3.0
_WILDEST = 9.0  # squared residual of a run in units of its variance: beyond three deviations it is disturbed


@dataclass(frozen=True)
class NextRuns:
    """A batch of runs to make.

    Attributes:
        rows: row numbers of the candidates, in the order in which to run them.
        expected_error: expected relative error over the reference configurations before the batch and after it,
            as fractions; None before anything is known.
    """

    rows: IntArray
    expected_error: tuple[float, float] | None


def medoids(rows: Features, count: int, seed: int = 0) -> IntArray:
    """Return `count` rows that represent all: greedy k-medoids on the mean distance over settings."""
    generator = np.random.default_rng(seed)
    pool = np.sort(generator.permutation(len(rows))[:_MOST_CANDIDATES])
    apart = distances(rows.rows(pool), rows.rows(pool)).mean(axis=0)
    nearest = np.full(len(pool), apart.max(initial=1.0))
    chosen: list[int] = []
    for _ in range(min(count, len(pool))):
        gain = np.maximum(nearest[:, None] - apart, 0.0).sum(axis=0)
        gain[chosen] = -1.0
        chosen.append(int(np.argmax(gain)))
        nearest = np.minimum(nearest, apart[:, chosen[-1]])
    found: IntArray = pool[chosen].astype(np.int64)
    return found


def choose_next(
    known: Features,
    target: FloatArray,
    candidates: Features,
    count: int,
    per_cost: bool = False,
    references: Features | None = None,
    seed: int = 0,
) -> NextRuns:
    """Choose candidates to run next.

    Args:
        known: rows that were run, scaled like the candidates (`unit_scaled` over both).
        target: log of what they gave, shape (rows,).
        candidates: configurations that may be run; one that was run may be asked for again.
        count: size of the batch.
        per_cost: the target is the logarithm of what a run costs (its time): ask for most knowledge per cost.
        references: configurations one wants to know, those that were run included; the candidates if None.
        seed: of subsampling.
    """
    process = GaussianProcess.fit(known, target) if len(known) else GaussianProcess.prior(candidates)
    generator = np.random.default_rng(seed)
    pool = np.sort(generator.permutation(len(candidates))[:_MOST_CANDIDATES])
    wanted = references if references is not None else candidates
    sample = np.sort(generator.permutation(len(wanted))[:_MOST_REFERENCES])
    price = np.ones(len(pool))
    if per_cost and len(known):
        price = np.exp(process.predict(candidates.rows(pool))[0])
    state = _Posterior(process, candidates.rows(pool), wanted.rows(sample))
    before = state.expected_error()
    chosen: list[int] = []
    for _ in range(min(count, len(pool))):
        worth = state.worth() / price
        worth[chosen] = -1.0
        chosen.append(int(np.argmax(worth)))
        state.observe(chosen[-1])
    return NextRuns(pool[chosen], (before, state.expected_error()) if len(known) else None)


def local_scale(process: GaussianProcess, references: Features) -> FloatArray:
    """Return for each reference how many times the process's variance its surroundings showed; shape (rows,)."""
    likeness = process.interplay(references, process.rows) ** 2
    surprise = np.minimum(process.left_out_scores(), _WILDEST)
    found: FloatArray = (_PRIOR_RUNS + likeness @ surprise) / (_PRIOR_RUNS + likeness.sum(axis=1))
    return found


class _Posterior:
    """Covariances of candidates and references given the runs that were made or chosen."""

    def __init__(self, process: GaussianProcess, candidates: Features, references: Features) -> None:
        self.left: FloatArray
        self.noise = process.noise
        self.scale = local_scale(process, references)
        at_candidates = _whitened(process, candidates)
        at_references = _whitened(process, references)
        self.own = process.covariance(candidates, candidates) - at_candidates.T @ at_candidates
        self.across = process.covariance(candidates, references) - at_candidates.T @ at_references
        self.left = np.maximum(process.prior_variance - (at_references**2).sum(axis=0), 0.0)

    def worth(self) -> FloatArray:
        """Return the variance that one run of each candidate takes from the references."""
        found: FloatArray = (self.across**2 @ self.scale) / (np.maximum(np.diag(self.own), 0.0) + self.noise)
        return found

    def observe(self, row: int) -> None:
        """Condition on a run of a candidate."""
        variance = max(self.own[row, row], 0.0) + self.noise
        self.left -= self.across[row] ** 2 / variance
        np.maximum(self.left, 0.0, out=self.left)
        gained = self.own[:, row].copy()
        self.across -= np.outer(gained, self.across[row]) / variance
        self.own -= np.outer(gained, gained) / variance

    def expected_error(self) -> float:
        """Return the mean expected relative error: E|exp(e) − 1| ≈ sqrt(2/π) σ for normal e of deviation σ."""
        return float(np.sqrt(2 / np.pi) * np.sqrt(self.scale * self.left + self.noise).mean())


def _whitened(process: GaussianProcess, rows: Features) -> FloatArray:
    solved = np.linalg.solve(process.chol, process.covariance(process.rows, rows))
    return solved.astype(np.float64)
