"""Where a series changes its behaviour: change points and regimes, by two methods.

`pelt`: change points of mean and spread by ruptures' PELT, then segments grouped by their level and spread.
`crbm`: activations of a CRBM trained on the series itself, k-means, short visits removed.
Both are scored against labelled synthetic series by `benchmarks/regimes.py`; the better is the default.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError
from framework_maritime.series.crbm import train
from framework_maritime.series.windows import Scaler, Series, history, usable_rows

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

METHODS = ("pelt", "crbm")
DEFAULT_METHOD = "pelt"
MOST_ROWS = 4_000
"""A longer series is averaged down to this before it is segmented."""


@dataclass(frozen=True)
class Regime:
    """A stretch of one behaviour.

    Attributes:
        begin, end: rows, half open.
        label: same number, same behaviour.
        means: of each variable in it.
    """

    begin: int
    end: int
    label: int
    means: Array


def regimes(
    values: Array, method: str = DEFAULT_METHOD, most: int = 5, least_rows: int = 0, seed: int = 0
) -> list[Regime]:
    """Return the stretches of a series of shape (rows, variables), in order.

    Args:
        method: `pelt` or `crbm`.
        most: most behaviours to tell apart.
        least_rows: shortest stretch; 0 takes 2 % of the rows.

    Raises:
        ConfigError: unknown method, or ruptures isn't installed.
    """
    if method not in METHODS:
        raise ConfigError(f"method: unknown method '{method}' (known: {', '.join(METHODS)})")
    if len(values) == 0:
        return []
    least = least_rows or max(3, len(values) // 50)
    scaled = Scaler.of(values)(values)
    if len(values) < 4 * least:
        labels = np.zeros(len(values), np.int64)
    elif method == "pelt":
        labels = _pelt(scaled, most, least)
    else:
        labels = _crbm(scaled, most, least, seed)
    return _stretches(labels, values)


def _pelt(scaled: Array, most: int, least: int) -> Ints:
    try:
        import ruptures
    except ImportError:
        raise ConfigError(
            "method=pelt needs the package ruptures: pip install 'framework-maritime[phases]'"
        ) from None
    rows, variables = scaled.shape
    # Smooth noise keeps the differences small inside a stretch: the penalty follows the noise, not the whole spread.
    noise = np.median(np.abs(np.diff(scaled, axis=0)), axis=0) / 0.954
    signal = np.concatenate(
        [scaled, np.log1p(np.abs(np.diff(scaled, axis=0, prepend=scaled[:1])) / (noise + 0.05))], 1
    )
    penalty = 3.0 * np.log(rows) * variables
    jump = max(1, rows // 400)
    ends = ruptures.Pelt(model="l2", min_size=least, jump=jump).fit(signal).predict(pen=penalty)
    bounds = [0, *ends]
    features = np.array([signal[a:b].mean(axis=0) for a, b in itertools.pairwise(bounds)])
    weights = np.diff(bounds)
    group = _grouped(features, weights, most)
    return np.repeat(group, weights)


def _grouped(features: Array, weights: Ints, most: int) -> Ints:
    """Return a label for each stretch: alike ones share it (average linkage, cut where levels differ clearly)."""
    if len(features) < 2:
        return np.zeros(len(features), np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(features, "average")
    labels = fcluster(tree, 0.8, "distance")
    if labels.max() > most:
        labels = fcluster(tree, most, "maxclust")
    return np.asarray(labels - 1, np.int64)


def _crbm(scaled: Array, most: int, least: int, seed: int) -> Ints:
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    delay = min(10, len(scaled) // 10)
    series = Series.of(scaled)
    rows = usable_rows(series, delay)
    past = history(scaled, rows, delay)
    machine = train(scaled[rows], past, hidden=8, epochs=40, seed=seed)
    features = machine.activations(scaled[rows], past)
    best, labels = -1.0, np.zeros(len(rows), np.int64)
    sample = np.random.default_rng(seed).permutation(len(rows))[:1_000]
    for groups in range(2, most + 1):
        found = KMeans(groups, n_init=4, random_state=seed).fit_predict(features)
        if len(np.unique(found[sample])) < 2:
            continue
        score = silhouette_score(features[sample], found[sample])
        if score > best:
            best, labels = float(score), found.astype(np.int64)
    if best < 0.25:  # no clear groups
        labels = np.zeros(len(rows), np.int64)
    whole = np.concatenate([np.full(len(scaled) - len(rows), labels[0] if len(labels) else 0), labels])
    return _without_short(whole, least)


def _without_short(labels: Ints, least: int) -> Ints:
    """Return labels in which no stretch is shorter than `least`: the majority around each row, then merged."""
    from scipy.ndimage import uniform_filter1d

    groups = int(labels.max()) + 1
    votes = np.stack([uniform_filter1d((labels == group).astype(float), least) for group in range(groups)])
    found = votes.argmax(axis=0)
    while True:
        edges = np.flatnonzero(np.diff(found)) + 1
        bounds = np.concatenate(([0], edges, [len(found)]))
        lengths = np.diff(bounds)
        if len(lengths) < 2 or lengths.min() >= least:
            return np.asarray(found, np.int64)
        short = int(lengths.argmin())
        neighbour = (
            short - 1
            if short and (short + 1 == len(lengths) or lengths[short - 1] >= lengths[short + 1])
            else short + 1
        )
        found[bounds[short] : bounds[short + 1]] = found[bounds[neighbour]]


def _stretches(labels: Ints, values: Array) -> list[Regime]:
    edges = np.flatnonzero(np.diff(labels)) + 1
    bounds = np.concatenate(([0], edges, [len(labels)]))
    order: dict[int, int] = {}
    found = []
    for begin, end in itertools.pairwise(bounds):
        label = order.setdefault(int(labels[begin]), len(order))
        found.append(Regime(int(begin), int(end), label, values[begin:end].mean(axis=0)))
    return found
