"""Stage *filter*: where something moves in a frame; a frame without such a region is not worth a label."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError, did_you_mean
from framework_cova.boxes import Floats, iou
from framework_cova.motion.backgrounds import BACKGROUNDS, Background

Image = npt.NDArray[np.uint8]


class MotionFilter:
    """Regions of motion by a background model.

    Args:
        method: `mog2`, `knn`, `mean`, `median`, `hybrid`, or `none`: the whole of every frame.
        warm_up: so many frames teach the background and give no regions.
        min_area_share: a smaller region is noise, as a share of the frame.
        merge_iou: regions that overlap by more become one.
    """

    def __init__(
        self, method: str = "mog2", warm_up: int = 10, min_area_share: float = 0.0006, merge_iou: float = 0.05
    ) -> None:
        if method not in BACKGROUNDS:
            raise ConfigError(
                f"configuration key 'backend.filter.method': unknown method '{method}'"
                f"{did_you_mean(method, BACKGROUNDS)}"
            )
        if warm_up < 0 or not 0 <= min_area_share < 1 or not 0 <= merge_iou <= 1:
            raise ConfigError(
                "configuration key 'backend.filter': warm_up must not be below 0, min_area_share and merge_iou must"
                f" lie in [0, 1], got {warm_up}, {min_area_share}, {merge_iou}"
            )
        self.method, self.warm_up = method, warm_up
        self._min_area_share, self._merge_iou = min_area_share, merge_iou
        self.reset()

    def reset(self) -> None:
        """Forget the background: another camera, or another size of frame."""
        self._background: Background = BACKGROUNDS[self.method]()
        self._seen = 0
        self._shape: tuple[int, ...] | None = None

    def regions(self, image: Image) -> Floats:
        """Return (n, 4) regions in which something moves; none while warming up. Frames must come in order."""
        if self._shape is not None and image.shape != self._shape:
            self.reset()
        self._shape = image.shape
        foreground = self._background.foreground(image)
        self._seen += 1
        height, width = foreground.shape
        if self.method == "none":
            return np.array([[0, 0, width, height]], np.float32)
        if self._seen <= self.warm_up:
            return np.zeros((0, 4), np.float32)
        foreground = cv2.medianBlur(foreground, 3)
        foreground = cv2.morphologyEx(foreground, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        contours, _ = cv2.findContours(foreground, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        found = [cv2.boundingRect(one) for one in contours]
        least = self._min_area_share * width * height
        boxes = [(x, y, x + w, y + h) for x, y, w, h in found if w * h >= least]
        return merged(np.array(boxes, np.float32).reshape(-1, 4), self._merge_iou)


def merged(boxes: Floats, above: float) -> Floats:
    """Return the boxes, those that overlap by more than `above` or contain each other joined into one."""
    while len(boxes) > 1:
        overlap = iou(boxes, boxes)
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=2)
        area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        joins = (overlap > above) | (shared > 0.6 * np.minimum(area[:, None], area[None, :]))
        np.fill_diagonal(joins, False)
        if not joins.any():
            break
        first, second = (int(v) for v in np.argwhere(joins)[0])
        both = np.concatenate(
            [np.minimum(boxes[first, :2], boxes[second, :2]), np.maximum(boxes[first, 2:], boxes[second, 2:])]
        )
        boxes = np.vstack([np.delete(boxes, [first, second], axis=0), both[None]])
    return np.asarray(boxes, np.float32)
