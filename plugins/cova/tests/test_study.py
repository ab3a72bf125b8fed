"""Through the product's door: arms, advice, claims, report, failures; installed as a third party's plugin is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from framework_cova.scene.generated_camera import GeneratedCamera
from framework_cova.scene.recipe import SceneRecipe

pytest.importorskip("torch")

CAMERA = ("workload=camera_generated", "model=none", "gpu=none")
SMALL = ("backend.generic_scenes=10", "backend.generic_steps=60", "backend.steps=60", "backend.labels=20")
SHORT = ("backend.adapt_frames=120", "backend.gap_frames=10", "backend.scored_frames=40")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "framework", *words]


def framework(folder: Path, *words: str, ok: bool = True, **variables: str) -> str:
    done = subprocess.run(
        command(*words),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", **variables},
    )
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(folder: Path, sql: str) -> list[dict[str, object]]:
    found = json.loads(framework(folder, "sql", "--format", "json", sql))
    assert isinstance(found, list)
    return found


def run(
    folder: Path, *words: str, ok: bool = True, backend: str = "camera_student", camera: bool = True
) -> str:
    return framework(
        folder, f"backend={backend}", *(CAMERA if camera else CAMERA[1:]), *SMALL, *SHORT, *words, ok=ok
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    run(folder, "backend.arm=generic,generic_more,specialized,truth,teacher", "advisor=[cova]", "-m")
    run(folder, "backend.arm=specialized", "backend.labels=5,20", "advisor=[cova]", "-m")
    return folder


def score(folder: Path, arm: str, metric: str = "detection_map") -> float:
    found = rows(
        folder,
        "SELECT m.value FROM metrics m JOIN params p USING (run_id) JOIN params l USING (run_id) WHERE "
        f"m.name = '{metric}' AND p.name = 'backend.arm' AND p.value = '{arm}' AND l.name = 'backend.labels' "
        "AND l.value = '20'",
    )
    return float(found[0]["value"])  # type: ignore[arg-type]


def test_labels_of_the_camera_gain_more_than_the_same_steps_on_other_cameras(study: Path) -> None:
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


def test_the_advisor_names_labels_steps_and_filter_with_the_front_beside_them(study: Path) -> None:
    advice = rows(study, "SELECT recommendation, reason, facts FROM advice WHERE advisor = 'cova'")
    assert "backend/filter" in str(advice[-1]["recommendation"])
    assert "teacher calls" in str(advice[-1]["reason"])


def test_the_report_shows_pictures_boxes_and_where_motion_was(study: Path) -> None:
    framework(study, "report", "--experiment", "adhoc")
    page = next((study / "outputs").rglob("*.html")).read_text()
    for words in (
        "who sees what",
        "data:image/jpeg",
        "Where motion was",
        "mAP by camera",
        "trained on truth",
    ):
        assert words in page


def test_a_second_call_runs_nothing(study: Path) -> None:
    assert "5 skipped" in run(study, "backend.arm=generic,generic_more,specialized,truth,teacher", "-m")


def test_a_change_of_the_scene_is_noticed_and_the_student_trained_again(tmp_path: Path) -> None:
    drift = ("workload.capture.drift=repaint", "workload.capture.drift_at=180", "workload.capture.frames=360")
    run(tmp_path, *drift, "backend.steps=100", "backend.policy=once,on_drift", "-m", backend="camera_drift")
    found = rows(
        tmp_path,
        "SELECT p.value AS policy, max(m.value) FILTER (m.name = 'retrainings') AS trained, "
        "max(m.value) FILTER (m.name = 'detection_map') AS map FROM metrics m JOIN params p USING (run_id) "
        "WHERE p.name = 'backend.policy' GROUP BY policy ORDER BY policy",
    )
    assert found[0]["trained"] >= 1  # type: ignore[operator]
    assert found[1]["trained"] == 0
    assert found[0]["map"] > found[1]["map"]  # type: ignore[operator]


def test_a_fleet_spends_the_same_labels_however_it_shares(tmp_path: Path) -> None:
    fleet = ("backend.cameras=4", "backend.sites=2", "backend.labels=4", "backend.steps=20")
    run(tmp_path, *fleet, "backend.sharing=none,sites,all", "-m", backend="camera_fleet")
    found = rows(
        tmp_path,
        "SELECT p.value AS sharing, max(m.value) FILTER (m.name = 'fleet_groups') AS groups, "
        "max(m.value) FILTER (m.name = 'teacher_calls') AS calls FROM metrics m JOIN params p USING (run_id) "
        "WHERE p.name = 'backend.sharing' GROUP BY sharing ORDER BY sharing",
    )
    groups = {row["sharing"]: row["groups"] for row in found}
    assert (groups["all"], groups["none"]) == (1, 4)
    assert 2 <= groups["sites"] < 4  # type: ignore[operator]
    assert {row["calls"] for row in found} == {16}


def test_a_killed_training_is_resumed_where_it_was(tmp_path: Path) -> None:
    words = ("backend=camera_student", *CAMERA, *SHORT, "backend.generic_scenes=4", "backend.arm=generic")
    steps = "backend.generic_steps=3000"
    process = subprocess.Popen(
        command(*words, steps), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("outputs/students/*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    parts = list(tmp_path.glob("outputs/students/*.part"))
    assert len(parts) == 1
    import torch

    kept = torch.load(parts[0], weights_only=True)
    kept["step"] = 2990  # the rest is short: what is tested is that it goes on from there
    torch.save(kept, parts[0])
    framework(tmp_path, *words, steps)
    assert [file.suffix for file in (tmp_path / "outputs/students").iterdir()] == [".pt"]
    text = json.dumps(rows(tmp_path, "SELECT * FROM runs WHERE status = 'done'"))
    bundle = next(
        path for path in (tmp_path / "outputs/runs").rglob("run.json") if "resumed_at" in path.read_text()
    )
    assert '"resumed_at": 2990' in bundle.read_text().replace('"resumed_at":2990', '"resumed_at": 2990')
    assert "done" in text


def _video(file: Path, sizes: list[tuple[int, int, int]]) -> None:
    av = pytest.importorskip("av")
    width, height = sizes[0][0], sizes[0][1]
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        camera = GeneratedCamera(SceneRecipe(scene=2, width=width, height=height, frames=400))
        for number in range(sizes[0][2]):
            for packet in stream.encode(av.VideoFrame.from_ndarray(camera.frame(number)[0], format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _oracle_of_boxes(folder: Path) -> str:
    """Return an ONNX teacher that sees one car in every frame."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kinds = onnx.helper, onnx.TensorProto
    values = {
        "boxes": np.array([[50, 60, 90, 80]], np.float32),
        "labels": np.array([1], np.int64),
        "scores": np.array([0.9], np.float32),
    }
    nodes = [
        helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value, name))
        for name, value in values.items()
    ]
    given = helper.make_tensor_value_info("image", kinds.FLOAT, [1, 3, "h", "w"])
    types = {"boxes": kinds.FLOAT, "labels": kinds.INT64, "scores": kinds.FLOAT}
    outputs = [
        helper.make_tensor_value_info(name, types[name], value.shape) for name, value in values.items()
    ]
    graph = helper.make_graph(nodes, "detector", [given], outputs)
    file = folder / "teacher.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(file))
    return str(file)


