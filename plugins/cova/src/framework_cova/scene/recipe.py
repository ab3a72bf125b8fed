"""What a synthetic camera is made from: a few numbers; frames are drawn when they are needed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from framework.errors import ConfigError, did_you_mean

LIGHTS = ("day", "night", "cycle")
DRIFTS = ("none", "night", "rain", "repaint", "moved")


@dataclass(frozen=True)
class SceneRecipe:
    """A static camera. The same recipe gives the same pixels.

    Attributes:
        scene: number of the scene; everything random is drawn from it.
        site: cameras of one site share their style; null: a site of its own, named by the scene.
        camera: which camera of the site.
        width, height: of a frame, pixels.
        frames: how many.
        fps: frames a second, for times.
        traffic: objects on a lane at a time, on average; 0: nothing ever moves.
        parked: objects that never move.
        lanes: on which objects move.
        shadows, occlusion, rain: whether they are there.
        noise: standard deviation of a pixel's noise, in grey levels.
        flicker: standard deviation of a frame's brightness, relative.
        light: `day`, `night`, or `cycle`: from day to night and back within `light_period` frames.
        drift: what changes at frame `drift_at`: `none`, `night`, `rain`, `repaint` (other colours), `moved`
            (the camera looks elsewhere).
    """

    scene: int = 0
    site: int | None = None
    camera: int = 0
    width: int = 256
    height: int = 160
    frames: int = 450
    fps: float = 10.0
    traffic: float = 0.9
    parked: int = 2
    lanes: int = 4
    shadows: bool = True
    occlusion: bool = False
    rain: bool = False
    noise: float = 4.0
    flicker: float = 0.02
    light: str = "day"
    light_period: int = 400
    drift: str = "none"
    drift_at: int = 200

    def __post_init__(self) -> None:
        for key, least in (("width", 64), ("height", 48), ("frames", 1), ("lanes", 1), ("parked", 0)):
            if getattr(self, key) < least:
                raise _refused(key, f"must be at least {least}, got {getattr(self, key)}")
        for key in ("traffic", "noise", "flicker"):
            if getattr(self, key) < 0:
                raise _refused(key, f"must not be below 0, got {getattr(self, key)}")
        if self.fps <= 0 or self.light_period < 1:
            raise _refused("fps" if self.fps <= 0 else "light_period", "must be above 0")
        for key, known in (("light", LIGHTS), ("drift", DRIFTS)):
            if getattr(self, key) not in known:
                raise _refused(
                    key, f"unknown {key} '{getattr(self, key)}'{did_you_mean(getattr(self, key), known)}"
                )

    @classmethod
    def of(cls, keys: dict[str, Any]) -> SceneRecipe:
        """Return a recipe from configuration keys; raises `ConfigError` naming one that is unknown."""
        names = {item.name for item in fields(cls)}
        for key in keys:
            if key not in names:
                raise _refused(key, f"unknown key{did_you_mean(key, names)}")
        return cls(**keys)


def _refused(key: str, why: str) -> ConfigError:
    return ConfigError(f"configuration key 'workload.capture.{key}': {why}")
