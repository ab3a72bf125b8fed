"""Packing of regions into one image, and the way back. Pure geometry."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

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

    Each region, tallest first, goes where its lower edge stays highest, and of such places to that which leaves least
    room unused above it (a skyline; Jylänki, "A Thousand Ways to Pack the Bin", 2010). Widths from the square root of
    the area to twice that are tried, and the image of the smallest area is taken. Between any two regions, and at the
    image's edges, are at least `border` pixels.
    """
    if not regions:
        return [], 0, 0
    sides = [(r[2] - r[0] + border, r[3] - r[1] + border) for _, r in regions]
    order = sorted(range(len(sides)), key=lambda index: (-sides[index][1], -sides[index][0]))
    start = max(max(w for w, _ in sides), ceil(sqrt(sum(w * h for w, h in sides))))
    tried = (_placed(sides, order, limit) for limit in range(start, 2 * start + 1, max(1, start // 8)))
    places, width, height = min(tried, key=lambda one: (one[1] + border) * (one[2] + border))
    found = [
        Placement(source, region, x + border, y + border)
        for (source, region), (x, y) in zip(regions, places, strict=True)
    ]
    return found, width + border, height + border


def _placed(
    sides: list[tuple[int, int]], order: list[int], limit: int
) -> tuple[list[tuple[int, int]], int, int]:
    """Return left and top of each rectangle within a width, and the width and height that they take."""
    skyline = [(0, limit, 0)]  # left, right, depth of what is taken there, from the left to the right
    places = [(0, 0)] * len(sides)
    for index in order:
        width, height = sides[index]
        choices = []
        for left, _, _ in skyline:
            right = left + width
            if right > limit:
                break
            under = [
                (max(a, left), min(b, right), depth) for a, b, depth in skyline if a < right and b > left
            ]
            top = max(depth for _, _, depth in under)
            choices.append((top, sum((b - a) * (top - depth) for a, b, depth in under), left))
        top, _, left = min(choices)
        right = left + width
        places[index] = (left, top)
        beside = [(a, min(b, left), depth) for a, b, depth in skyline if a < left]
        beside += [(max(a, right), b, depth) for a, b, depth in skyline if b > right]
        skyline = sorted([*beside, (left, right, top + height)])
    corners = [(x + w, y + h) for (x, y), (w, h) in zip(places, sides, strict=True)]
    return places, max(x for x, _ in corners), max(y for _, y in corners)


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
