"""Typed configuration: a misspelt key or a wrong type is one clear line before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class CameraSettings:
    """`workload=camera_…`: one static camera.

    Attributes:
        seed: of training and of what is drawn at random; frames are the capture's.
        skip: frames left out between two.
        capture: stage *capture*, a group of its own: `workload/capture=generated|video|folder`.
    """

    _target_: str = "framework_cova.capture.camera_workload.CameraWorkload"
    name: str = "camera"
    seed: int = 0
    skip: int = 0
    capture: dict[str, Any] = field(default_factory=dict)


@dataclass
class StageSettings:
    """What all backends of this plugin share.

    Attributes:
        filter, annotate, student, inference: the stages, each a group of its own (`backend/filter=knn`).
        labels: frames that the teacher labels for one training.
        choose: which ones: `motion`, `random`, `uncertain`.
        min_score: labels below are left out.
        valid_classes: numbers of classes that are kept; null: all.
        steps: of a specialisation.
        rehearsal: share of the generic student's own frames among those of a specialisation, against forgetting;
            their truth is known, so that they cost no teacher calls. 0: none.
        generic_scenes, generic_steps: the generic student's training.
        students_dir: where generic students and unfinished trainings are kept.
        adapt_frames, gap_frames, scored_frames: parts of the timeline, in this order.
        score_every: one of so many of the last part's frames is scored.
        joules_per_gflop: assumed energy of the student's arithmetic, for `student_j_per_frame`; a modern laptop or
            edge CPU spends 0.1 to 0.5 J.
    """

    filter: dict[str, Any] = field(default_factory=dict)
    annotate: dict[str, Any] = field(default_factory=dict)
    student: dict[str, Any] = field(default_factory=dict)
    inference: dict[str, Any] = field(default_factory=dict)
    labels: int = 50
    choose: str = "motion"
    min_score: float = 0.3
    valid_classes: list[int] | None = None
    steps: int = 100
    rehearsal: float = 0.5
    generic_scenes: int = 80
    generic_steps: int = 1500
    students_dir: str = "outputs/students"
    adapt_frames: int = 300
    gap_frames: int = 50
    scored_frames: int = 100
    score_every: int = 2
    joules_per_gflop: float = 0.3


@dataclass
class SpecializationSettings(StageSettings):
    """`backend=camera_student`: one arm of the study on one camera.

    Attributes:
        arm: `generic`, `generic_more` (the same extra steps on generic data), `specialized`, `truth` (trained on
            the truth: the upper bound), `random` (frames at random, not where something moves), `teacher`.
    """

    _target_: str = "framework_cova.study.camera_student.CameraStudent"
    name: str = "camera_student"
    arm: str = "specialized"


@dataclass
class DriftSettings(StageSettings):
    """`backend=camera_drift`: a camera whose scene changes, watched over time.

    Attributes:
        policy: `once` (specialised at the start), `on_drift` (again when agreement falls), `periodic` (every window).
        window: frames between two looks at the agreement.
        sampled: frames of a window that the teacher is asked about, to know the agreement.
        fall: re-specialise when the agreement falls below this share of what it was after the last training.
    """

    _target_: str = "framework_cova.study.camera_drift.CameraDrift"
    name: str = "camera_drift"
    policy: str = "on_drift"
    window: int = 60
    sampled: int = 6
    fall: float = 0.8


@dataclass
class FleetSettings(StageSettings):
    """`backend=camera_fleet`: several cameras, some of them alike; the workload's capture is the pattern of each.

    Attributes:
        cameras, sites: how many cameras, and in how many places they stand.
        sharing: `none` (a student a camera), `sites` (cameras that look alike share one), `all`.
        alike: cameras whose students find each other's frames this similar share (see `fleet_groups`).
    """

    _target_: str = "framework_cova.study.camera_fleet.CameraFleet"
    name: str = "camera_fleet"
    cameras: int = 10
    sites: int = 4
    sharing: str = "sites"
    alike: float = 0.45
