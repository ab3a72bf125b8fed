"""What every backend of this plugin does: build the stages, get the generic student, train, score."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import framework_cova
from framework.contracts import Metric, RunContext, WorkloadTables
from framework.identity.fingerprint import source_fingerprint
from framework.identity.run_key import canonical_hash
from framework_cova.boxes import Boxes, Floats
from framework_cova.settings import StageSettings
from framework_cova.specialize.detection_scores import DetectionScores, score
from framework_cova.specialize.generic import HELD_OUT, generic_frames, generic_student
from framework_cova.specialize.labelled import LabelledFrames
from framework_cova.specialize.rehearsal import rehearsed
from framework_cova.specialize.timeline import Timeline, is_repeatable, read_timeline
from framework_cova.stages import (
    Annotator,
    Filter,
    Frame,
    Image,
    Inference,
    Student,
    TeacherError,
    build_stage,
)

STAGES = ("filter", "annotate", "student", "inference")
_LAST_TIMELINE: dict[str, Timeline] = {}
GENERIC_HELD_OUT = 8  # scenes on which forgetting is seen


@cache
def code_hash() -> str:
    """Return a hash of what draws scenes and trains."""
    root = Path(framework_cova.__file__).parent
    return canonical_hash([source_fingerprint(root / name, (".py",)) for name in ("scene", "student")])


@dataclass
class CameraSession:
    """The stages of one run."""

    settings: StageSettings
    seed: int
    context: RunContext
    motion: Filter
    teacher: Annotator
    student: Student
    inference: Inference

    @classmethod
    def of(cls, settings: StageSettings, context: RunContext) -> CameraSession:
        """Return the stages, built anew."""
        stages = [build_stage(getattr(settings, name), f"backend.{name}") for name in STAGES]
        return cls(settings, context.seed, context, *stages)

    @property
    def folder(self) -> Path:
        """Where students are kept on disk."""
        return Path(self.settings.students_dir)

    def timeline(self, workload: WorkloadTables) -> Timeline:
        """Return the camera's frames; the last camera's are kept, since the next run of a sweep may need them."""
        s = self.settings
        camera = workload.tables["camera"]
        parts = (s.adapt_frames, s.gap_frames, s.scored_frames, s.score_every)
        key = canonical_hash([camera.to_pylist(), s.filter, parts]) if is_repeatable(camera) else ""
        if not key or key not in _LAST_TIMELINE:
            _LAST_TIMELINE.clear()  # two of a large video may be more than there is memory
            line = read_timeline(camera, self.motion, *parts)
            if not key:
                return line
            _LAST_TIMELINE[key] = line
        return _LAST_TIMELINE[key]

    def generic(self, image: Image) -> dict[str, Any]:
        """Make the student the generic one for frames of this size; return what that took."""
        s, size = self.settings, (image.shape[1], image.shape[0])

        def progress(share: float) -> None:
            self.context.progress(0.2 + 0.2 * share, "training the generic student, once for all runs")

        return generic_student(
            self.student,
            s.student,
            s.generic_scenes,
            s.generic_steps,
            size,
            self.seed,
            code_hash(),
            self.folder,
            progress,
        )

    def train(
        self,
        labelled: LabelledFrames,
        steps: int,
        what: str,
        report: Callable[[float], None] = lambda share: None,
    ) -> int:
        """Train the student on labelled frames, old ones among them; return the step it was resumed at."""
        images, labels = [frame.image for frame in labelled.frames], labelled.labels
        if self.settings.rehearsal:
            old = self.generic_frames(images[0])
            images, labels = rehearsed(images, labels, *old, self.settings.rehearsal, self.seed)
        return self.train_on(images, labels, steps, what, report)

    def generic_frames(self, image: Image) -> tuple[list[Image], list[Boxes]]:
        """Return the frames that the generic student is trained on, in the size of an image, and their truth."""
        return generic_frames(self.settings.generic_scenes, image.shape[1], image.shape[0])

    def train_on(
        self,
        images: Sequence[Image],
        labels: Sequence[Boxes],
        steps: int,
        what: str,
        report: Callable[[float], None] = lambda share: None,
    ) -> int:
        """Train the student; a killed training of the same run is resumed."""
        config = self.context.config
        described = json.dumps(
            [config.get("backend"), config.get("workload"), what, self.seed], sort_keys=True, default=str
        )
        numbers = [float(boxes.xyxy.sum()) for boxes in labels]
        file = self.folder / f"{canonical_hash([described, numbers, code_hash()])}.part"
        return self.student.train(images, labels, steps, self.seed + 1, file, progress=report)

    def look(self, frames: Sequence[Frame], regions: Sequence[Floats]) -> tuple[list[Boxes], float, float]:
        """Return detections, CPU milliseconds a frame, and the share of pixels that the student looked at."""
        images = [frame.image for frame in frames]
        began = time.process_time()
        found = self.inference.detect(self.student, images, regions)
        ms = 1e3 * (time.process_time() - began) / len(images)
        whole = sum(image.shape[0] * image.shape[1] for image in images)
        return found, ms, self.inference.pixels() / whole

    def reference(self, frames: Sequence[Frame]) -> tuple[list[Boxes], list[int], str]:
        """Return what detections are scored against, on which of the frames, and where that came from."""
        if all(frame.truth is not None for frame in frames):
            return (
                [frame.truth for frame in frames if frame.truth is not None],
                list(range(len(frames))),
                "truth",
            )
        labelled = self.reference_of_teacher(frames)
        return [boxes for _, boxes in labelled], [index for index, _ in labelled], "teacher"

    def reference_of_teacher(self, frames: Sequence[Frame]) -> list[tuple[int, Boxes]]:
        """Return (index of the frame, the teacher's sure labels) of the frames that it could label."""
        labels = self.teacher_labels(frames)
        return [(index, one.chosen(one.score >= self.settings.min_score)) for index, one in labels.items()]

    def teacher_labels(self, frames: Sequence[Frame]) -> dict[int, Boxes]:
        """Return all that the teacher says, by index of the frame; a frame that it can't label is left out."""
        found = {}
        for index, frame in enumerate(frames):
            with suppress(TeacherError):  # a frame without labels is not one without objects
                found[index] = self.teacher.label(frame)
        return found

    def forgetting(self, image: Image) -> DetectionScores:
        """Return scores on scenes of other cameras, which nobody trained on."""
        images, truth = generic_frames(GENERIC_HELD_OUT, image.shape[1], image.shape[0], HELD_OUT, 3)
        return score(truth, self.student.detect(images))

    def cost_metrics(self, image: Image, ms: float, pixels_share: float) -> list[Metric]:
        """Return what a frame costs."""
        gflop = self.student.flops(*image.shape[:2]) * pixels_share / 1e9
        joules = gflop * self.settings.joules_per_gflop
        return [
            Metric("student_ms_per_frame", ms, "ms", "process time"),
            Metric("student_gflop_per_frame", gflop, "GFLOP", "layers"),
            Metric("student_j_per_frame", joules, "J", "assumed joules_per_gflop"),
            Metric("student_pixels_share", pixels_share, "", "inference"),
        ]


def score_metrics(found: DetectionScores, source: str) -> list[Metric]:
    """Return mAP and recall as metrics, absent where there was nothing to find."""
    names = ("detection_map", "detection_map50", "detection_recall")
    reason = "no object in the scored frames"
    return [
        Metric(name, value, "", source) if value is not None else Metric.absent(name, reason, "", source)
        for name, value in zip(names, (found.map, found.map50, found.recall), strict=True)
    ]
