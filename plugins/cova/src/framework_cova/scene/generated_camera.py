"""A synthetic static camera: any frame by its number, with exact boxes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from framework_cova.boxes import Boxes
from framework_cova.scene.look import Look, Sprite, draw_look, sprite
from framework_cova.scene.recipe import SceneRecipe
from framework_cova.scene.traffic import Passing, draw_traffic

MIN_VISIBLE = 0.3  # share of an object that must be seen for it to count as truth
NIGHT = 0.32  # brightness at night, relative to the day

Image = npt.NDArray[np.uint8]


class GeneratedCamera:
    """Frames of a `SceneRecipe`: `camera.frame(k)` is the same whatever was asked before."""

    def __init__(self, recipe: SceneRecipe) -> None:
        self.recipe = recipe
        self._scenes = [_Scene(recipe)]
        if recipe.drift in ("repaint", "moved"):
            style = recipe.site if recipe.site is not None else recipe.scene
            other = (
                replace(recipe, site=style + 100_003)
                if recipe.drift == "repaint"
                else replace(recipe, site=style, camera=recipe.camera + 1009)
            )
            self._scenes.append(_Scene(other))
        rng = np.random.default_rng([recipe.scene, recipe.camera, 29])
        shape = (2 * recipe.height, 2 * recipe.width, 3)
        self._grain = rng.normal(0, 1, shape).astype(np.float32)
        wander = rng.normal(0, 1, recipe.frames + 1)
        self._flicker = 1 + recipe.flicker * wander

    def __len__(self) -> int:
        return self.recipe.frames

    def frame(self, number: int) -> tuple[Image, Boxes]:
        """Return pixels (height, width, 3) RGB and the objects that are seen at least in part."""
        recipe = self.recipe
        drifted = recipe.drift != "none" and number >= recipe.drift_at
        scene = self._scenes[1 if drifted and len(self._scenes) > 1 else 0]
        rng = np.random.default_rng([recipe.scene, recipe.camera, number, 31])
        image, truth, lamps = scene.paint(number)
        light = self._light(number, drifted)
        shown = image.astype(np.float32)
        if light < 1:
            shown *= np.array([light * 0.9, light * 0.95, light * 1.1], np.float32)
            for x, y, reach in lamps:
                cv2.circle(shown, (int(x), int(y)), int(reach), (250, 240, 200), -1)
        if recipe.rain or (drifted and recipe.drift == "rain"):
            _rain(shown, rng)
        shown *= self._flicker[number]
        noise = recipe.noise * (1.5 if light < 0.6 else 1.0)
        if noise:
            y, x = int(rng.integers(0, recipe.height)), int(rng.integers(0, recipe.width))
            shown += noise * self._grain[y : y + recipe.height, x : x + recipe.width]
        return np.clip(shown, 0, 255).astype(np.uint8), truth

    def _light(self, number: int, drifted: bool) -> float:
        recipe = self.recipe
        if recipe.light == "night" or (drifted and recipe.drift == "night"):
            return NIGHT
        if recipe.light == "cycle":
            phase = 2 * np.pi * number / recipe.light_period
            return float(NIGHT + (1 - NIGHT) * (0.5 + 0.5 * np.cos(phase)))
        return 1.0


class _Scene:
    """A look and its traffic, before light, weather and noise."""

    def __init__(self, recipe: SceneRecipe) -> None:
        self.recipe = recipe
        site = recipe.site if recipe.site is not None else recipe.scene
        self.look: Look = draw_look(
            site,
            recipe.camera + 7919 * recipe.scene,
            recipe.width,
            recipe.height,
            recipe.occlusion,
            recipe.lanes,
        )
        passing = draw_traffic(recipe, self.look.lanes, self.look.sizes)
        # far lanes first, parked ones before what passes in front of them
        self.passing = sorted(passing, key=lambda one: (self.look.lanes[one.lane, 0], one.speed != 0))
        self._cut: dict[tuple[int, int, int, int, bool], Sprite] = {}

    def _sprite(self, one: Passing, phase: int) -> Sprite:
        key = (one.kind, one.variant, phase, one.lane, one.speed < 0)
        if key not in self._cut:
            scale = float(self.look.lanes[one.lane, 2])
            self._cut[key] = sprite(self.look, one.kind, one.variant, phase, scale, one.speed < 0)
        return self._cut[key]

    def paint(self, number: int) -> tuple[Image, Boxes, list[tuple[float, float, float]]]:
        recipe, look = self.recipe, self.look
        height, width = recipe.height, recipe.width
        image = look.backdrop.copy()
        owner = np.full((height, width), -1, np.int32)
        seen: list[tuple[Passing, tuple[int, int, int, int], int]] = []
        lamps: list[tuple[float, float, float]] = []
        for one in self.passing:
            x = one.x + one.speed * (number - one.start)
            if not -width < x < width or (one.speed and number < one.start):
                continue
            cut = self._sprite(one, (number // 3) % 2 if one.kind == 0 and one.speed else 0)
            h, w = cut.mask.shape
            ground, slope, _ = look.lanes[one.lane]
            left = round(x)
            raised = 0.0 if one.speed else 0.9 * h
            top = round(ground + slope * (x + w / 2) - h - raised)
            where = _inside(left, top, w, h, width, height)
            if where is None:
                continue
            (x0, y0, x1, y1), part = where
            if recipe.shadows:
                _shadow(image, cut, left, top)
            mask = cut.mask[part]
            image[y0:y1, x0:x1][mask] = cut.colour[part][mask]
            owner[y0:y1, x0:x1][mask] = len(seen)
            seen.append((one, (x0, y0, x1, y1), int(cut.mask.sum())))
            if one.kind:
                front = float(left + (w if one.speed >= 0 else 0))
                lamps.append((front, top + 0.6 * h, max(1.0, 0.08 * h)))
        image[look.foreground] = look.backdrop[look.foreground]
        owner[look.foreground] = -1
        return image, _truth(seen, owner), lamps


def _inside(
    left: int, top: int, w: int, h: int, width: int, height: int
) -> tuple[tuple[int, ...], tuple[slice, slice]] | None:
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + w, width), min(top + h, height)
    if x0 >= x1 or y0 >= y1:
        return None
    return (x0, y0, x1, y1), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))


def _shadow(image: Image, cut: Sprite, left: int, top: int) -> None:
    """Darken the ground beside an object, half as high as the object is."""
    height, width = image.shape[:2]
    h, w = cut.mask.shape
    flat = cut.mask[::-2]
    where = _inside(left + w // 6, top + h - flat.shape[0] // 2, w, flat.shape[0], width, height)
    if where is None:
        return
    (x0, y0, x1, y1), part = where
    ground = image[y0:y1, x0:x1]
    dark = flat[part]
    ground[dark] = (ground[dark] * 0.62).astype(np.uint8)


def _truth(seen: list[tuple[Passing, tuple[int, int, int, int], int]], owner: npt.NDArray[np.int32]) -> Boxes:
    counts = np.bincount(owner[owner >= 0].ravel(), minlength=len(seen))
    kept = [
        (one, box)
        for number, (one, box, opaque) in enumerate(seen)
        if counts[number] >= MIN_VISIBLE * opaque and opaque > 0
    ]
    if not kept:
        return Boxes()
    return Boxes.of(
        [box for _, box in kept],
        [one.kind for one, _ in kept],
        1.0,
        [one.ident for one, _ in kept],
        [one.speed != 0 for one, _ in kept],
    )


def _rain(image: npt.NDArray[np.float32], rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    streaks = image.copy()
    for x, y, length in zip(
        rng.integers(0, width, 90), rng.integers(0, height, 90), rng.integers(5, 14, 90), strict=True
    ):
        cv2.line(streaks, (int(x), int(y)), (int(x) - 2, int(y + length)), (205.0, 210.0, 220.0), 1)
    cv2.addWeighted(streaks, 0.45, image, 0.55, 8.0, dst=image)
