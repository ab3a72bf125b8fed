"""Which cameras look alike, from their own frames and labels: nobody has to say where they stand."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from framework_cova.boxes import Boxes
from framework_cova.stages import Image

BINS = (12, 6, 6)  # of hue, saturation, value
Floats64 = npt.NDArray[np.float64]


def appearance(images: Sequence[Image], labels: Sequence[Boxes]) -> Floats64:
    """Return what a camera looks like: histograms of colour of frames and of labelled objects, each of sum 1."""
    whole = np.zeros(BINS, np.float64)
    objects = np.zeros(BINS, np.float64)
    for image, boxes in zip(images, labels, strict=True):
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        whole += _histogram(hsv)
        for x0, y0, x1, y1 in boxes.xyxy.astype(int):
            cut = hsv[max(y0, 0) : y1, max(x0, 0) : x1]
            if cut.size:
                objects += _histogram(np.ascontiguousarray(cut))
    return np.concatenate([(part / max(part.sum(), 1)).ravel() for part in (whole, objects)])


def _histogram(hsv: Image) -> Floats64:
    ranges = [0, 180, 0, 256, 0, 256]
    return np.asarray(cv2.calcHist([hsv], [0, 1, 2], None, list(BINS), ranges), np.float64)


def groups(appearances: Sequence[Floats64], alike: float) -> list[int]:
    """Return the group of each camera: average linkage over the overlap of histograms (1: all, 0: none)."""
    from scipy.cluster.hierarchy import fcluster, linkage

    count = len(appearances)
    if count < 2:
        return [0] * count
    distances = [
        1 - float(np.minimum(appearances[one], appearances[other]).sum()) / 2
        for one in range(count)
        for other in range(one + 1, count)
    ]
    found = fcluster(linkage(np.array(distances), "average"), 1 - alike, "distance")
    return [int(number) - 1 for number in found]


def adjusted_rand(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the adjusted Rand index of two groupings (Hubert and Arabie 1985): 1 for the same, 0 by chance."""
    table = np.zeros((max(first) + 1, max(second) + 1))
    for one, other in zip(first, second, strict=True):
        table[one, other] += 1

    def pairs(counts: npt.NDArray[np.float64]) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    everything = len(first) * (len(first) - 1) / 2
    expected = rows * columns / everything if everything else 0.0
    most = (rows + columns) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)
