"""How good regions of motion are, against objects known to move."""

from __future__ import annotations

from dataclasses import dataclass

from framework_cova.boxes import Boxes, Floats, matches

MIN_SIDE = 4  # pixels; what is cut smaller by the frame's border says nothing of a filter


@dataclass
class RegionTally:
    """Counts over frames.

    Attributes:
        objects, regions: how many there were.
        found: objects that have a region with IoU ≥ 0.5.
        covered: the sum over frames of the share of the frame that regions cover.
    """

    frames: int = 0
    kept: int = 0
    objects: int = 0
    regions: int = 0
    found: int = 0
    covered: float = 0.0

    def add(self, truth: Boxes | None, regions: Floats, width: int, height: int) -> None:
        """Count one frame; `truth` None: only coverage is known."""
        self.frames += 1
        self.kept += bool(len(regions))
        sides = regions[:, 2:] - regions[:, :2]
        self.covered += float(sides.prod(axis=1).sum()) / (width * height)
        if truth is None:
            return
        moving = truth.chosen(truth.moving)
        inner = (moving.xyxy[:, :2] > 0).all(axis=1) & (moving.xyxy[:, 2:] < [width, height]).all(axis=1)
        moving = moving.chosen(inner & ((moving.xyxy[:, 2:] - moving.xyxy[:, :2]) >= MIN_SIDE).all(axis=1))
        self.objects += len(moving)
        self.regions += len(regions)
        self.found += len(matches(moving, Boxes.of(regions), 0.5, same_label=False))

    @property
    def recall(self) -> float | None:
        """Moving objects (whole within the frame) that have a region with IoU ≥ 0.5; None without any."""
        return self.found / self.objects if self.objects else None

    @property
    def precision(self) -> float | None:
        """Regions that fit such an object; None without any region."""
        return self.found / self.regions if self.regions else None
