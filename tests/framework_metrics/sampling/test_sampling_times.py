from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from framework_metrics.sampling.sampling_times import Schedule


@given(
    period=st.floats(0.01, 10),
    begin=st.floats(-100, 1e6),
    late=st.lists(st.floats(0, 5), min_size=1, max_size=40),
)
def test_deadlines_are_multiples_of_the_period_and_missed_ones_are_counted_not_bunched(
    period: float, begin: float, late: list[float]
) -> None:
    schedule, now, turns = Schedule(begin, period), begin, []
    for delay in late:
        deadline = schedule.next_deadline_s(now)
        turns.append(round((deadline - begin) / period))
        assert deadline >= now - 1e-6 * max(1.0, abs(begin))
        now = deadline + delay * period
    assert turns == sorted(set(turns))
    assert schedule.missed == turns[-1] - len(turns)


def test_a_reading_that_takes_long_costs_the_deadlines_it_slept_through() -> None:
    schedule = Schedule(0.0, 1.0)
    assert [schedule.next_deadline_s(now) for now in (0.1, 1.2, 5.5, 6.1)] == [1.0, 2.0, 6.0, 7.0]
    assert schedule.missed == 3
