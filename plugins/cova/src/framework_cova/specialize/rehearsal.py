"""Rehearsal: a student that is trained for one camera sees some of its old frames again, against forgetting.

A network that is trained further on a few like frames loses what they don't show (catastrophic interference;
McCloskey and Cohen 1989), here objects that come by later. Old examples among the new ones keep it (Robins 1995).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framework_cova.boxes import Boxes
from framework_cova.stages import Image

LEAST_OWN = (
    50  # fewer frames of the camera are repeated up to this, so that the old ones among them are varied
)


def rehearsed(
    images: Sequence[Image],
    labels: Sequence[Boxes],
    old_images: Sequence[Image],
    old_labels: Sequence[Boxes],
    share: float,
    seed: int,
) -> tuple[list[Image], list[Boxes]]:
    """Return frames to train on: those of the camera, and old ones up to `share` of all, as far as there are."""
    own = [index % len(images) for index in range(max(len(images), LEAST_OWN))]
    wanted = min(round(len(own) * share / (1 - share)), len(old_images))
    old = np.random.default_rng([seed, 47]).choice(len(old_images), wanted, replace=False)
    return (
        [images[index] for index in own] + [old_images[index] for index in old],
        [labels[index] for index in own] + [old_labels[index] for index in old],
    )
