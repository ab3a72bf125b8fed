"""mAP and recall of detections, by pycocotools: COCO's own definition."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from framework_cova.boxes import Boxes


@dataclass(frozen=True)
class DetectionScores:
    """Scores in 0–1; None where no object was there to be found.

    Attributes:
        map: mean of the average precision over classes and over IoU .5 to .95.
        map50: the same at IoU .5 alone.
        recall: mean over classes and IoU .5 to .95 of the recall with at most 100 detections a frame.
    """

    map: float | None
    map50: float | None
    recall: float | None


def score(truth: Sequence[Boxes], found: Sequence[Boxes]) -> DetectionScores:
    """Return scores over frames: `truth[i]` and `found[i]` belong to one frame.

    Raises:
        ValueError: not the same number of frames.
    """
    if len(truth) != len(found):
        raise ValueError(f"truth of {len(truth)} frames, detections of {len(found)}")
    if not sum(map(len, truth)):
        return DetectionScores(None, None, None)
    if not sum(map(len, found)):
        return DetectionScores(0.0, 0.0, 0.0)
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    labels = sorted({int(label) for boxes in truth for label in boxes.label})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": frame + 1} for frame in range(len(truth))],
            "categories": [{"id": label + 1} for label in labels],
            "annotations": _annotations(truth),
        }
        coco.createIndex()
        results = [one for one in _annotations(found) if one["category_id"] - 1 in labels]
        if not results:
            return DetectionScores(0.0, 0.0, 0.0)
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        # objects of all sizes together: the split by size takes three quarters of the time and is not used
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]  # (IoU, recall, class, 1, 1); -1 where a class has no object
    recall = evaluation.eval["recall"]  # (IoU, class, 1, 1)
    return DetectionScores(*(float(part[part > -1].mean()) for part in (precision, precision[0], recall)))


def _annotations(frames: Sequence[Boxes]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for frame, boxes in enumerate(frames):
        sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
        for corner, side, label, value in zip(boxes.xyxy, sides, boxes.label, boxes.score, strict=True):
            found.append(
                {
                    "id": len(found) + 1,
                    "image_id": frame + 1,
                    "category_id": int(label) + 1,
                    "bbox": [float(v) for v in np.concatenate([corner[:2], side])],
                    "area": float(side[0] * side[1]),
                    "iscrowd": 0,
                    "score": float(value),
                }
            )
    return found