def test_a_video_is_specialised_to_by_a_teacher_from_a_file(tmp_path: Path) -> None:
    _video(tmp_path / "street.mp4", [(256, 160, 180)])
    words = ("workload=camera_video", "workload.capture.path=street.mp4", "backend/annotate=onnx")
    run(tmp_path, *words, f"backend.annotate.weights={_oracle_of_boxes(tmp_path)}", camera=False)
    found = rows(tmp_path, "SELECT value, source FROM metrics WHERE name = 'detection_map'")
    assert found[0]["source"] == "teacher"
    assert found[0]["value"] > 0.9  # type: ignore[operator]


def test_a_folder_with_empty_files_and_another_resolution_is_read_and_what_was_left_out_is_counted(
    tmp_path: Path,
) -> None:
    camera = GeneratedCamera(SceneRecipe(scene=2, frames=400))
    (tmp_path / "shots").mkdir()
    for number in range(150):
        image = camera.frame(number)[0][:, :, ::-1]
        if number == 60:
            image = cv2.resize(image, (320, 200))
        cv2.imwrite(str(tmp_path / f"shots/{number:04}.jpg"), image)
    (tmp_path / "shots/0070.jpg").write_bytes(b"")
    (tmp_path / "shots/0071.jpg").write_bytes(b"torn")
    words = (
        "workload=camera_folder",
        "workload.capture.path=shots",
        "backend/annotate=onnx",
        "backend.arm=generic",
    )
    run(tmp_path, *words, f"backend.annotate.weights={_oracle_of_boxes(tmp_path)}", camera=False)
    text = json.dumps(rows(tmp_path, "SELECT * FROM checks"))
    assert "unreadable or empty frame: 2" in text
    assert "resolution differs from the first frame's: 1" in text


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "no file"),
        (lambda folder: (folder / "v.mp4").write_bytes(b"no video at all" * 50), "can't be opened as video"),
        (lambda folder: _video(folder / "v.mp4", [(256, 160, 40)]), "the source ended after 40 frames"),
    ],
)
def test_a_video_that_is_missing_unreadable_or_too_short_is_one_line(
    tmp_path: Path, make: object, words: str
) -> None:
    pytest.importorskip("av")
    make(tmp_path)  # type: ignore[operator]
    text = run(
        tmp_path,
        "workload=camera_video",
        "workload.capture.path=v.mp4",
        "backend.arm=generic",
        camera=False,
        ok=False,
    )
    assert words in text
    assert "Traceback" not in text


