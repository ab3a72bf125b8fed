"""The generic student: trained on many other scenes; kept on disk, resumed where it was killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from framework.identity.run_key import canonical_hash
from framework.processes.file_lock import locked
from framework_cova.boxes import Boxes
from framework_cova.scene.generated_camera import GeneratedCamera
from framework_cova.scene.recipe import SceneRecipe
from framework_cova.stages import Image, Student

FIRST_SCENE = 50_000  # scenes of studies count from 0; these are others
HELD_OUT = 60_000  # generic scenes that nobody trains on: forgetting is seen there


@lru_cache(maxsize=4)
def generic_frames(
    scenes: int, width: int, height: int, first: int = FIRST_SCENE, each: int = 5
) -> tuple[list[Image], list[Boxes]]:
    """Return a few frames each of many cameras by day, at night and in rain, with their truth."""
    images: list[Image] = []
    truth: list[Boxes] = []
    for scene in range(first, first + scenes):
        light = "night" if scene % 7 == 3 else "day"
        camera = GeneratedCamera(
            SceneRecipe(scene=scene, width=width, height=height, frames=200, light=light, rain=scene % 9 == 4)
        )
        for place in range(each):
            image, boxes = camera.frame(20 + 175 * place // max(each - 1, 1))
            images.append(image)
            truth.append(boxes)
    return images, truth


def generic_student(
    student: Student,
    node: Mapping[str, Any],
    scenes: int,
    steps: int,
    size: tuple[int, int],
    seed: int,
    code: str,
    folder: Path,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Train the student on generic frames, or take it from the folder where that was done before.

    Of several processes that need the same student one trains it and the others wait.

    Args:
        node: the student's configuration, part of its identity.
        size: width, height of the camera's frames.
        code: hash of the code that trains.
        folder: of students on disk.

    Returns:
        What happened: `file`, `trained_steps` (0: it was there), `resumed_at`.
    """
    key = canonical_hash([json.loads(json.dumps(node, default=str)), scenes, steps, size, seed, code])
    file = folder / f"{key}.pt"
    found = {"file": file.name, "trained_steps": 0, "resumed_at": 0}
    if student.load(file):
        return found
    with locked(folder / f"{key}.lock", what=f"the generic student {file}"):
        if student.load(file):
            return found
        student.start(seed)
        images, truth = generic_frames(scenes, *size)
        resumed = student.train(images, truth, steps, seed, folder / f"{key}.part", progress=progress)
        student.save(file)
    return found | {"trained_steps": steps - resumed, "resumed_at": resumed}
