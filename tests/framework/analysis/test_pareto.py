"""Pareto analysis: invariants over random points, and closed forms of science/slm_pareto.md, section 5."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from framework.analysis.pareto import (
    Direction,
    front_mask,
    front_membership,
    hypervolume,
    knee_at_share,
    knee_by_chord,
    noisy_front_mask,
)

Points = tuple[npt.NDArray[np.float64], list[Direction]]


def dominates(x: npt.ArrayLike, y: npt.ArrayLike, better: list[Direction]) -> bool:
    """The definition: no worse in every objective, better in one."""
    signs = np.array([1.0 if direction == "higher" else -1.0 for direction in better])
    gained = signs * (np.asarray(x) - np.asarray(y))
    return bool(np.all(gained >= 0) and np.any(gained > 0))


@st.composite
def point_sets(draw: st.DrawFn, max_objectives: int = 4) -> Points:
    k = draw(st.integers(1, max_objectives))
    # few distinct values, so that ties and duplicates are common
    value = st.one_of(
        st.integers(-3, 3).map(float), st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6)
    )
    points = draw(arrays(np.float64, (draw(st.integers(1, 14)), k), elements=value))
    better: list[Direction] = draw(st.lists(st.sampled_from(["higher", "lower"]), min_size=k, max_size=k))
    return points, better


@pytest.mark.slow
@given(point_sets())
def test_a_point_is_on_the_front_exactly_if_nobody_dominates_it(case: Points) -> None:
    points, better = case
    expected = [not any(dominates(other, point, better) for other in points) for point in points]
    assert front_mask(points, better).tolist() == expected


@pytest.mark.slow
@given(point_sets(), st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_the_order_of_points(case: Points, random: object) -> None:
    points, better = case
    order = np.random.default_rng(random.randint(0, 2**31)).permutation(len(points))  # type: ignore[attr-defined]
    assert front_mask(points[order], better).tolist() == front_mask(points, better)[order].tolist()


@pytest.mark.slow
@given(point_sets(), st.sampled_from([0.125, 2.0, 1024.0]))
def test_the_front_does_not_depend_on_units(case: Points, factor: float) -> None:
    points, better = case
    assert front_mask(points * factor, better).tolist() == front_mask(points, better).tolist()


@pytest.mark.slow
@given(point_sets())
def test_duplicates_stay_together(case: Points) -> None:
    points, better = case
    twice = front_mask(np.concatenate([points, points]), better)
    assert (
        twice[: len(points)].tolist() == twice[len(points) :].tolist() == front_mask(points, better).tolist()
    )


@pytest.mark.slow
@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(-10, 10)))
def test_one_objective_gives_the_maximum(values: npt.NDArray[np.float64]) -> None:
    assert front_mask(values[:, None], ["higher"]).tolist() == (values == values.max()).tolist()


def test_a_missing_objective_is_refused_and_named() -> None:
    with pytest.raises(ValueError, match="point 1 has no value in objective 0"):
        front_mask([[1.0, 2.0], [np.nan, 1.0]], ["higher", "lower"])


def test_a_direction_must_be_known() -> None:
    with pytest.raises(ValueError, match="not 'up'"):
        front_mask([[1.0]], ["up"])  # type: ignore[list-item]


def test_no_points_have_an_empty_front() -> None:
    assert front_mask([], ["higher", "lower"]).tolist() == []


@pytest.mark.slow
@given(point_sets())
def test_intervals_of_width_zero_give_the_plain_front(case: Points) -> None:
    points, better = case
    assert noisy_front_mask(points, points, better).tolist() == front_mask(points, better).tolist()


@pytest.mark.slow
@given(point_sets(), st.floats(0, 3), st.floats(0, 3))
def test_more_noise_never_takes_a_point_off_the_front(case: Points, width: float, extra: float) -> None:
    points, better = case
    narrow = noisy_front_mask(points - width, points + width, better)
    wide = noisy_front_mask(points - width - extra, points + width + extra, better)
    assert np.all(wide[narrow])


@pytest.mark.slow
@given(point_sets())
def test_noisy_front_drops_a_point_exactly_if_another_beats_it_for_certain(case: Points) -> None:
    points, better = case
    low, high = points - 0.6, points + 0.6
    up = np.array([direction == "higher" for direction in better])
    worst, best = np.where(up, low, high), np.where(up, high, low)
    expected = [not any(dominates(other, point, better) for other in worst) for point in best]
    assert noisy_front_mask(low, high, better).tolist() == expected


def test_overlapping_intervals_do_not_dominate() -> None:
    low, high = [[99.0, 10.0], [98.0, 10.5]], [[101.0, 10.2], [100.0, 11.0]]
    assert noisy_front_mask(low, high, ["higher", "lower"]).tolist() == [True, True]


def test_membership_is_certain_without_noise_and_open_between_equals() -> None:
    random = np.random.default_rng(1)
    good, rival, bad = 100 + random.normal(0, 1, (3, 8, 1)) + np.array([[[0.0]], [[0.0]], [[-50.0]]])
    share = front_membership([good, rival, bad], ["higher"], resamples=400)
    assert share[2] == 0
    assert share[0] + share[1] == pytest.approx(1.0)
    exact = front_membership([[[2.0, 1.0]], [[1.0, 2.0]], [[1.0, 3.0]]], ["higher", "lower"], resamples=10)
    assert exact.tolist() == [1.0, 0.0, 0.0]


def test_membership_of_single_runs_uses_the_stated_noise() -> None:
    share = front_membership([[[100.0]], [[99.9]]], ["higher"], resamples=2000, relative_noise=0.01)
    assert 0.3 < share[1] < 0.5
    again = front_membership([[[100.0]], [[99.9]]], ["higher"], resamples=2000, relative_noise=0.01)
    assert share.tolist() == again.tolist()


def test_membership_needs_a_repeat() -> None:
    with pytest.raises(ValueError, match="no repeat"):
        front_membership([[[1.0]], np.empty((0, 1))], ["higher"])


def test_knee_of_the_affine_engine_is_19_t0_over_a() -> None:
    # T(B) = 1000 B / (T0 + a B): 95 % of the plateau 1000 / a at B = 19 T0 / a = 760
    batch = np.append(np.arange(1.0, 2001.0), 1e9)
    throughput = 1000 * batch / (4.0 + 0.1 * batch)
    assert batch[knee_at_share(batch, throughput)] == 760


def test_knee_is_the_smallest_x_whatever_the_order() -> None:
    assert knee_at_share([64, 8, 32, 16], [100, 50, 99, 96]) == 3


def test_chord_knee_of_a_broken_line_is_where_it_breaks() -> None:
    batch = 2.0 ** np.arange(8)
    assert batch[knee_by_chord(batch, np.minimum(np.log2(batch), 4.0))] == 16
    assert knee_by_chord(batch, np.minimum(np.log2(batch), 4.0) * 1000) == 4
    assert knee_by_chord([1, 2, 4], [0, 1, 2]) == 2  # straight: the better end
    assert knee_by_chord([5.0], [1.0]) == 0


def test_knee_refuses_what_is_no_curve() -> None:
    for x, y in ([], []), ([1.0], [1.0, 2.0]), ([1.0], [np.nan]):
        with pytest.raises(ValueError, match="curve"):
            knee_at_share(x, y)
    with pytest.raises(ValueError, match="positive"):
        knee_by_chord([0.0, 1.0], [1.0, 2.0])


def test_hypervolume_of_a_staircase_is_the_area_under_it() -> None:
    points = [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]
    assert hypervolume(points, ["higher", "higher"], [0.0, 0.0]) == pytest.approx(6.0)
    assert hypervolume([*points, [5.0, -1.0]], ["higher", "higher"], [0.0, 0.0]) == pytest.approx(6.0)
    assert hypervolume([[1.0, 1.0, 1.0], [2.0, 0.5, 0.5]], ["higher"] * 3, [0, 0, 0]) == pytest.approx(1.25)
    assert hypervolume([[10.0, 2.0]], ["higher", "lower"], [0.0, 5.0]) == pytest.approx(30.0)


@pytest.mark.slow
@given(point_sets(max_objectives=3), st.integers(0, 13))
def test_hypervolume_is_that_of_the_front_and_grows_with_points(case: Points, left_out: int) -> None:
    points, better = np.clip(case[0], -3, 3), case[1]
    reference = [-4.0 if direction == "higher" else 4.0 for direction in better]
    whole = hypervolume(points, better, reference)
    assert hypervolume(points[front_mask(points, better)], better, reference) == pytest.approx(whole)
    fewer = np.delete(points, left_out % len(points), axis=0)
    assert hypervolume(fewer, better, reference) <= whole * (1 + 1e-9)
