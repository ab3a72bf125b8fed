from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from framework.sweep.grid import Axis, Point, merged_grids, points, product, thinned

_VALUES = st.lists(st.integers(0, 30).map(str), min_size=1, max_size=6, unique=True).map(tuple)
_GRID = st.dictionaries(st.sampled_from(["a", "b", "c"]), _VALUES, max_size=3).map(
    lambda axes: list(axes.items())
)
_GRIDS = st.lists(_GRID, min_size=1, max_size=4)


def test_the_last_axis_varies_fastest() -> None:
    axes: list[Axis] = [("model", ("x", "y")), ("batch", ("1", "2"))]
    assert product(axes) == [
        ("model=x", "batch=1"),
        ("model=x", "batch=2"),
        ("model=y", "batch=1"),
        ("model=y", "batch=2"),
    ]


def test_a_grid_without_axes_is_one_point() -> None:
    assert points([[]]) == [Point(0, ())]


def test_a_point_of_two_grids_is_run_once_whatever_the_order_of_its_axes() -> None:
    grids: list[list[Axis]] = [
        [("a", ("1",)), ("b", ("1", "2"))],
        [("b", ("2", "3")), ("a", ("1",))],
    ]
    assert [point.overrides for point in points(grids)] == [("a=1", "b=1"), ("a=1", "b=2"), ("b=3", "a=1")]


@given(_GRIDS)
def test_points_are_the_union_of_the_grids_each_once(grids: list[list[Axis]]) -> None:
    found = [frozenset(point.overrides) for point in points(grids)]
    wanted = {
        frozenset(f"{key}={value}" for (key, _), value in zip(axes, values, strict=True))
        for axes in grids
        for values in itertools.product(*(values for _, values in axes))
    }
    assert len(found) == len(set(found))
    assert set(found) == wanted


@given(_GRIDS, _GRID)
def test_points_keep_their_numbers_when_a_grid_is_added(grids: list[list[Axis]], added: list[Axis]) -> None:
    before = points(grids)
    assert points([*grids, added])[: len(before)] == before


@given(_GRIDS, st.integers(1, 4))
def test_repeats_do_not_renumber_the_points(grids: list[list[Axis]], repeats: int) -> None:
    once, often = points(grids), points(grids, repeats)
    assert len(often) == repeats * len(once)
    assert [point for point in often if point.repeat == 0] == once
    assert len({point.key for point in often}) == len(often)


@given(st.lists(st.integers(), min_size=1, max_size=40, unique=True), st.integers(1, 50))
def test_thinning_keeps_order_the_first_and_the_last(numbers: list[int], keep: int) -> None:
    values = [str(number) for number in numbers]
    kept = thinned(values, keep)
    assert len(kept) == min(keep, len(values))
    assert kept[0] == values[0]
    assert keep == 1 or kept[-1] == values[-1]
    assert [value for value in values if value in kept] == list(kept)


def test_nothing_is_thinned_unless_asked() -> None:
    assert thinned(["1", "2", "3"], None) == ("1", "2", "3")


def test_thinning_applies_to_every_axis_of_every_grid() -> None:
    axes: list[Axis] = [("a", tuple("12345")), ("b", tuple("123"))]
    assert [point.overrides for point in points([axes], keep=2)] == [
        ("a=1", "b=1"),
        ("a=1", "b=3"),
        ("a=5", "b=1"),
        ("a=5", "b=3"),
    ]


def test_values_that_no_grid_knows_replace_the_axis_in_every_grid_and_in_its_place() -> None:
    own: list[list[Axis]] = [[("model", ("x", "y")), ("batch", ("1", "2"))]]
    assert merged_grids([("seed", ("0",))], own, [("model", ("z",)), ("seed", ("7", "8"))]) == [
        [("model", ("z",)), ("batch", ("1", "2")), ("seed", ("7", "8"))]
    ]


def test_values_that_the_grids_know_narrow_the_study_to_them() -> None:
    own: list[list[Axis]] = [
        [("model", ("x", "y")), ("mps", ("True", "False"))],
        [("model", ("z",))],
        [("batch", ("1", "2"))],
    ]
    assert merged_grids([], own, [("model", ("y",)), ("mps", ("false",))]) == [
        [("model", ("y",)), ("mps", ("False",))],
        [("batch", ("1", "2")), ("model", ("y",)), ("mps", ("false",))],
    ]


def test_a_grid_may_set_a_common_axis_itself() -> None:
    assert merged_grids([("batch", ("1", "2"))], [[("batch", ("8",))]], []) == [[("batch", ("8",))]]


def test_a_given_axis_that_no_grid_has_is_added() -> None:
    assert merged_grids([], [[("a", ("1",))]], [("b", ("2", "3"))]) == [[("a", ("1",)), ("b", ("2", "3"))]]
