"""Stage *data set*: what the teacher said, curated, with what was left out and how right it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from framework.errors import RunFailedError
from framework_cova.boxes import Boxes, matches
from framework_cova.stages import Annotator, Frame, TeacherError


@dataclass
class LabelledFrames:
    """Frames with labels to train on.

    Attributes:
        calls: how often the teacher was asked.
        left_out: frames that aren't used, by reason.
    """

    frames: list[Frame] = field(default_factory=list)
    labels: list[Boxes] = field(default_factory=list)
    calls: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def noise(self) -> tuple[float, float] | None:
        """Return (share of objects missed or of a wrong class, share of labels that fit no object); None unknown."""
        known = [
            (frame.truth, labels)
            for frame, labels in zip(self.frames, self.labels, strict=True)
            if frame.truth is not None
        ]
        objects, said = sum(len(truth) for truth, _ in known), sum(len(labels) for _, labels in known)
        if not objects or not said:
            return None
        right = sum(len(matches(truth, labels)) for truth, labels in known)
        return 1 - right / objects, 1 - right / said


def annotate(
    frames: Sequence[Frame], teacher: Annotator, min_score: float, valid_classes: Sequence[int] | None
) -> LabelledFrames:
    """Return the teacher's labels of frames: score at least `min_score`, of a valid class.

    A frame that the teacher can't label is left out and counted. A frame without any object stays: that there is
    nothing is worth learning.

    Raises:
        RunFailedError: the teacher labelled none of the frames; says why.
    """
    found = LabelledFrames()
    why = ""
    for frame in frames:
        found.calls += 1
        try:
            labels = teacher.label(frame)
        except TeacherError as error:
            why = str(error)
            found.left_out["teacher failed"] += 1
            continue
        sure = labels.score >= min_score
        if valid_classes is not None:
            sure &= np.isin(labels.label, np.asarray(valid_classes))
        found.frames.append(frame)
        found.labels.append(labels.chosen(sure))
    if frames and not found.frames:
        raise RunFailedError(f"backend.annotate: the teacher labelled none of {len(frames)} frames: {why}")
    return found


def of_truth(frames: Sequence[Frame]) -> LabelledFrames:
    """Return frames labelled by their truth.

    Raises:
        RunFailedError: it isn't known.
    """
    labels = [frame.truth for frame in frames if frame.truth is not None]
    if len(labels) != len(frames):
        raise RunFailedError("backend.arm=truth: the truth of a recorded camera isn't known")
    return LabelledFrames(list(frames), labels)
