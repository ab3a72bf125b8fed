from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.configuration.study_config import RepeatUntil
from framework.errors import ConfigError
from framework.run_record import RunOutcome
from framework.sweep.grid import Point
from framework.sweep.repeats import check_rule, next_round, relative_half_width
from framework.sweep.session import SweepSession

RULE = RepeatUntil("speed", half_width=0.1, max_repeats=4)


class _Store:
    """Holds the runs of an earlier sweep."""

    def __init__(self, values: dict[str, float]) -> None:
        self.values = values

    def query(self, sql: str, parameters: object = ()) -> pa.Table:
        return pa.table({"run_id": list(self.values), "value": list(self.values.values())})


def _session(*values: float | None) -> SweepSession:
    session = SweepSession("study-1", "study", "outputs")
    session.plan([Point(0, ("a=1",), repeat) for repeat in range(len(values))])
    for repeat, value in enumerate(values):
        status = "failed" if value is None else "done"
        session.add((0, repeat), RunOutcome(f"run-{repeat}", status, metrics={"speed": value}))
    return session


def test_half_width_of_two_values_uses_students_t_with_one_degree_of_freedom() -> None:
    # mean 10, s = sqrt(2), s/sqrt(2) = 1, t(0.975, 1) = 12.706
    assert relative_half_width([9.0, 11.0]) == pytest.approx(12.706 / 10, rel=1e-4)


def test_half_width_of_many_values_uses_students_t_too() -> None:
    values = [9.0, 11.0] * 50  # t(0.975, 99) = 1.98422
    assert relative_half_width(values) == pytest.approx(1.98422 * 1.00504 / 10 / 10, rel=1e-5)


def test_one_value_says_nothing_of_its_mean_and_equal_ones_everything() -> None:
    assert relative_half_width([]) == relative_half_width([5.0]) == math.inf
    assert relative_half_width([5.0, 5.0]) == 0.0


@given(st.lists(st.floats(-1e6, 1e6), max_size=40))
def test_half_width_is_never_negative_nor_nan(values: list[float]) -> None:
    assert relative_half_width(values) >= 0


def test_a_point_is_repeated_until_its_mean_is_known() -> None:
    assert next_round(_session(9.0, 11.0), _Store({}), RULE) == [Point(0, ("a=1",), 2)]
    assert next_round(_session(10.0, 10.01), _Store({}), RULE) == []


def test_repeats_end_at_their_maximum() -> None:
    assert next_round(_session(1.0, 9.0, 2.0, 8.0), _Store({}), RULE) == []


def test_a_failed_point_is_not_repeated() -> None:
    assert next_round(_session(9.0, None), _Store({}), RULE) == []


def test_runs_of_an_earlier_sweep_count() -> None:
    session = _session(9.0)
    session.plan([Point(0, ("a=1",), 1)])
    session.skipped[(0, 1)] = "earlier"
    assert next_round(session, _Store({"earlier": 9.001, "other": 5.0}), RULE) == []
    assert next_round(session, _Store({"earlier": 12.0}), RULE) == [Point(0, ("a=1",), 2)]


def test_nothing_is_repeated_without_a_rule() -> None:
    assert next_round(_session(9.0, 11.0), _Store({}), RepeatUntil()) == []


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        (RepeatUntil("speed", half_width=0.0), "half_width"),
        (RepeatUntil("speed", half_width=1.5), "half_width"),
        (RepeatUntil("speed", max_repeats=1), "max_repeats"),
    ],
)
def test_a_rule_that_cannot_end_is_refused(rule: RepeatUntil, key: str) -> None:
    with pytest.raises(ConfigError, match=f"repeat_until.{key}"):
        check_rule(rule)
