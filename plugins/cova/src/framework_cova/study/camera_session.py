"""What every backend of this plugin does: build the stages, get the generic student, train, score."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import framework_cova
from framework.contracts import Metric, RunContext, WorkloadTables
from framework.errors import ConfigError, did_you_mean
from framework.identity.fingerprint import source_fingerprint
from framework.identity.run_key import canonical_hash
from framework_cova.boxes import Boxes, Floats
from framework_cova.settings import StageSettings
from framework_cova.specialize.detection_scores import DetectionScores, score
from framework_cova.specialize.generic import HELD_OUT, generic_frames, generic_student
from framework_cova.specialize.labelled import LabelledFrames
from framework_cova.specialize.timeline import Timeline, read_timeline
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
GENERIC_HELD_OUT = 8  # scenes on which forgetting is seen


def read_settings(kind: type[StageSettings], keys: Mapping[str, Any]) -> Any:
    """Return typed settings; raises `ConfigError` naming a key that is unknown or out of range."""
    names = {item.name for item in fields(kind)}
    for key in keys:
        if key not in names:
            raise ConfigError(f"configuration key 'backend.{key}': unknown key{did_you_mean(key, names)}")
    found = kind(**dict(keys))
    for key, least in (
        ("labels", 1),
        ("steps", 0),
        ("generic_scenes", 1),
        ("generic_steps", 1),
        ("adapt_frames", 1),
        ("gap_frames", 0),
        ("scored_frames", 1),
        ("score_every", 1),
    ):
        if getattr(found, key) < least:
            raise ConfigError(
                f"configuration key 'backend.{key}': must be at least {least}, got {getattr(found, key)}"
            )
    if not 0 <= found.min_score <= 1 or found.joules_per_gflop < 0:
        raise ConfigError(
            "configuration key 'backend.min_score': must lie in [0, 1], and joules_per_gflop must not be below 0, got"
            f" {found.min_score}, {found.joules_per_gflop}"
        )
    one_of(found.choose, "choose", ("motion", "random", "uncertain"))
    return found


def one_of(value: str, key: str, known: Sequence[str]) -> None:
    """Raise `ConfigError` unless a word is a known one."""
    if value not in known:
        raise ConfigError(
            f"configuration key 'backend.{key}': unknown {key} '{value}'{did_you_mean(value, known)}"
        )


def build_stages(settings: StageSettings) -> None:
    """Raise `ConfigError` for a stage that can't be built, before anything starts."""
    for name in STAGES:
        build_stage(getattr(settings, name), f"backend.{name}")


def stage_fingerprint(settings: StageSettings) -> str:
    """Return a text that changes with the code of a stage that isn't this plugin's own."""
    from importlib.util import find_spec

    found = [code_hash()]
    for name in STAGES:
        module = str((getattr(settings, name) or {}).get("_target_", "")).rpartition(".")[0]
        if module and not module.startswith("framework_cova."):
            try:
                spec = find_spec(module)
            except ModuleNotFoundError:
                continue
            if spec and spec.origin and Path(spec.origin).is_file():
                found.append(canonical_hash(Path(spec.origin).read_text(encoding="utf-8")))
    return " ".join(found)


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
        """Return the camera's frames."""
        s = self.settings
        camera = workload.tables["camera"]
        return read_timeline(
            camera, self.motion, s.adapt_frames, s.gap_frames, s.scored_frames, s.score_every
        )

    def generic(self, image: Image) -> dict[str, Any]:
        """Make the student the generic one for frames of this size; return what that took."""
        s, size = self.settings, (image.shape[1], image.shape[0])
        code = code_hash()
        return generic_student(
            self.student, s.student, s.generic_scenes, s.generic_steps, size, self.seed, code, self.folder
        )

    def train(
        self,
        labelled: LabelledFrames,
        steps: int,
        what: str,
        report: Callable[[float], None] = lambda share: None,
    ) -> int:
        """Train the student on labelled frames; return the step it was resumed at."""
        images = [frame.image for frame in labelled.frames]
        return self.train_on(images, labelled.labels, steps, what, report)

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
        found = []
        for index, frame in enumerate(frames):
            try:
                labels = self.teacher.label(frame)
            except TeacherError:
                continue
            found.append((index, labels.chosen(labels.score >= self.settings.min_score)))
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
