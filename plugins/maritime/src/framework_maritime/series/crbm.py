"""Conditional restricted Boltzmann machine with Gaussian visible and binary hidden units.

    H_t = [v(t−1), …, v(t−d)]
    p(h | v, H) = σ(v·W + H·B + b)        v' = h·Wᵀ + H·A + a

Source: Taylor, Hinton, Roweis 2006; arXiv 2009.03001 for its use on AIS. Trained by contrastive divergence. The step
doesn't depend on the number of updates: gradients are means over a batch, the rate is Adam's, and training stops when
the forecast of windows kept back no longer improves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_NAMES = ("W", "B", "A", "a", "b")


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^−x) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


@dataclass
class Crbm:
    """The machine's parameters; all windows are standard scores.

    Attributes:
        W: (visible, hidden); B: (delay × visible, hidden); A: (delay × visible, visible); a, b: biases.
        epochs: how many epochs were made; `errors`: forecast error of the windows kept back after each.
    """

    W: Array
    B: Array
    A: Array
    a: Array
    b: Array
    epochs: int = 0
    errors: list[float] = field(default_factory=list)

    @classmethod
    def fresh(cls, visible: int, hidden: int, delay: int, seed: int) -> Crbm:
        """Return an untrained machine: small random weights, zero biases."""
        random = np.random.default_rng([seed, 11])
        return cls(
            0.01 * random.normal(size=(visible, hidden)),
            0.01 * random.normal(size=(delay * visible, hidden)),
            0.01 * random.normal(size=(delay * visible, visible)),
            np.zeros(visible),
            np.zeros(hidden),
        )

    def activations(self, v: Array, past: Array) -> Array:
        """Return p(h | v, H), the features of a row: (rows, hidden)."""
        return sigmoid(v @ self.W + past @ self.B + self.b)

    def reconstruction(self, v: Array, past: Array) -> Array:
        """Return the mean-field pass there and back. It has seen `v`."""
        return np.asarray(self.activations(v, past) @ self.W.T + past @ self.A + self.a)

    def forecast(self, past: Array, steps: int = 30) -> Array:
        """Return what the history alone says of the row: mean-field steps that start from it. Never sees the row."""
        ahead = past @ self.A + self.a
        v = ahead
        into = past @ self.B + self.b
        for _ in range(steps):
            v = sigmoid(v @ self.W + into) @ self.W.T + ahead
        return np.asarray(v)

    def gradient(
        self, v: Array, past: Array, random: np.random.Generator, gibbs: int = 1
    ) -> dict[str, Array]:
        """Return the mean contrastive-divergence direction of a batch (to ascend)."""
        p = self.activations(v, past)
        q, w = p, v
        for _ in range(gibbs):
            h = (random.random(q.shape) < q).astype(float)
            w = h @ self.W.T + past @ self.A + self.a
            q = self.activations(w, past)
        rows = len(v)
        return {
            "W": (v.T @ p - w.T @ q) / rows,
            "B": past.T @ (p - q) / rows,
            "A": past.T @ (v - w) / rows,
            "a": (v - w).mean(axis=0),
            "b": (p - q).mean(axis=0),
        }


def train(
    v: Array,
    past: Array,
    hidden: int = 10,
    epochs: int = 100,
    batch: int = 100,
    rate: float = 4e-3,
    gibbs: int = 1,
    patience: int = 3,
    halvings: int = 8,
    seed: int = 0,
) -> Crbm:
    """Return a machine trained on windows; a tenth of them is kept back to stop by.

    Args:
        v: (windows, variables), standard scores.
        past: (windows, delay × variables), see `windows.history`.
        rate: Adam's first step.
        patience: epochs without a better forecast before the step is halved, from the best parameters on; sampling
            noise is a floor below which a large step doesn't get.
        halvings: training ends after so many of them.

    Returns:
        The same bytes for the same windows and seed.
    """
    random = np.random.default_rng([seed, 13])
    visible, delay = v.shape[1], past.shape[1] // v.shape[1]
    machine = Crbm.fresh(visible, hidden, delay, seed)
    order = random.permutation(len(v))
    held, kept = order[: max(1, len(v) // 10)], order[max(1, len(v) // 10) :]
    if len(kept) == 0:
        return machine
    first = {name: np.zeros_like(getattr(machine, name)) for name in _NAMES}
    second = {name: np.zeros_like(getattr(machine, name)) for name in _NAMES}
    best, best_error, waited, step, halved = _copy(machine), np.inf, 0, 0, 0
    for _ in range(epochs):
        random.shuffle(kept)
        for begin in range(0, len(kept), batch):
            rows = kept[begin : begin + batch]
            step += 1
            for name, slope in machine.gradient(v[rows], past[rows], random, gibbs).items():
                first[name] = 0.9 * first[name] + 0.1 * slope
                second[name] = 0.999 * second[name] + 0.001 * slope**2
                scaled = first[name] / (1 - 0.9**step) / (np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8)
                setattr(machine, name, getattr(machine, name) + rate * scaled)
        machine.epochs += 1
        error = float(np.mean((machine.forecast(past[held], 5) - v[held]) ** 2))
        machine.errors.append(error)
        if error < best_error * (1 - 1e-4):
            best, best_error, waited = _copy(machine), error, 0
        else:
            waited += 1
            if waited >= patience:
                halved += 1
                if halved > halvings:
                    break
                rate, waited = rate / 2, 0
                for name in _NAMES:
                    setattr(machine, name, getattr(best, name).copy())
    best.epochs, best.errors = machine.epochs, machine.errors
    return best


def _copy(machine: Crbm) -> Crbm:
    return Crbm(*(getattr(machine, name).copy() for name in _NAMES))
