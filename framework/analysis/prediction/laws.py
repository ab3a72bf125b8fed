"""What the plugins' laws say of configurations: the baseline that learning corrects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from framework.analysis.prediction.features import FloatArray
from framework.contracts import Law, StoreReader
from framework.plugins import ask

MOST_SIMULATED = 1000
"""Configurations beyond which no law is asked: a simulation takes some hundredths of a second each."""


@dataclass(frozen=True)
class LawValues:
    """A law's prediction of some rows.

    Attributes:
        name: of the law; empty for none.
        value, low, high: shape (rows,), NaN where the law says nothing (or, of a band, states none).
    """

    name: str
    value: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def says_something(self) -> bool:
        """Whether any row has a value."""
        return bool(np.isfinite(self.value).any())


def installed_laws() -> list[Law]:
    """Return the plugins' laws, those of the plugin loaded last first."""
    return [law for _, laws in ask("laws", Law) for law in laws]


def law_named(store: StoreReader, a: str, b: str) -> tuple[Law, str] | None:
    """Return the law that one of two names means, with the other name; what runs are called so comes first."""
    for law in installed_laws():
        for name, other in ((b, a), (a, b)):
            called = "SELECT run_id FROM runs WHERE ? IN (run_id, sweep_id, experiment) LIMIT 1"
            if law.of_runs is not None and name == law.name and not store.query(called, [name]).num_rows:
                return law, other
    return None


def law_values(law: Law, metric: str, configs: Sequence[Mapping[str, Any]]) -> LawValues:
    """Return what a law says of a metric for configurations; of too many it is not asked."""
    nothing = np.full(len(configs), np.nan)
    if not configs or len(configs) > MOST_SIMULATED:
        return LawValues("", nothing, nothing, nothing)
    found = law.predict(metric, configs)
    rows = [
        (np.nan, np.nan, np.nan)
        if each is None or not each.value > 0
        else (each.value, *(np.nan if bound is None else bound for bound in (each.low, each.high)))
        for each in found
    ]
    value, low, high = np.array(rows, dtype=np.float64).T
    return LawValues(law.name, value, low, high)
