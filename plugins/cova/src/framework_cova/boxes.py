"""Boxes of one frame, and how much two boxes overlap."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

CLASSES = ("person", "car", "truck")
"""Classes of the synthetic cameras, in the order of their numbers."""


def _floats() -> Floats:
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class Boxes:
    """Objects in one frame.

    Attributes:
        xyxy: (n, 4) left, top, right, bottom in pixels; right and bottom are exclusive.
        label: (n,) number of the class.
        score: (n,) confidence in 0–1; ones for truth.
        ident: (n,) identity over time; -1 where unknown.
        moving: (n,) whether the object moves; all true where unknown.
    """

    xyxy: Floats = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    label: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    score: Floats = field(default_factory=_floats)
    ident: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    moving: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    @classmethod
    def of(cls, xyxy: Any, label: Any = 0, score: Any = 1.0, ident: Any = -1, moving: Any = True) -> Boxes:
        """Return boxes from anything like arrays; a single value stands for all."""
        corners = np.asarray(xyxy, np.float32).reshape(-1, 4)
        count = len(corners)

        def column(values: Any, kind: Any) -> Any:
            return np.broadcast_to(np.asarray(values, kind), (count,)).copy()

        return cls(
            corners,
            column(label, np.int64),
            column(score, np.float32),
            column(ident, np.int64),
            column(moving, np.bool_),
        )

    def __len__(self) -> int:
        return len(self.xyxy)

    def chosen(self, which: Any) -> Boxes:
        """Return the boxes at these indices, or where this mask is true."""
        return Boxes(*(getattr(self, name)[which] for name in ("xyxy", "label", "score", "ident", "moving")))

    def moved(self, xyxy: Floats) -> Boxes:
        """Return the same objects at other places."""
        return replace(self, xyxy=np.asarray(xyxy, np.float32).reshape(-1, 4))

    def clipped(self, width: int, height: int) -> Boxes:
        """Return the boxes cut at the frame's border, empty ones left out."""
        limits = np.array([width, height, width, height], np.float32)
        xyxy = np.clip(self.xyxy, 0, limits)
        whole = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        return self.moved(xyxy).chosen(whole)


def joined(parts: list[Boxes]) -> Boxes:
    """Return all boxes of several."""
    if not parts:
        return Boxes()
    names = ("xyxy", "label", "score", "ident", "moving")
    return Boxes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def iou(first: Floats, second: Floats) -> Floats:
    """Return intersection over union of each pair: (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(np.clip(one[:, 2:] - one[:, :2], 0, None), axis=1) for one in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(np.where(union > 0, shared / np.maximum(union, 1e-9), 0), np.float32)


def matches(
    truth: Boxes, found: Boxes, at_iou: float = 0.5, same_label: bool = True
) -> list[tuple[int, int]]:
    """Return pairs (of truth, of found), each used once, best overlap first."""
    overlap = iou(truth.xyxy, found.xyxy)
    if same_label:
        overlap = np.where(truth.label[:, None] == found.label[None, :], overlap, 0)
    pairs = []
    while overlap.size and overlap.max() >= at_iou:
        row, column = np.unravel_index(int(overlap.argmax()), overlap.shape)
        pairs.append((int(row), int(column)))
        overlap[row, :] = -1
        overlap[:, column] = -1
    return pairs
