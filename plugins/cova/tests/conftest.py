"""What several files of tests use: the product's door, a video of a generated camera, a detector in a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from framework_cova.scene.generated_camera import GeneratedCamera
from framework_cova.scene.recipe import SceneRecipe

NEITHER = ("model=none", "gpu=none")
SMALL = ("backend.generic_scenes=10", "backend.generic_steps=60", "backend.steps=60", "backend.labels=20")
SHORT = ("backend.adapt_frames=120", "backend.gap_frames=10", "backend.scored_frames=40")


class Door:
    """`python -m framework` in a folder; generic students are shared by all tests."""

    def __init__(self, folder: Path, students: Path) -> None:
        self.folder, self.students = folder, students

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "framework", *words]

    def framework(self, *words: str, ok: bool | None = True, **variables: str) -> str:
        """Return what was printed; `ok` None: whatever the exit status."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "200", **variables},
        )
        text = done.stdout + done.stderr
        assert ok is None or (done.returncode == 0) == ok, text
        assert "Traceback" not in text
        return text

    def run(
        self,
        *words: str,
        ok: bool = True,
        backend: str = "camera_student",
        workload: str = "camera_generated",
    ) -> str:
        """Run a small study of one camera."""
        kept = f"backend.students_dir={self.students}"
        chosen = (f"backend={backend}", f"workload={workload}", *NEITHER, kept, *SMALL, *SHORT)
        return self.framework(*chosen, *words, ok=ok)

    def rows(self, sql: str) -> list[dict[str, object]]:
        found = json.loads(self.framework("sql", "--format", "json", sql))
        assert isinstance(found, list)
        return found

    def checks(self) -> str:
        """Return all findings on all runs as one text."""
        return json.dumps(self.rows("SELECT * FROM checks"))


@pytest.fixture(scope="session")
def students(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("students")


@pytest.fixture(scope="session")
def open_door(students: Path) -> Callable[[Path], Door]:
    return lambda folder: Door(folder, students)


@pytest.fixture
def door(tmp_path: Path, students: Path) -> Door:
    return Door(tmp_path, students)


@pytest.fixture(scope="session")
def video() -> Callable[..., None]:
    """Return a function that writes a video of a generated camera."""
    av = pytest.importorskip("av")

    def write(file: Path, frames: int, width: int = 256, height: int = 160, codec: str = "mpeg4") -> None:
        with av.open(str(file), "w") as container:
            stream = container.add_stream(codec, rate=10 if codec == "mpeg4" else 25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            camera = GeneratedCamera(SceneRecipe(scene=2, width=width, height=height, frames=400))
            for number in range(frames):
                shown = av.VideoFrame.from_ndarray(camera.frame(number)[0], format="rgb24")
                container.mux(stream.encode(shown))
            container.mux(stream.encode())

    return write


@pytest.fixture(scope="session")
def detector_file() -> Callable[..., str]:
    """Return a function that writes an ONNX detector which sees the same boxes in every frame."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")

    def write(file: Path, boxes: Sequence[Sequence[float]], labels: Sequence[int]) -> str:
        helper, kinds = onnx.helper, onnx.TensorProto
        values = {
            "boxes": np.array(boxes, np.float32),
            "labels": np.array(labels, np.int64),
            "scores": np.full(len(labels), 0.9, np.float32),
        }
        types = {"boxes": kinds.FLOAT, "labels": kinds.INT64, "scores": kinds.FLOAT}
        nodes = [
            helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value, name))
            for name, value in values.items()
        ]
        outputs = [
            helper.make_tensor_value_info(name, types[name], value.shape) for name, value in values.items()
        ]
        given = helper.make_tensor_value_info("image", kinds.FLOAT, [1, 3, "h", "w"])
        graph = helper.make_graph(nodes, "detector", [given], outputs)
        opset = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(file))
        return str(file)

    return write
