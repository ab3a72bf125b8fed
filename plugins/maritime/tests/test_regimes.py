"""Phases of a series, and of the samples of any run."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from framework_maritime.series.regimes import METHODS, regimes
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("ruptures")


def labelled(seed: int, levels: tuple[float, ...] = (0.0, 5.0, 0.0, -4.0)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    values = np.concatenate([level + 0.4 * random.normal(size=(150, 2)) for level in levels])
    order = {level: number for number, level in enumerate(dict.fromkeys(levels))}
    return values, np.repeat([order[level] for level in levels], 150)


@pytest.mark.parametrize("method", METHODS)
def test_clear_phases_are_found_and_the_ones_that_return_get_the_same_letter(method: str) -> None:
    from sklearn.metrics import adjusted_rand_score

    values, truth = labelled(0)
    found = np.concatenate([np.full(one.end - one.begin, one.label) for one in regimes(values, method)])
    assert adjusted_rand_score(truth, found) > 0.85


def test_a_series_that_does_not_change_has_one_phase() -> None:
    values = np.random.default_rng(1).normal(size=(500, 2))
    assert len(regimes(values, "pelt")) == 1


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 120), seed=st.integers(0, 100))
def test_phases_cover_the_series_once_in_order(rows: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(rows, 2))
    found = regimes(values, "pelt")
    assert found[0].begin == 0
    assert found[-1].end == rows
    assert all(a.end == b.begin for a, b in itertools.pairwise(found))
