"""torchvision's detectors as teacher and as student, with weights that the test makes: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framework_cova.annotate.weight_files import TorchvisionAnnotator
from framework_cova.scene.generated_camera import GeneratedCamera
from framework_cova.scene.recipe import SceneRecipe
from framework_cova.stages import Frame
from framework_cova.student.ssd_lite import SsdLiteStudent

from framework.errors import ConfigError, InputError

torch = pytest.importorskip("torch")
try:
    from torchvision.models import detection
except (ImportError, RuntimeError) as error:
    pytest.skip(f"torchvision can't be imported: {error}", allow_module_level=True)

torch.set_num_threads(1)  # as in a run: two threads on busy cores wait for each other most of the time
MODEL = "fasterrcnn_mobilenet_v3_large_320_fpn"


def frames(count: int) -> list[Frame]:
    camera = GeneratedCamera(SceneRecipe(frames=200, scene=1))
    return [Frame(number, number / 10, *camera.frame(number)) for number in range(40, 40 + 20 * count, 20)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    network = getattr(detection, MODEL)(weights=None, weights_backbone=None, num_classes=5)
    file = tmp_path_factory.mktemp("weights") / "teacher.pt"
    torch.save(network.state_dict(), file)
    return str(file)


def test_a_teacher_from_a_file_of_weights_labels_frames_with_our_classes(weights: str) -> None:
    everything = TorchvisionAnnotator(weights, MODEL, class_ids=None, model_classes=5).label(frames(1)[0])
    assert len(everything)
    number = int(everything.label[0])
    teacher = TorchvisionAnnotator(weights, MODEL, class_ids=[77, number], model_classes=5)
    found = teacher.label(frames(1)[0])
    assert len(found) == (everything.label == number).sum()
    assert set(found.label.tolist()) == {1}
    assert (found.xyxy >= 0).all()
    assert (found.xyxy <= [256, 160, 256, 160]).all()
    assert teacher.identity()["weights"] == "teacher.pt"


def test_weights_of_another_model_and_an_unknown_model_are_one_line(weights: str) -> None:
    with pytest.raises(InputError, match="doesn't fit ssdlite320_mobilenet_v3_large"):
        TorchvisionAnnotator(weights, "ssdlite320_mobilenet_v3_large", None, 5)
    with pytest.raises(ConfigError, match="has no 'yolo'"):
        TorchvisionAnnotator(weights, "yolo", None, 5)


def test_the_light_student_learns_and_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    shown = frames(4)
    images, labels = [frame.image for frame in shown], [frame.truth for frame in shown]

    def killed(share: float) -> None:
        if share >= 0.6:
            raise KeyboardInterrupt

    student = SsdLiteStudent(batch=2)
    student.start(3)
    fresh = student.state()
    assert student.train(images, labels, 5, 0) == 0  # type: ignore[arg-type]
    whole = student.state()
    assert any((whole[name] != value).any() for name, value in fresh.items())
    student.restore(fresh)
    with pytest.raises(KeyboardInterrupt):
        student.train(images, labels, 5, 0, tmp_path / "t.part", 1, killed)  # type: ignore[arg-type]
    student.start(9)
    assert student.train(images, labels, 5, 0, tmp_path / "t.part", 1) == 3  # type: ignore[arg-type]
    assert all(torch.allclose(student.state()[name], value, atol=1e-4) for name, value in whole.items())
    student.save(tmp_path / "student.pt")
    other = SsdLiteStudent()
    assert other.load(tmp_path / "student.pt")
    for one, two in zip(student.detect(images), other.detect(images), strict=True):
        assert np.allclose(one.xyxy, two.xyxy)
    assert other.flops(160, 256) > 1e8


def test_both_stand_in_a_run(door: Any, weights: str) -> None:
    teacher = ("backend/annotate=torchvision", f"backend.annotate.weights={weights}")
    classes = (
        "backend.annotate.model_classes=5",
        "backend.annotate.class_ids=[1,2,3]",
        "backend.min_score=0",
    )
    student = ("backend/student=ssdlite", "backend.generic_scenes=2", "backend.generic_steps=2")
    short = ("backend.steps=2", "backend.labels=2", "backend.adapt_frames=30", "backend.scored_frames=8")
    door.run(*teacher, *classes, *student, *short)
    found = door.rows("SELECT name, value FROM metrics WHERE name IN ('teacher_calls', 'detection_map')")
    assert {row["name"] for row in found if row["value"] is not None} == {"teacher_calls", "detection_map"}
