"""Which objects pass on which lane, when, and how fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework_cova.scene.recipe import SceneRecipe


@dataclass(frozen=True)
class Passing:
    """One object.

    Attributes:
        start: frame at which its left edge would be at `x`.
        speed: pixels a frame, negative to the left, 0 for parked.
        lane: index; a parked object stands a little above it.
    """

    ident: int
    kind: int
    variant: int
    lane: int
    x: float
    start: float
    speed: float


def draw_traffic(
    recipe: SceneRecipe, lanes: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64]
) -> list[Passing]:
    """Return all objects of a camera's life. Objects on a lane share speed and direction and keep their distance."""
    rng = np.random.default_rng([recipe.scene, recipe.site or 0, recipe.camera, 23])
    found: list[Passing] = []
    for lane, (_, _, scale) in enumerate(lanes):
        walkway = lane == 0 and len(lanes) > 1  # people walk behind the traffic
        speed = scale * (rng.uniform(0.7, 1.2) if walkway else rng.uniform(2.0, 4.0))
        direction = 1 if rng.random() < 0.5 else -1
        if recipe.traffic <= 0:
            continue
        road = recipe.width + 2 * sizes[:, 0].max() * scale
        mean_gap = road / recipe.traffic
        ahead = -road  # distance that the lane has moved when the next object enters
        while ahead < speed * recipe.frames:
            kind = 0 if walkway else int(rng.choice([0, 1, 2], p=[0.1, 0.6, 0.3]))
            length = sizes[kind, 0] * scale
            x = -length if direction > 0 else float(recipe.width)
            found.append(
                Passing(len(found), kind, int(rng.integers(0, 4)), lane, x, ahead / speed, direction * speed)
            )
            ahead += length * 1.6 + 12 + rng.exponential(max(mean_gap - 1.6 * length - 12, 4))
    for number in range(recipe.parked):
        lane = int(rng.integers(0, len(lanes)))
        kind = int(rng.choice([1, 2]))
        room = recipe.width / max(recipe.parked, 1)
        x = number * room + rng.uniform(0, max(1.0, room - sizes[kind, 0] * lanes[lane, 2]))
        found.append(Passing(len(found), kind, int(rng.integers(0, 4)), lane, float(x), 0.0, 0.0))
    return found
