from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework.errors import StoreError
from framework.store.database.ingest import ingest
from framework.store.side_files.sweep_plans import SweepPlan, save_plan
from framework.sweep.grid import Point
from framework.sweep.planning import changes_since_last, plan_sweep

CONFIG = {"experiment": "study", "backend": {"speed": 1, "name": "toy"}, "outputs_dir": "outputs"}
POINTS = [Point(0, ("backend.speed=1",)), Point(1, ("backend.speed=2",))]


def _plan(code: str = "toy 1", points: list[Point] = POINTS, **changes: object) -> SweepPlan:
    return plan_sweep("study", {**CONFIG, **changes}, code, points)


def test_the_same_command_on_the_same_code_is_the_same_sweep() -> None:
    first, second = _plan(), _plan()
    assert first.sweep_id == second.sweep_id
    assert first.job_keys == second.job_keys
    assert first.sweep_id.startswith("study-")


def test_a_sweep_into_another_folder_is_the_same_sweep() -> None:
    assert _plan(outputs_dir="elsewhere").sweep_id == _plan().sweep_id


def test_more_repeats_of_the_same_points_belong_to_the_same_sweep() -> None:
    more = [Point(point.index, point.overrides, repeat) for point in POINTS for repeat in range(3)]
    assert _plan(points=more).sweep_id == _plan().sweep_id
    assert len(set(_plan(points=more).job_keys)) == 6


@pytest.mark.parametrize(
    "other",
    [
        _plan(backend={"speed": 3}),
        _plan(code="toy 2"),
        _plan(points=[*POINTS, Point(2, ("backend.speed=9",))]),
    ],
    ids=["configuration", "code", "points"],
)
def test_a_changed_configuration_code_or_grid_is_another_sweep(other: SweepPlan) -> None:
    assert other.sweep_id != _plan().sweep_id


def test_points_that_are_added_leave_the_job_keys_of_the_others() -> None:
    more = _plan(points=[*POINTS, Point(2, ("backend.speed=9",))])
    assert list(more.job_keys[:2]) == list(_plan().job_keys)


def test_a_changed_file_that_the_configuration_names_changes_all_job_keys(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("1\n")
    before = _plan(workload={"file": str(trace)})
    trace.write_text("1\n2\n")
    assert not set(before.job_keys) & set(_plan(workload={"file": str(trace)}).job_keys)


def test_a_changed_file_that_an_override_names_changes_the_job_keys_of_its_points(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("1\n")
    points = [Point(0, (f"workload.file='{trace}'",)), Point(1, ("workload.file=other",))]
    before = _plan(points=points).job_keys
    trace.write_text("1\n2\n")
    after = _plan(points=points).job_keys
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_a_saved_plan_holds_base_points_and_job_keys(tmp_path: Path) -> None:
    found = json.loads(save_plan(tmp_path, _plan()).read_text())
    assert found["base"] == {"experiment": "study", "backend.speed": 1, "backend.name": "toy"}
    assert [point["overrides"] for point in found["points"]] == [["backend.speed=1"], ["backend.speed=2"]]
    assert len(found["job_keys"]) == 2
    assert [file.name for file in (tmp_path / "sweeps").iterdir()] == [f"{found['sweep_id']}.json"]


def test_changes_since_the_last_sweep_are_listed_key_by_key(tmp_path: Path) -> None:
    save_plan(tmp_path, _plan())
    changed = _plan(code="toy 2", backend={"speed": 3, "name": "toy", "depth": None})
    assert changes_since_last(tmp_path, changed) == [
        "backend.depth: (absent) → None",
        "backend.speed: 1 → 3",
        "code: toy 1 → toy 2",
    ]


def test_the_same_sweep_again_has_no_changes(tmp_path: Path) -> None:
    save_plan(tmp_path, _plan())
    assert changes_since_last(tmp_path, _plan()) == []


def test_another_experiment_is_nothing_to_compare_with(tmp_path: Path) -> None:
    save_plan(tmp_path, plan_sweep("other", CONFIG, "toy 1", POINTS))
    assert changes_since_last(tmp_path, _plan(code="toy 2")) == []


def test_changes_refer_to_the_newest_earlier_sweep(tmp_path: Path) -> None:
    old = save_plan(tmp_path, _plan(backend={"speed": 7}))
    save_plan(tmp_path, _plan(backend={"speed": 8}))
    os.utime(old, (0, 0))
    assert changes_since_last(tmp_path, _plan(backend={"speed": 9})) == ["backend.speed: 8 → 9"]


def test_many_changes_are_counted_not_listed(tmp_path: Path) -> None:
    save_plan(tmp_path, _plan(backend={f"key{i}": 0 for i in range(9)}))
    changes = changes_since_last(tmp_path, _plan(backend={f"key{i}": 1 for i in range(9)}))
    assert len(changes) == 7
    assert changes[-1] == "and 3 more"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"experiment": "study"}', '{"experiment": "study", "sweep_id": 1}']
)
def test_a_torn_or_foreign_plan_is_nothing_to_compare_with(tmp_path: Path, text: str) -> None:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "study-x.json").write_text(text)
    assert changes_since_last(tmp_path, _plan()) == []


def test_an_outputs_folder_that_cannot_be_written_is_one_line_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "outputs"
    file.write_text("a file, not a folder")
    with pytest.raises(StoreError, match=r"can't write .*outputs/sweeps/.*: ") as caught:
        save_plan(file, _plan())
    assert "\n" not in str(caught.value)


def test_what_a_killed_writer_left_of_a_plan_is_no_plan_and_is_removed(tmp_path: Path) -> None:
    code = f"""
import os
import subprocess
import sys
from pathlib import Path
from framework.store import durable
from framework.store.side_files.sweep_plans import SweepPlan, save_plan
durable.os.replace = lambda *paths: os._exit(9)  # killed before the rename
save_plan(Path({str(tmp_path)!r}), SweepPlan("study-x", "study", "", "toy 1", {{}}, [], []))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert len(list((tmp_path / "sweeps").iterdir())) == 1
    assert changes_since_last(tmp_path, _plan()) == []
    ingest(tmp_path)
    assert list((tmp_path / "sweeps").iterdir()) == []
