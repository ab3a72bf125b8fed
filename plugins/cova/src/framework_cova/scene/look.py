"""What one camera sees apart from its traffic: backdrop, colours of objects, light, weather. Drawn from seeds.

A *site* gives the style (palette, contrast, size of objects), a *camera* the layout within it. Cameras of one site
look alike; a student of one is of use to the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

BASE_WIDTH = 256  # the sizes below are in pixels of a frame this wide
BASE_SIZES = ((8, 20), (30, 15), (46, 25))  # width, height of person, car, truck
SIZES_BY_LANE = 7  # sprites are drawn in so many sizes


@dataclass(frozen=True)
class Sprite:
    """One object as it is drawn: `colour` (h, w, 3), `mask` (h, w), tight: no empty row or column at its edges."""

    colour: Image
    mask: Mask


@dataclass(frozen=True)
class Look:
    """Everything that stays while objects pass.

    Attributes:
        backdrop: (height, width, 3).
        foreground: (height, width), true where something stands in front of the objects.
        lanes: (n, 3): y of the ground at x = 0, slope, scale of objects.
        sprites: by (class, variant, phase): drawn at scale 1, larger than needed.
        sizes: (classes, 2) width and height at scale 1.
    """

    backdrop: Image
    foreground: Mask
    lanes: npt.NDArray[np.float64]
    sprites: dict[tuple[int, int, int], Image]
    sizes: npt.NDArray[np.float64]
    variants: int


def draw_look(site: int, camera: int, width: int, height: int, occlusion: bool, lanes: int = 4) -> Look:
    """Return the look of one camera of one site."""
    style = np.random.default_rng([site, 11])
    layout = np.random.default_rng([site, camera, 13])
    backdrop = _backdrop(style, layout, width, height)
    rows = np.sort(layout.uniform(0.3, 0.92, lanes)) if lanes < 2 else _spread(layout, lanes)
    slope = layout.uniform(-0.08, 0.08)
    zoom = style.uniform(0.75, 1.35) * width / BASE_WIDTH
    scales = zoom * (0.65 + 0.6 * rows)
    placed = np.stack([rows * height, np.full(lanes, slope), scales], axis=1)
    _road(backdrop, placed, style)
    stretch = style.uniform(0.85, 1.2, (len(BASE_SIZES), 2))
    variants = 4
    sprites = {
        (kind, variant, phase): image
        for kind in range(len(BASE_SIZES))
        for variant in range(variants)
        for phase, image in enumerate(_draw(kind, np.random.default_rng([site, kind, variant, 17])))
    }
    return Look(
        backdrop,
        _foreground(backdrop, layout, occlusion),
        placed,
        sprites,
        np.array(BASE_SIZES, float) * stretch,
        variants,
    )


def _spread(rng: np.random.Generator, lanes: int) -> npt.NDArray[np.float64]:
    """Return rows of lanes with room between them."""
    return np.asarray(np.linspace(0.36, 0.92, lanes) + rng.uniform(-0.04, 0.04, lanes))


def _backdrop(style: np.random.Generator, layout: np.random.Generator, width: int, height: int) -> Image:
    hue, saturation, value = style.integers(0, 180), style.integers(15, 110), style.integers(70, 190)
    base = np.array(_colour(int(hue), int(saturation), int(value)), np.float32)
    image = np.ones((height, width, 3), np.float32) * base
    contrast = style.uniform(10, 45)
    for cells, share in ((5, 1.0), (14, 0.7), (50, 0.5)):
        rough = layout.normal(0, contrast * share, (max(2, cells * height // width), cells, 3))
        grey = rough.mean(axis=2, keepdims=True)
        image += cv2.resize(
            (0.4 * rough + 0.6 * grey).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
    image = np.clip(image, 0, 255).astype(np.uint8)
    for _ in range(
        int(layout.integers(6, 14))
    ):  # walls, signs, boxes: what a weak detector takes for an object
        w, h = (layout.uniform(0.02, 0.14, 2) * width).astype(int) + 3
        x, y = int(layout.integers(0, width)), int(layout.integers(0, int(height * 0.9)))
        tone = [int(v) for v in layout.integers(20, 235, 3)]
        cv2.rectangle(image, (x, y), (x + int(w), y + int(h)), tone, -1 if layout.random() < 0.7 else 2)
    return image


def _road(backdrop: Image, lanes: npt.NDArray[np.float64], style: np.random.Generator) -> None:
    width = backdrop.shape[1]
    tone = int(style.integers(50, 150))
    for y, slope, scale in lanes:
        half = 9 * scale
        corners = [
            (0, y - half),
            (width, y + slope * width - half),
            (width, y + slope * width + 3),
            (0, y + 3),
        ]
        layer = backdrop.copy()
        cv2.fillPoly(layer, [np.array(corners, np.int32)], (tone, tone, tone))
        backdrop[:] = cv2.addWeighted(backdrop, 0.45, layer, 0.55, 0)


def _foreground(backdrop: Image, layout: np.random.Generator, occlusion: bool) -> Mask:
    """Return where poles and a tree stand, drawn into the backdrop as well."""
    height, width = backdrop.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    if occlusion:
        for _ in range(2):
            x = int(layout.integers(width // 8, width - width // 8))
            cv2.rectangle(mask, (x, 0), (x + max(2, width // 64), height), 1, -1)
        crown = (int(layout.integers(0, width)), int(height * layout.uniform(0.45, 0.8)))
        cv2.ellipse(mask, crown, (width // 14, height // 8), 0, 0, 360, 1, -1)
        tone = layout.integers(20, 120, 3)
        grain = layout.integers(-15, 15, (height, width, 1))
        backdrop[mask > 0] = np.clip(tone + grain, 0, 255).astype(np.uint8)[mask > 0]
    return mask > 0


def _colour(hue: int, saturation: int, value: int) -> list[int]:
    pixel = np.array([[[hue % 180, saturation, value]]], np.uint8)
    return [int(v) for v in cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]]


def _tone(rng: np.random.Generator) -> list[int]:
    return _colour(int(rng.integers(0, 180)), int(rng.integers(20, 220)), int(rng.integers(40, 245)))


def _draw(kind: int, rng: np.random.Generator) -> list[Image]:
    """Return an object as RGBA images, one a phase of its movement, four times as large as it is used."""
    width, height = (4 * size for size in BASE_SIZES[kind])
    body, second, glass = _tone(rng), _tone(rng), [int(v) for v in rng.integers(10, 90, 3)]
    return [_PAINTERS[kind](width, height, body, second, glass, phase, rng) for phase in range(2)]


def _canvas(width: int, height: int) -> Image:
    return np.zeros((height, width, 4), np.uint8)


def _person(
    w: int, h: int, body: list[int], second: list[int], glass: list[int], phase: int, rng: np.random.Generator
) -> Image:
    image = _canvas(w, h)
    skin = [190, 150, 120]
    cv2.ellipse(image, (w // 2, h // 8), (w // 4, h // 8), 0, 0, 360, (*skin, 255), -1)
    cv2.rectangle(image, (w // 6, h // 4), (w - w // 6, int(h * 0.62)), (*body, 255), -1)
    spread = w // 3 if phase else w // 8
    for side in (-1, 1):
        foot = (w // 2 + side * spread, h - 1)
        cv2.line(image, (w // 2 + side * w // 8, int(h * 0.6)), foot, (*second, 255), max(3, w // 5))
    return image


def _car(
    w: int, h: int, body: list[int], second: list[int], glass: list[int], phase: int, rng: np.random.Generator
) -> Image:
    image = _canvas(w, h)
    cv2.rectangle(image, (0, int(h * 0.4)), (w - 1, int(h * 0.85)), (*body, 255), -1)
    roof = np.array([(w // 5, h * 2 // 5), (w // 3, 0), (w * 3 // 4, 0), (w * 9 // 10, h * 2 // 5)], np.int32)
    cv2.fillPoly(image, [roof], (*body, 255))
    cv2.rectangle(image, (w * 3 // 8, h // 8), (w * 7 // 10, h * 3 // 8), (*glass, 255), -1)
    for x in (w // 5, w * 4 // 5):
        cv2.circle(image, (x, int(h * 0.82)), h // 6, (25, 25, 25, 255), -1)
    cv2.rectangle(image, (w - w // 14, h // 2), (w - 1, h * 3 // 5), (250, 240, 180, 255), -1)
    return image


def _truck(
    w: int, h: int, body: list[int], second: list[int], glass: list[int], phase: int, rng: np.random.Generator
) -> Image:
    image = _canvas(w, h)
    cv2.rectangle(image, (0, 0), (int(w * 0.7), int(h * 0.84)), (*second, 255), -1)
    cv2.rectangle(image, (int(w * 0.73), h // 4), (w - 1, int(h * 0.84)), (*body, 255), -1)
    cv2.rectangle(image, (int(w * 0.7), h * 3 // 4), (int(w * 0.73), int(h * 0.84)), (*body, 255), -1)
    cv2.rectangle(image, (int(w * 0.85), h * 3 // 10), (w - w // 24, h // 2), (*glass, 255), -1)
    cv2.rectangle(image, (w // 12, h // 3), (int(w * 0.6), h // 2), (*body, 255), -1)
    for x in (w // 6, w * 2 // 5, w * 6 // 7):
        cv2.circle(image, (x, int(h * 0.86)), h // 7, (20, 20, 20, 255), -1)
    return image


_PAINTERS = (_person, _car, _truck)


def sprite(look: Look, kind: int, variant: int, phase: int, scale: float, flipped: bool) -> Sprite:
    """Return an object at a scale, cut to what is opaque."""
    width, height = np.maximum(3, np.round(look.sizes[kind] * scale)).astype(int)
    image = look.sprites[kind, variant, phase]
    small = cv2.resize(image, (int(width), int(height)), interpolation=cv2.INTER_AREA)
    if flipped:
        small = small[:, ::-1]
    mask = small[:, :, 3] > 127
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    alpha = np.maximum(small[:, :, 3:4].astype(np.float32), 1)
    colour = np.clip(small[:, :, :3] * 255.0 / alpha, 0, 255).astype(np.uint8)
    # resize mixes with the transparent black around the object: divide it out where it is opaque enough
    colour = np.where(small[:, :, 3:4] > 127, np.minimum(colour, 255), small[:, :, :3])
    return Sprite(np.ascontiguousarray(colour[inside]), np.ascontiguousarray(mask[inside]))