def test_a_stream_that_stalls_is_one_line_within_its_time(tmp_path: Path) -> None:
    pytest.importorskip("av")
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/live.ts"
        words = ("workload=camera_video", f"workload.capture.path={url}", "workload.capture.stall_s=1")
        text = run(tmp_path, *words, "backend.arm=generic", camera=False, ok=False)
    assert "workload.capture.path" in text
    assert "Traceback" not in text


def test_without_any_motion_the_student_stays_generic_and_the_run_says_so(tmp_path: Path) -> None:
    run(tmp_path, "workload.capture.traffic=0", "workload.capture.parked=1")
    assert "no frame with motion" in json.dumps(rows(tmp_path, "SELECT * FROM checks"))
    assert rows(tmp_path, "SELECT value FROM metrics WHERE name = 'teacher_calls'")[0]["value"] == 0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("backend.arm=best", "backend.arm"),
        ("backend.labels=0", "backend.labels"),
        ("backend.choose=all", "backend.choose"),
        ("backend.filter.method=magic", "backend.filter.method"),
        ("backend.student.channels=0", "backend.student.channels"),
        ("backend.annotate.noise=2", "backend.annotate.noise"),
        ("workload.capture.drift=flood", "workload.capture.drift"),
        ("workload.skip=-1", "workload.skip"),
        ("backend.stepz=3", "backend.stepz"),
        ("backend.annotate._target_=nowhere.Teacher", "backend.annotate"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_key(tmp_path: Path, override: str, words: str) -> None:
    text = framework(tmp_path, "backend=camera_student", *CAMERA, override, ok=False)
    assert words in text
    assert "Traceback" not in text


def test_without_the_plugin_the_framework_is_whole_and_knows_nothing_of_cameras(tmp_path: Path) -> None:
    others = {"FRAMEWORK_PLUGINS": "serving,twin,metrics,hadoop,vllm"}
    assert "camera_generated" not in framework(tmp_path, "plugins", **others)
    assert "unknown" in framework(tmp_path, "backend=camera_student", ok=False, **others)
    assert "camera_generated" in framework(tmp_path, "plugins")
