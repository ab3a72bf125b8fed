"""What the stages of the study are to each other; a class named in a configuration group needs these methods alone.

capture → filter → annotate → student, and the way in which a student looks at a frame. Every stage is a group below
`workload` or `backend`; its `_target_` may name a class of anyone's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError, UserError, one_line
from framework_cova.boxes import Boxes, Floats

Image = npt.NDArray[np.uint8]


class TeacherError(Exception):
    """A teacher couldn't label one frame; the text says why. The frame is left out and counted."""


@dataclass(frozen=True)
class Frame:
    """One frame of a camera.

    Attributes:
        number: position in the source, from 0.
        t_s: time since the first frame.
        image: (height, width, 3) RGB.
        truth: the objects in it, where they are known.
    """

    number: int
    t_s: float
    image: Image
    truth: Boxes | None = None


class Capture(Protocol):
    """Stage *capture*: where frames come from."""

    def frames(self) -> Iterator[Frame]:
        """Yield frames in order. Raises `InputError` for a source that can't be read or stalls."""
        ...

    def skipped(self) -> Mapping[str, int]:
        """Return how many frames were left out so far, by reason."""
        ...


class Filter(Protocol):
    """Stage *filter*: where something moves."""

    def regions(self, image: Image) -> Floats:
        """Return (n, 4) regions of a frame; frames come in order."""
        ...


class Annotator(Protocol):
    """Stage *annotate*: the teacher."""

    def label(self, frame: Frame) -> Boxes:
        """Return the objects of a frame with scores. Raises `TeacherError` where it can't."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """Return what made the labels: name, digest of weights or place, settings."""
        ...


class Student(Protocol):
    """Stage *train*: a small detector. `framework_cova.student.grid_student.GridStudent` documents each method."""

    def start(self, seed: int) -> None:
        """Begin with fresh weights."""

    def state(self) -> Any:
        """Return the weights."""

    def restore(self, state: Any) -> None:
        """Take weights back."""

    def train(
        self,
        images: Sequence[Image],
        labels: Sequence[Boxes],
        steps: int,
        seed: int,
        checkpoint: Path | None = None,
        every: int = 25,
        progress: Callable[[float], None] = ...,
    ) -> int:
        """Train further; return the step at which it was resumed."""
        ...

    def detect(self, images: Sequence[Image]) -> list[Boxes]:
        """Return detections of each frame."""
        ...

    def flops(self, height: int, width: int) -> float:
        """Return floating-point operations of one frame."""
        ...

    def save(self, file: Path) -> None:
        """Write the weights."""

    def load(self, file: Path) -> bool:
        """Take weights from a file; False where that isn't possible."""
        ...


class Inference(Protocol):
    """How a student looks at frames."""

    def detect(self, student: Student, images: Sequence[Image], regions: Sequence[Floats]) -> list[Boxes]:
        """Return detections of each frame, in coordinates of the frame."""
        ...

    def pixels(self) -> int:
        """Return how many pixels the student was given since the last call of `detect` began."""
        ...


def build_stage(node: Mapping[str, Any] | None, key: str) -> Any:
    """Return the stage that a configuration node names.

    Raises:
        ConfigError: no such class, or its constructor refused a value; names the key.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    if not node or "_target_" not in node:
        raise ConfigError(f"configuration key '{key}': names no class in '{key}._target_'")
    try:
        return instantiate(dict(node), _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from error
        raise ConfigError(
            f"configuration key '{key}' ({node['_target_']}): {one_line(cause or error)}"
        ) from error
