"""Packing of regions into one image, and the way back. Pure geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from framework_cova.boxes import Boxes, Floats

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom; exclusive


@dataclass(frozen=True)
class Placement:
    """Where a region went.

    Attributes:
        source: index of the frame that it is cut from.
        region: in the frame.
        x, y: left and top in the packed image.
    """

    source: int
    region: Rectangle
    x: int
    y: int

    @property
    def placed(self) -> Rectangle:
        """The region in the packed image."""
        return (
            self.x,
            self.y,
            self.x + self.region[2] - self.region[0],
            self.y + self.region[3] - self.region[1],
        )


def pack(regions: list[tuple[int, Rectangle]], border: int) -> tuple[list[Placement], int, int]:
    """Return placements (in the order of the input), width and height of the packed image.

    First fit by falling height on shelves. The width starts at the square root of the area and grows while the
    longer side of the image shrinks. Between any two regions, and at the image's edges, are at least `border` pixels.
    """
    if not regions:
        return [], 0, 0
    sides = np.array([(r[2] - r[0] + border, r[3] - r[1] + border) for _, r in regions])
    order = np.lexsort((np.arange(len(regions)), -sides[:, 0], -sides[:, 1]))
    start = max(int(sides[:, 0].max()), int(np.ceil(np.sqrt(sides.prod(axis=1).sum()))))
    best: tuple[int, list[tuple[int, int]], int, int] | None = None
    for width in range(start, 2 * start + 1, max(1, start // 16)):
        places, used, height = _shelves(sides, order, width)
        if best is None or max(used, height) < best[0]:
            best = (max(used, height), places, used, height)
    assert best is not None
    _, places, used, height = best
    found = [
        Placement(source, region, x + border, y + border)
        for (source, region), (x, y) in zip(regions, places, strict=True)
    ]
    return found, used + border, height + border


def _shelves(sides: np.ndarray, order: np.ndarray, limit: int) -> tuple[list[tuple[int, int]], int, int]:
    places = [(0, 0)] * len(sides)
    shelves: list[list[int]] = []  # top, height, used width
    for index in order:
        width, height = (int(v) for v in sides[index])
        shelf = next((one for one in shelves if one[2] + width <= limit and height <= one[1]), None)
        if shelf is None:
            top = shelves[-1][0] + shelves[-1][1] if shelves else 0
            shelf = [top, height, 0]
            shelves.append(shelf)
        places[index] = (shelf[2], shelf[0])
        shelf[2] += width
    return places, max(one[2] for one in shelves), shelves[-1][0] + shelves[-1][1]


def unpack(found: Boxes, placements: list[Placement], sources: int) -> list[Boxes]:
    """Return detections of a packed image as those of each source frame.

    A box belongs to the region that it overlaps most and is cut at its border; one that overlaps none is left out.
    """
    result = [Boxes() for _ in range(sources)]
    if not len(found) or not placements:
        return result
    placed = np.array([one.placed for one in placements], np.float32)
    low = np.maximum(found.xyxy[:, None, :2], placed[None, :, :2])
    high = np.minimum(found.xyxy[:, None, 2:], placed[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    owner = shared.argmax(axis=1)
    inside = shared.max(axis=1) > 0
    cut = np.hstack(
        [np.maximum(found.xyxy[:, :2], placed[owner, :2]), np.minimum(found.xyxy[:, 2:], placed[owner, 2:])]
    )
    shift = np.array([(one.region[0] - one.x, one.region[1] - one.y) * 2 for one in placements], np.float32)
    moved = found.moved(cut + shift[owner])
    origin = np.array([one.source for one in placements])[owner]
    for source in range(sources):
        result[source] = moved.chosen(inside & (origin == source))
    return result


def grown(regions: Floats, least: int, width: int, height: int) -> list[Rectangle]:
    """Return regions as whole pixels, each side at least `least` where the frame has room, within the frame."""
    found = []
    for x0, y0, x1, y1 in regions:
        sides = []
        for low, high, size in ((x0, x1, width), (y0, y1, height)):
            wanted = min(max(int(np.ceil(high)) - int(np.floor(low)), least), size)
            begin = int(np.floor((low + high - wanted) / 2))
            begin = min(max(begin, 0), size - wanted)
            sides.append((begin, begin + wanted))
        found.append((sides[0][0], sides[1][0], sides[0][1], sides[1][1]))
    return found
