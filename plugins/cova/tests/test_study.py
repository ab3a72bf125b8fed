"""Through the product's door: arms, advice, claims, report, failures; installed as a third party's plugin is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, open_door: Callable[[Path], Any]) -> Any:
    door = open_door(tmp_path_factory.mktemp("study"))
    door.run("backend.arm=specialized", "backend.labels=5,20", "advisor=[cova]", "-m")
    door.run("backend.arm=generic,generic_more,specialized,truth,teacher", "advisor=[cova]", "-m")
    door.run("backend.rehearsal=0")
    return door


def score(door: Any, arm: str, metric: str = "detection_map", rehearsal: float = 0.5) -> float:
    wanted = {"backend.arm": arm, "backend.labels": 20, "backend.rehearsal": rehearsal}
    of_run = (
        f"run_id IN (SELECT run_id FROM params WHERE name = '{name}' AND value = '{value}')"
        for name, value in wanted.items()
    )
    found = door.rows(f"SELECT value FROM metrics WHERE name = '{metric}' AND {' AND '.join(of_run)}")
    return float(found[0]["value"])  # type: ignore[arg-type]


def test_labels_of_the_camera_gain_more_than_the_same_steps_on_other_cameras(study: Any) -> None:
    specialized = score(study, "specialized")
    assert specialized > 1.3 * score(study, "generic")
    assert specialized > 1.1 * score(study, "generic_more")
    assert score(study, "truth") > score(study, "generic")
    costs = {
        score(study, arm, "student_gflop_per_frame") for arm in ("generic", "generic_more", "specialized")
    }
    assert len(costs) == 1
    assert score(study, "specialized", "teacher_calls") == 20
    assert 0 < score(study, "specialized", "label_missed_share") < 0.3


def test_a_student_that_sees_old_frames_again_forgets_less_of_other_cameras(study: Any) -> None:
    kept, lost = (score(study, "specialized", "generic_scenes_map", share) for share in (0.5, 0.0))
    assert kept > 1.1 * lost
    assert score(study, "specialized", "teacher_calls", 0.0) == 20


def test_the_advisor_names_labels_steps_and_filter_with_the_front_beside_them(study: Any) -> None:
    advice = study.rows("SELECT recommendation, reason, facts FROM advice WHERE advisor = 'cova'")
    assert "backend/filter" in str(advice[-1]["recommendation"])
    assert "teacher calls" in str(advice[-1]["reason"])


def test_the_report_shows_pictures_boxes_and_where_motion_was(study: Any) -> None:
    study.framework("report", "--experiment", "adhoc")
    page = next((study.folder / "outputs").rglob("*.html")).read_text()
    for words in (
        "<caption>front</caption>",
        "who sees what",
        "data:image/jpeg",
        "Where motion was",
        "mAP by camera",
        "trained on truth",
        "Specialised over generic",
        "student of this camera",
    ):
        assert words in page


def test_a_second_call_runs_nothing(study: Any) -> None:
    assert "5 skipped" in study.run("backend.arm=generic,generic_more,specialized,truth,teacher", "-m")


def test_a_change_of_the_scene_is_noticed_and_the_student_trained_again(door: Any) -> None:
    drift = ("workload.capture.drift=repaint", "workload.capture.drift_at=180", "workload.capture.frames=360")
    door.run(*drift, "backend.steps=100", "backend.policy=once,on_drift", "-m", backend="camera_drift")
    found = door.rows(
        "SELECT p.value AS policy, max(m.value) FILTER (m.name = 'retrainings') AS trained, "
        "max(m.value) FILTER (m.name = 'detection_map') AS map FROM metrics m JOIN params p USING (run_id) "
        "WHERE p.name = 'backend.policy' GROUP BY policy ORDER BY policy",
    )
    assert found[0]["trained"] >= 1  # type: ignore[operator]
    assert found[1]["trained"] == 0
    assert found[0]["map"] > found[1]["map"]  # type: ignore[operator]


def test_a_fleet_spends_the_same_labels_however_it_shares(door: Any) -> None:
    fleet = ("backend.cameras=4", "backend.sites=2", "backend.labels=4", "backend.steps=20")
    door.run(*fleet, "backend.sharing=none,sites,all", "-m", backend="camera_fleet")
    found = door.rows(
        "SELECT p.value AS sharing, max(m.value) FILTER (m.name = 'fleet_groups') AS groups, "
        "max(m.value) FILTER (m.name = 'teacher_calls') AS calls FROM metrics m JOIN params p USING (run_id) "
        "WHERE p.name = 'backend.sharing' GROUP BY sharing ORDER BY sharing",
    )
    groups = {row["sharing"]: row["groups"] for row in found}
    assert (groups["all"], groups["none"]) == (1, 4)
    assert 2 <= groups["sites"] < 4  # type: ignore[operator]
    assert {row["calls"] for row in found} == {16}


def test_without_the_plugin_the_framework_is_whole_and_knows_nothing_of_cameras(door: Any) -> None:
    others = {"FRAMEWORK_PLUGINS": "serving,twin,metrics,hadoop,vllm"}
    listed = door.framework("plugins", ok=None, **others)  # it also warns of plugins that are slow just now
    assert "camera_generated" not in listed
    assert "unknown" in door.framework("backend=camera_student", ok=False, **others)
    assert "camera_generated" in door.framework("plugins", ok=None)
