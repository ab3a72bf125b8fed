"""A teacher that knows the truth and errs as much as it is told to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from framework.errors import ConfigError
from framework_cova.boxes import Boxes, joined
from framework_cova.stages import Frame, TeacherError


class OracleAnnotator:
    """Truth with controlled errors, the same for a frame whenever it is asked.

    Args:
        noise: one number for all errors: the share of objects missed, half of it of boxes moved, and so on below,
            where those are null.
        misses: share of objects left out.
        jitter: standard deviation by which sides move, relative to the object's size.
        flips: share of objects that get another class.
        extra: objects a frame that aren't there.
        overconfident: 0: a score is the chance of being right; 1: every score is near 1.
        failing: share of frames that can't be labelled at all, as a service that is down now and then.
        classes: number of classes.
        seed: of the errors.
    """

    def __init__(
        self,
        noise: float = 0.05,
        misses: float | None = None,
        jitter: float | None = None,
        flips: float | None = None,
        extra: float | None = None,
        overconfident: float = 0.0,
        failing: float = 0.0,
        classes: int = 3,
        seed: int = 0,
    ) -> None:
        self.misses = noise if misses is None else misses
        self.jitter = 0.4 * noise if jitter is None else jitter
        self.flips = 0.5 * noise if flips is None else flips
        self.extra = noise if extra is None else extra
        self.noise, self.overconfident, self.failing = noise, overconfident, failing
        self.classes, self.seed = classes, seed
        for key in ("noise", "misses", "flips", "overconfident", "failing"):
            if not 0 <= getattr(self, key) <= 1:
                raise _refused(key, f"must lie in [0, 1], got {getattr(self, key)}")
        for key in ("jitter", "extra"):
            if getattr(self, key) < 0:
                raise _refused(key, f"must not be below 0, got {getattr(self, key)}")

    def label(self, frame: Frame) -> Boxes:
        """Return the truth with errors; see `Annotator`."""
        if frame.truth is None:
            raise TeacherError("the oracle needs the truth, which only a generated camera has")
        rng = np.random.default_rng([self.seed, frame.number, 41])
        if rng.random() < self.failing:
            raise TeacherError("the teacher failed, as it was told to")
        height, width = frame.image.shape[:2]
        truth = frame.truth
        seen = truth.chosen(rng.random(len(truth)) >= self.misses)
        sides = np.tile(seen.xyxy[:, 2:] - seen.xyxy[:, :2], 2)
        moved = seen.moved(seen.xyxy + rng.normal(0, 1, sides.shape) * self.jitter * sides)
        label = moved.label.copy()
        flipped = rng.random(len(label)) < self.flips
        label[flipped] = (
            label[flipped] + rng.integers(1, max(self.classes, 2), int(flipped.sum()))
        ) % self.classes
        found = Boxes(moved.xyxy, label, self._scores(rng, ~flipped), moved.ident, moved.moving)
        count = int(rng.poisson(self.extra))
        corner = rng.uniform(0, [width * 0.9, height * 0.9], (count, 2))
        side = rng.uniform(6, 40, (count, 2))
        wrong = Boxes.of(
            np.hstack([corner, corner + side]),
            rng.integers(0, self.classes, count),
            self._scores(rng, np.zeros(count, bool)),
        )
        return joined([found, wrong]).clipped(width, height)

    def _scores(self, rng: np.random.Generator, right: Any) -> Any:
        honest = np.where(right, rng.beta(8, 2, len(right)), rng.beta(4, 4, len(right)))
        return honest + self.overconfident * (0.97 - honest)

    def identity(self) -> Mapping[str, Any]:
        """See `Annotator`."""
        names = ("misses", "jitter", "flips", "extra", "overconfident", "failing", "seed")
        return {"teacher": "oracle", **{name: getattr(self, name) for name in names}}


def _refused(key: str, why: str) -> ConfigError:
    return ConfigError(f"configuration key 'backend.annotate.{key}': {why}")
