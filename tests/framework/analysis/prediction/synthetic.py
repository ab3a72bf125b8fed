"""Executions with a known law: time = base(benchmark) · f(maps, codec) · cluster factor · lognormal noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BENCHMARKS = {"sort": 300.0, "grep": 90.0, "kmeans": 1200.0}
CODECS = {"none": 1.0, "zlib": 1.3, "snappy": 0.9}
CLUSTERS = {
    "c1": (4.0, 1.0),
    "c2": (8.0, 0.6),
    "c3": (16.0, 0.4),
    "c4": (8.0, 0.65),
    "c5": (4.0, 0.9),
    "c6": (16.0, 0.38),
}
NOISE = 0.03


@dataclass(frozen=True)
class Truth:
    columns: dict[str, np.ndarray]
    expected_s: np.ndarray
    time_s: np.ndarray


def make(rows: int, seed: int = 0) -> Truth:
    """Draw executions; `expected_s` is their time without noise."""
    draw = np.random.default_rng(seed)
    benchmark = draw.choice(list(BENCHMARKS), rows)
    codec = draw.choice(list(CODECS), rows)
    cluster = draw.choice(list(CLUSTERS), rows)
    maps = draw.choice([2.0, 4.0, 8.0, 16.0], rows)
    cores = np.array([CLUSTERS[name][0] for name in cluster])
    expected = np.array(
        [
            BENCHMARKS[b] * CODECS[c] * CLUSTERS[k][1]
            for b, c, k in zip(benchmark, codec, cluster, strict=True)
        ]
    )
    expected = expected * (1 + 0.3 * np.abs(np.log2(maps / cores)))
    columns = {
        "benchmark": benchmark.astype(object),
        "codec": codec.astype(object),
        "cluster": cluster.astype(object),
        "maps": maps,
        "cores": cores,
    }
    return Truth(columns, expected, expected * np.exp(NOISE * draw.standard_normal(rows)))
