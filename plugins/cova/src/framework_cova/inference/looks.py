"""The two ways to look at frames: each whole, or packed regions of several frames in one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framework.errors import ConfigError
from framework_cova.boxes import Boxes, Floats
from framework_cova.inference.skyline import Rectangle, grown, pack, unpack
from framework_cova.motion.motion_filter import merged
from framework_cova.stages import Image, Student

WHOLE_ABOVE = 0.8  # share of a frame covered by regions above which it is looked at whole


class WholeFrames:
    """Every frame as it is."""

    def __init__(self) -> None:
        self._pixels = 0

    def detect(self, student: Student, images: Sequence[Image], regions: Sequence[Floats]) -> list[Boxes]:
        """See `Inference`."""
        self._pixels = sum(image.shape[0] * image.shape[1] for image in images)
        return student.detect(images)

    def pixels(self) -> int:
        """See `Inference`."""
        return self._pixels


class PackedRegions:
    """Regions of motion of `frames` frames (one of each camera, or of a burst) in one image.

    A frame without motion costs nothing and yields nothing: parked objects are not seen. A frame that regions cover
    by more than 80 % is looked at whole.

    Args:
        frames: how many share an image.
        border: pixels between regions.
        margin: pixels by which a region grows on each side, so that the student sees what is around the object.
        least: smallest side of a region.
    """

    def __init__(self, frames: int = 4, border: int = 5, margin: int = 8, least: int = 32) -> None:
        for key, value, low in (
            ("frames", frames, 1),
            ("border", border, 0),
            ("margin", margin, 0),
            ("least", least, 8),
        ):
            if value < low:
                raise ConfigError(
                    f"configuration key 'backend.inference.{key}': must be at least {low}, got {value}"
                )
        self._frames, self._border, self._margin, self._least = frames, border, margin, least
        self._pixels = 0

    def detect(self, student: Student, images: Sequence[Image], regions: Sequence[Floats]) -> list[Boxes]:
        """See `Inference`."""
        self._pixels = 0
        found: list[Boxes] = []
        for begin in range(0, len(images), self._frames):
            end = begin + self._frames
            found += self._together(student, images[begin:end], regions[begin:end])
        return found

    def pixels(self) -> int:
        """See `Inference`."""
        return self._pixels

    def _together(self, student: Student, images: Sequence[Image], regions: Sequence[Floats]) -> list[Boxes]:
        wanted: list[tuple[int, Rectangle]] = []
        whole = []
        for source, (image, moving) in enumerate(zip(images, regions, strict=True)):
            height, width = image.shape[:2]
            wide = moving + np.array([-1, -1, 1, 1], np.float32) * self._margin
            corners = grown(merged(wide, 0.0), self._least, width, height)
            joined = merged(np.array(corners, np.float32).reshape(-1, 4), 0.0)
            if (joined[:, 2:] - joined[:, :2]).prod(axis=1).sum() > WHOLE_ABOVE * width * height:
                whole.append(source)
            else:
                wanted += [(source, (int(r[0]), int(r[1]), int(r[2]), int(r[3]))) for r in joined]
        placements, width, height = pack(wanted, self._border)
        found = [Boxes() for _ in images]
        if placements:
            canvas = np.full((height, width, 3), 114, np.uint8)
            for one in placements:
                x0, y0, x1, y1 = one.placed
                left, top, right, bottom = one.region
                canvas[y0:y1, x0:x1] = images[one.source][top:bottom, left:right]
            self._pixels += canvas.shape[0] * canvas.shape[1]
            found = unpack(student.detect([canvas])[0], placements, len(images))
        for source in whole:
            self._pixels += images[source].shape[0] * images[source].shape[1]
            found[source] = student.detect([images[source]])[0]
        return found
