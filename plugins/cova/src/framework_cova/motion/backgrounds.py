"""Models of the background: each takes frames in order and says which pixels differ from what was there before."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

THRESHOLD = 25  # grey levels by which a pixel must differ, for mean and median
MEMORY = 15  # frames that mean and median look back on
BLUR = 5  # side of the Gaussian before mean and median compare, pixels


class Background(Protocol):
    """A model of the background."""

    def foreground(self, image: Image) -> Image:
        """Return 255 where the frame differs from the background, else 0; learns from the frame."""
        ...


class Mog2:
    """A mixture of Gaussians for each pixel; shadows are told apart and left out."""

    def __init__(self) -> None:
        self._model = cv2.createBackgroundSubtractorMOG2(history=200, varThreshold=12, detectShadows=True)

    def foreground(self, image: Image) -> Image:
        """See `Background`."""
        return np.where(self._model.apply(image) == 255, 255, 0).astype(np.uint8)


class Knn:
    """The nearest of earlier samples of each pixel; shadows are told apart and left out."""

    def __init__(self) -> None:
        self._model = cv2.createBackgroundSubtractorKNN(history=200, dist2Threshold=500.0, detectShadows=True)

    def foreground(self, image: Image) -> Image:
        """See `Background`."""
        return np.where(self._model.apply(image) == 255, 255, 0).astype(np.uint8)


def _grey(image: Image) -> npt.NDArray[np.float32]:
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (BLUR, BLUR), 0)
    return grey.astype(np.float32)


class _Recent:
    """Compares with what the last frames had in common; every third is remembered, so that slow objects differ."""

    def __init__(self) -> None:
        self._frames: deque[npt.NDArray[np.float32]] = deque(maxlen=MEMORY)
        self._shared: npt.NDArray[np.float32] | None = None
        self._seen = 0

    def _common(self) -> npt.NDArray[np.float32]:
        raise NotImplementedError

    def foreground(self, image: Image) -> Image:
        """See `Background`."""
        grey = _grey(image)
        found = np.zeros(grey.shape, np.uint8)
        if self._shared is not None:
            found[np.abs(grey - self._shared) > THRESHOLD] = 255
        if self._seen % 3 == 0:
            self._frames.append(grey)
            self._shared = self._common()
        self._seen += 1
        return found


class Mean(_Recent):
    """The mean of recent frames."""

    def _common(self) -> npt.NDArray[np.float32]:
        return np.asarray(np.mean(self._frames, axis=0), np.float32)


class Median(_Recent):
    """The median of recent frames."""

    def _common(self) -> npt.NDArray[np.float32]:
        return np.asarray(np.median(self._frames, axis=0), np.float32)


class Hybrid:
    """The mean at first, then the background image of a mixture of Gaussians that is fed now and then (cheap)."""

    FED_EVERY, REFRESHED_EVERY, MEAN_UNTIL = 5, 50, 250

    def __init__(self) -> None:
        self._mean, self._model = Mean(), cv2.createBackgroundSubtractorMOG2(detectShadows=False)
        self._image: npt.NDArray[np.float32] | None = None
        self._seen = 0

    def foreground(self, image: Image) -> Image:
        """See `Background`."""
        seen, self._seen = self._seen, self._seen + 1
        if seen % self.FED_EVERY == 0:
            self._model.apply(image)
        if seen < self.MEAN_UNTIL:
            return self._mean.foreground(image)
        if self._image is None or seen % self.REFRESHED_EVERY == 0:
            self._image = _grey(np.asarray(self._model.getBackgroundImage(), np.uint8))
        return np.where(np.abs(_grey(image) - self._image) > THRESHOLD, 255, 0).astype(np.uint8)


class Everything:
    """No filter: every pixel of every frame counts as moving."""

    def foreground(self, image: Image) -> Image:
        """See `Background`."""
        return np.full(image.shape[:2], 255, np.uint8)


BACKGROUNDS = {"mog2": Mog2, "knn": Knn, "mean": Mean, "median": Median, "hybrid": Hybrid, "none": Everything}
