"""What is due when, in the open and in the closed loop; and how a load is divided."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_vllm.client.load_contracts import LoadPlan, Target
from framework_vllm.client.send_times import LinkedLoop, OpenLoop
from framework_vllm.client.workers.shares import divide, holder, process_count
from tests.framework_vllm.client.loads import requests


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.floats(0, 100))
def test_an_open_loop_gives_every_request_at_its_arrival_in_order(times: list[float], until: float) -> None:
    times.sort()
    schedule = OpenLoop(range(0, 3 * len(times), 3), times)
    assert schedule.upcoming(until) == sum(time <= until for time in times)
    taken = [schedule.pop() for _ in times]
    assert taken == [(3 * place, time) for place, time in enumerate(times)]
    assert (schedule.next_due_s(), schedule.left(), schedule.upcoming(inf)) == (inf, 0, 0)


def test_a_retry_comes_at_its_time_among_the_arrivals() -> None:
    schedule = OpenLoop([0, 1, 2], [0.0, 1.0, 2.0])
    assert schedule.pop() == (0, 0.0)
    schedule.retry(0, 1.5)
    assert schedule.left() == 3
    assert [schedule.pop() for _ in range(3)] == [(1, 1.0), (0, 1.5), (2, 2.0)]


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 20), st.data())
def test_a_closed_loop_never_has_more_open_than_its_slots(
    slots: int, count: int, data: st.DataObject
) -> None:
    schedule = LinkedLoop(range(count), [0.0] * count, slots)
    open_rows: list[int] = []
    seen: list[int] = []
    now = 0.0
    while schedule.left() or open_rows:
        if schedule.next_due_s() <= now:
            row, due_s = schedule.pop()
            assert due_s <= now
            if row not in seen:
                seen.append(row)
            open_rows.append(row)
        else:
            now += 1.0
            if not open_rows:
                continue  # only a retry is left, and its time will come
            row = open_rows.pop(data.draw(st.integers(0, len(open_rows) - 1)))
            if data.draw(st.booleans()) and seen.count(row) < 3:
                schedule.retry(row, now + 0.5)  # keeps its slot
                seen.append(row)
            else:
                schedule.released(row, now)
        assert len(open_rows) <= slots
    assert sorted(set(seen)) == list(range(count))


def test_a_user_pauses_and_takes_the_next_session_when_its_own_is_over() -> None:
    following, think_s = {0: 1, 2: 3}, {0: 0.5, 1: 2.0, 2: 0.0}
    schedule = LinkedLoop(range(5), [0.0] * 5, 1, following, think_s)
    assert (schedule.pop(), schedule.next_due_s(), schedule.left()) == ((0, 0.0), inf, 4)
    schedule.released(0, 3.0)
    assert schedule.pop() == (1, 3.5)
    schedule.released(1, 4.0)
    assert schedule.upcoming(5.0) == 0
    assert schedule.pop() == (2, 6.0)
    schedule.released(2, 7.0)
    assert schedule.pop() == (3, 7.0)
    schedule.released(3, 8.0)
    assert schedule.pop() == (4, 8.0)
    assert schedule.left() == 0


def test_sessions_of_an_open_loop_begin_at_their_arrivals_whatever_became_of_others() -> None:
    schedule = LinkedLoop(range(4), [0.0, 0.0, 1.0, 1.0], None, {0: 1, 2: 3})
    assert [schedule.pop(), schedule.pop()] == [(0, 0.0), (2, 1.0)]
    schedule.released(2, 5.0)
    schedule.released(0, 4.0)
    assert [schedule.pop(), schedule.pop(), schedule.next_due_s()] == [(1, 4.0), (3, 5.0), inf]


def test_a_free_user_waits_for_the_next_arrival_and_later_ones_for_a_user() -> None:
    schedule = LinkedLoop(range(3), [0.0, 5.0, 5.5], 1)
    assert schedule.pop() == (0, 0.0)
    schedule.released(0, 1.0)
    assert schedule.pop() == (1, 5.0)
    schedule.released(1, 9.0)
    assert schedule.pop() == (2, 9.0)


def plan(arrivals: list[float], targets: int = 1, outputs: int = 6) -> LoadPlan:
    servers = tuple(Target(f"http://127.0.0.1:{port}", "m") for port in range(1, targets + 1))
    return LoadPlan(requests(arrivals, outputs=outputs), servers, range(9), 0)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 5))
def test_every_request_is_in_one_share_at_its_place(count: int, targets: int, processes: int) -> None:
    hashes = pa.array([[row] for row in range(count)], pa.list_(pa.int64()))
    whole = plan([0.1 * row for row in range(count)], targets)
    whole = replace(whole, requests=whole.requests.append_column("prefix_block_hashes", hashes))
    shares = divide(whole, processes)
    assert sorted(row for share in shares for row in share.rows) == list(range(count))
    for share in shares:
        assert (holder(np.array(share.rows, dtype=np.int64), targets, processes) == share.process).all()
        assert list(share.rows) == sorted(share.rows)
        for row in share.rows:
            place = share.place(row)
            assert share.request_ids[place] == row
            assert share.arrivals_s[place] == 0.1 * row
            assert share.hashes is not None
            assert share.hashes[place] == [row]


def test_every_process_sees_every_target() -> None:
    for share in divide(plan([0.0] * 24, targets=2), 3):
        assert {row % 2 for row in share.rows} == {0, 1}


def test_one_process_is_enough_for_little_and_sockets_alone_may_ask_for_more_than_cores() -> None:
    assert process_count(plan([0.01 * row for row in range(1000)]), descriptors=20_000) == 1
    burst = plan([0.0] * 1000)
    assert process_count(burst, descriptors=300) == 10
    assert process_count(replace(burst, concurrency=150), descriptors=300) == 2
    assert process_count(plan([0.0]), descriptors=300) == 1


def test_ports_to_one_target_bound_the_sockets_of_a_process() -> None:
    many = replace(plan([0.0]), requests=requests([0.0] * 60_000, outputs=1))
    assert process_count(many, descriptors=10**6) >= 3
