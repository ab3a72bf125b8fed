"""What goes wrong on the way: one line that names it, or counted and told. Through the product's door."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from framework_cova.annotate.oracle import OracleAnnotator
from framework_cova.capture.camera_workload import CameraWorkload
from framework_cova.inference.looks import PackedRegions
from framework_cova.scene.generated_camera import GeneratedCamera
from framework_cova.scene.recipe import SceneRecipe
from framework_cova.settings import SpecializationSettings
from framework_cova.student.grid_student import GridStudent
from framework_cova.study.camera_backend import read_settings

from framework.errors import ConfigError

torch = pytest.importorskip("torch")

CAMERA = ("backend=camera_student", "workload=camera_generated", "model=none", "gpu=none")


def test_a_killed_training_is_resumed_where_it_was(door: Any) -> None:
    folder = door.folder
    words = (*CAMERA, "backend.adapt_frames=60", "backend.generic_scenes=4", "backend.arm=generic")
    steps = "backend.generic_steps=3000"
    process = subprocess.Popen(
        door.command(*words, steps), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 600
    while not list(folder.glob("outputs/students/*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    parts = list(folder.glob("outputs/students/*.part"))
    assert len(parts) == 1
    kept = torch.load(parts[0], weights_only=True)
    kept["step"] = 2990  # the rest is short: what is tested is that it goes on from there
    torch.save(kept, parts[0])
    door.framework(*words, steps)
    left = {file.suffix for file in (folder / "outputs/students").iterdir()}
    assert left - {".partial"} == {".pt", ".lock"}  # the kill may have come while a checkpoint was written
    bundles = [json.loads(path.read_text()) for path in (folder / "outputs/runs").rglob("run.json")]
    assert '"resumed_at": 2990' in json.dumps(bundles)


def test_a_folder_with_empty_files_and_another_resolution_is_read_and_what_was_left_out_is_counted(
    door: Any, detector_file: Callable[..., str]
) -> None:
    camera = GeneratedCamera(SceneRecipe(scene=2, frames=400))
    shots = door.folder / "shots"
    shots.mkdir()
    for number in range(150):
        image = camera.frame(number)[0][:, :, ::-1]
        if number == 60:
            image = cv2.resize(image, (320, 200))
        cv2.imwrite(str(shots / f"{number:04}.jpg"), image)
    (shots / "0070.jpg").write_bytes(b"")
    (shots / "0071.jpg").write_bytes(b"torn")
    weights = detector_file(door.folder / "teacher.onnx", [[50, 60, 90, 80]], [1])
    teacher = ("backend/annotate=onnx", f"backend.annotate.weights={weights}")
    door.run("workload.capture.path=shots", *teacher, "backend.arm=generic", workload="camera_folder")
    checks = door.checks()
    assert "unreadable or empty frame: 2" in checks
    assert "resolution differs from the first frame's: 1" in checks
    assert "the source ended early: 9 frames scored of 20" in checks


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no file"),
        (b"no video at all" * 50, "can't be opened as video"),
        (40, "the source ended after 40 frames"),
    ],
)
def test_a_video_that_is_missing_unreadable_or_too_short_is_one_line(
    door: Any, video: Callable[..., None], content: bytes | int | None, words: str
) -> None:
    file: Path = door.folder / "v.mp4"
    if isinstance(content, int):
        video(file, content)
    elif content:
        file.write_bytes(content)
    given = ("workload.capture.path=v.mp4", "backend.arm=generic")
    assert words in door.run(*given, workload="camera_video", ok=False)


def test_an_empty_folder_is_one_line(door: Any) -> None:
    (door.folder / "shots").mkdir()
    text = door.run("workload.capture.path=shots", workload="camera_folder", ok=False)
    assert "no image (.png" in text


def test_a_teacher_that_fails_now_and_then_is_counted_and_one_that_always_fails_is_one_line(
    door: Any,
) -> None:
    door.run("backend.annotate.failing=0.4")
    assert "teacher failed: " in door.checks()
    found = door.rows("SELECT name, value FROM metrics WHERE name IN ('labels_left_out', 'teacher_calls')")
    counted = {row["name"]: row["value"] for row in found}
    assert counted["teacher_calls"] == 20
    assert 0 < counted["labels_left_out"] < 20
    text = door.run("backend.annotate.failing=1", ok=False)
    assert "the teacher labelled none of 20 frames: the teacher failed" in text


def test_a_frame_that_the_teacher_cannot_label_is_not_scored_as_one_without_objects(door: Any) -> None:
    door.run("backend.arm=teacher", "backend.annotate.noise=0", "backend.annotate.failing=0.5")
    found = door.rows("SELECT name, value FROM metrics WHERE name IN ('labels_left_out', 'detection_map50')")
    values = {row["name"]: row["value"] for row in found}
    assert values["detection_map50"] == pytest.approx(1)
    assert values["labels_left_out"] > 0
    assert "teacher failed: " in door.checks()


def test_without_any_motion_the_student_stays_generic_and_the_run_says_so(door: Any) -> None:
    door.run("workload.capture.traffic=0", "workload.capture.parked=1")
    assert "no frame with motion" in door.checks()
    assert door.rows("SELECT value FROM metrics WHERE name = 'teacher_calls'")[0]["value"] == 0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("backend.arm=best", "backend.arm"),
        ("backend.filter.method=magic", "backend.filter.method"),
        ("backend.stepz=3", "backend.stepz"),
        ("backend.annotate._target_=nowhere.Teacher", "backend.annotate"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_key(door: Any, override: str, words: str) -> None:
    assert words in door.framework(*CAMERA, override, ok=False)


@pytest.mark.parametrize(
    ("made", "key"),
    [
        (lambda: read_settings(SpecializationSettings, {"labels": 0}), "backend.labels"),
        (lambda: read_settings(SpecializationSettings, {"rehearsal": 1}), "backend.rehearsal"),
        (lambda: read_settings(SpecializationSettings, {"choose": "all"}), "backend.choose"),
        (lambda: GridStudent(channels=0), "backend.student.channels"),
        (lambda: OracleAnnotator(noise=2), "backend.annotate.noise"),
        (lambda: CameraWorkload(skip=-1), "workload.skip"),
        (lambda: PackedRegions(frames=0), "backend.inference.frames"),
    ],
)
def test_a_value_out_of_range_names_its_key(made: Callable[[], object], key: str) -> None:
    with pytest.raises(ConfigError, match=f"'{key}'"):
        made()
