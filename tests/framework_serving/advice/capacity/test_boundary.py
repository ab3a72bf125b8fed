"""The boundary between adapters served and starving, on laws that are known; the file that keeps what was found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import InputError
from framework_serving.advice.capacity.adapter_sums import averaged
from framework_serving.advice.capacity.boundary import Boundary, Point, enclose
from framework_serving.advice.capacity.capacity_data import _line, read_data
from framework_serving.advice.capacity.population_draws import draw
from framework_serving.advice.capacity.workload_adapters import WorkloadPopulation
from tests.framework_serving.advice.capacity.known_engine import ENGINE, known_data


def found(capacity: float, start: int, most: int = 2000, power: float = 1.0) -> Boundary:
    asking = enclose(8, start, most, 0.03)
    count = next(asking)
    while True:
        share = min(1.0, 0.9 * (capacity / count) ** power)
        try:
            count = asking.send(Point(count, 8, share))
        except StopIteration as end:
            result: Boundary = end.value
            return result


@settings(max_examples=60, deadline=None)
@given(st.floats(0.5, 3000), st.integers(1, 4000), st.sampled_from([0.3, 1.0, 3.0]))
def test_the_boundary_is_enclosed_within_the_resolution(capacity: float, start: int, power: float) -> None:
    answer = found(capacity, start, power=power)
    assert answer.adapters <= max(capacity, 0)
    if answer.fails is None:
        assert answer.adapters == 2000
    else:
        assert answer.fails > capacity
        assert answer.fails - answer.adapters <= max(1, 0.03 * answer.adapters)
    assert len(answer.points) <= 22


def test_an_overloaded_start_tells_the_capacity_in_few_simulations() -> None:
    assert len(found(200.0, 1000).points) <= 4


def test_a_data_set_is_read_back_and_a_cut_line_left_out(tmp_path: Path) -> None:
    import json

    data = known_data(3)
    file = tmp_path / "data.jsonl"
    lines = [json.dumps({"probe": ENGINE.as_json()}), *(json.dumps(_line(item)) for item in data.examples)]
    file.write_text("\n".join(lines)[:-20])
    again = read_data(file)
    assert again.probes == {"known": ENGINE}
    assert again.examples == data.examples[:2]


def test_examples_made_with_other_physics_do_not_count(tmp_path: Path) -> None:
    import json

    (example,) = known_data(1).examples
    probes = [replace(ENGINE, physics=name).as_json() for name in ("old", "new")]
    lines = [{"probe": probes[0]}, _line(example), {"probe": probes[1]}]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_data(tmp_path / "data.jsonl")
    assert (found.examples, found.probes["known"].physics) == ((), "new")


def test_a_line_of_another_kind_is_named(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"else": 1}\n')
    with pytest.raises(InputError, match="row 1"):
        read_data(file)


def test_a_drawn_population_is_the_same_each_time_and_covers_what_lies_beyond_the_published_grid() -> None:
    drawn = [draw(index) for index in range(150)]
    assert drawn == [draw(index) for index in range(150)]
    assert max(max(item["ranks"]) for item in drawn) == 64
    for key in ("popularity", "bursts", "activity", "arrivals"):
        assert any(key in item for item in drawn)
    for item in drawn:
        WorkloadPopulation(item).adapters(12)


def test_the_variance_of_a_mean_falls_from_the_whole_to_none_with_the_window() -> None:
    assert averaged(2.0, 100.0, 0.01) == pytest.approx(2.0, rel=1e-3)
    assert averaged(2.0, 1.0, 1e6) == pytest.approx(0.0, abs=1e-4)
