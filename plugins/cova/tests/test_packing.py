"""Packing is exact: nothing overlaps, nothing is lost, and the way back is the inverse."""

from __future__ import annotations

import numpy as np
from framework_cova.boxes import Boxes, Floats
from framework_cova.inference.looks import PackedRegions, WholeFrames
from framework_cova.inference.skyline import Rectangle, grown, pack, unpack
from hypothesis import given, settings
from hypothesis import strategies as st


@st.composite
def regions(draw: st.DrawFn) -> list[tuple[int, Rectangle]]:
    found = []
    for _ in range(draw(st.integers(1, 25))):
        x, y = draw(st.integers(0, 200)), draw(st.integers(0, 120))
        w, h = draw(st.integers(1, 90)), draw(st.integers(1, 70))
        found.append((draw(st.integers(0, 3)), (x, y, x + w, y + h)))
    return found


@settings(max_examples=150, deadline=None)
@given(regions(), st.integers(0, 6))
def test_no_two_regions_come_closer_than_the_border_and_all_lie_inside(
    wanted: list[tuple[int, Rectangle]], border: int
) -> None:
    placements, width, height = pack(wanted, border)
    assert [(one.source, one.region) for one in placements] == wanted
    for index, one in enumerate(placements):
        x0, y0, x1, y1 = one.placed
        assert border <= x0
        assert border <= y0
        assert x1 <= width - border
        assert y1 <= height - border
        for other in placements[index + 1 :]:
            a, b = one.placed, other.placed
            apart = (
                a[2] + border <= b[0]
                or b[2] + border <= a[0]
                or a[3] + border <= b[1]
                or b[3] + border <= a[1]
            )
            assert apart
    assert width * height >= sum((r[2] - r[0]) * (r[3] - r[1]) for _, r in wanted)


def test_many_regions_of_like_size_fill_four_fifths_of_their_image() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        wanted = [(0, (0, 0, int(w), int(h))) for w, h in rng.integers(24, 64, (40, 2))]
        _, width, height = pack(wanted, 5)
        assert sum((w + 5) * (h + 5) for _, (_, _, w, h) in wanted) >= 0.8 * width * height


@settings(max_examples=150, deadline=None)
@given(regions(), st.integers(0, 6), st.randoms())
def test_a_box_within_a_region_comes_back_to_where_it_was(
    wanted: list[tuple[int, Rectangle]], border: int, random: object
) -> None:
    placements, _, _ = pack(wanted, border)
    rng = np.random.default_rng(random.randint(0, 2**32))  # type: ignore[attr-defined]
    sent, back = [], []
    for one in placements:
        x0, y0, x1, y1 = one.region
        a, b = np.sort(rng.uniform(x0, x1, 2)), np.sort(rng.uniform(y0, y1, 2))
        box = np.array([a[0], b[0], max(a[1], a[0] + 0.01), max(b[1], b[0] + 0.01)])
        box = np.minimum(box, [x1, y1, x1, y1])
        sent.append((one.source, box))
        back.append(box + np.array([one.x - x0, one.y - y0] * 2))
    found = unpack(Boxes.of(back), placements, 4)
    for source in range(4):
        mine = np.array([box for origin, box in sent if origin == source]).reshape(-1, 4)
        assert np.allclose(found[source].xyxy, mine, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(regions(), st.permutations(range(25)))
def test_the_order_of_regions_loses_none(wanted: list[tuple[int, Rectangle]], order: list[int]) -> None:
    shuffled = [wanted[index] for index in order if index < len(wanted)]
    assert sorted((p.source, p.region) for p in pack(shuffled, 5)[0]) == sorted(
        (p.source, p.region) for p in pack(wanted, 5)[0]
    )


@settings(max_examples=60, deadline=None)
@given(regions())
def test_growing_keeps_a_region_inside_and_the_frame_around_it(wanted: list[tuple[int, Rectangle]]) -> None:
    boxes = np.array([np.minimum(r, [256, 160, 256, 160]) for _, r in wanted], np.float32)
    for box, (x0, y0, x1, y1) in zip(boxes, grown(boxes, 32, 256, 160), strict=True):
        assert 0 <= x0 <= box[0]
        assert 0 <= y0 <= box[1]
        assert box[2] <= x1 <= 256
        assert box[3] <= y1 <= 160
        assert x1 - x0 >= 32
        assert y1 - y0 >= 32


class Marks:
    """Stands for a student that finds bright pixels: each is a box of one pixel."""

    def detect(self, images: list[np.ndarray]) -> list[Boxes]:
        found = []
        for image in images:
            y, x = np.nonzero((image == 255).all(axis=2))
            found.append(Boxes.of(np.stack([x, y, x + 1, y + 1], axis=1)))
        return found


def _marked(rng: np.random.Generator, count: int) -> tuple[np.ndarray, Floats]:
    image = rng.integers(0, 200, (160, 256, 3)).astype(np.uint8)
    places = np.stack([rng.integers(0, 256, count), rng.integers(0, 160, count)], axis=1)
    image[places[:, 1], places[:, 0]] = 255
    regions = np.hstack([places - 4, places + 5]).astype(np.float32)
    return image, regions


def test_packed_regions_see_the_same_as_whole_frames_where_something_moves() -> None:
    rng = np.random.default_rng(0)
    frames = [_marked(rng, 3) for _ in range(6)]
    images, moving = [image for image, _ in frames], [regions for _, regions in frames]
    packed, whole = PackedRegions(frames=3), WholeFrames()
    small = packed.detect(Marks(), images, moving)  # type: ignore[arg-type]
    large = whole.detect(Marks(), images, moving)  # type: ignore[arg-type]
    for one, other in zip(small, large, strict=True):
        assert sorted(map(tuple, one.xyxy.tolist())) == sorted(map(tuple, other.xyxy.tolist()))
    assert packed.pixels() < 0.5 * whole.pixels()


def test_a_frame_that_moves_almost_everywhere_is_looked_at_whole_and_one_without_motion_costs_nothing() -> (
    None
):
    image, _ = _marked(np.random.default_rng(1), 2)
    packed = PackedRegions(frames=2)
    everything = np.array([[0, 0, 256, 150]], np.float32)
    found = packed.detect(Marks(), [image, image], [everything, np.zeros((0, 4), np.float32)])  # type: ignore[arg-type]
    assert len(found[0]) == 2
    assert len(found[1]) == 0
    assert packed.pixels() == 256 * 160
