"""`backend=camera_drift`: a student in service, watched by a few of the teacher's labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from framework.contracts import Metric, Result, RunContext, WorkloadTables
from framework.errors import ConfigError, InputError
from framework_cova.boxes import Boxes, matches
from framework_cova.settings import DriftSettings
from framework_cova.specialize.detection_scores import score
from framework_cova.specialize.labelled import LabelledFrames, annotate
from framework_cova.specialize.timeline import evenly, every, open_camera
from framework_cova.stages import Frame
from framework_cova.study.camera_backend import CameraBackend, one_of
from framework_cova.study.camera_session import CameraSession, score_metrics
from framework_cova.study.tables import schemas

POLICIES = ("once", "on_drift", "periodic")
SURE = 0.3  # score from which a detection takes part in the agreement


class CameraDrift(CameraBackend):
    """Serves a camera window by window; keys: see `DriftSettings`."""

    kind = DriftSettings
    settings: DriftSettings

    def __init__(self, **keys: Any) -> None:
        super().__init__(**keys)
        one_of(self.settings.policy, "policy", POLICIES)
        s = self.settings
        if s.window < 2 or not 1 <= s.sampled <= s.window:
            raise ConfigError(
                f"configuration key 'backend.window': at least 2, and sampled 1 to window, got {s.window},"
                f" {s.sampled}"
            )
        if not 0 < s.fall < 1:
            raise ConfigError(f"configuration key 'backend.fall': must lie in (0, 1), got {s.fall}")

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Return mAP over the time in service, agreement by window, and how often the student was trained again."""
        session, s = CameraSession.of(self.settings, context), self.settings
        capture, skip = open_camera(workload.tables["camera"])
        frames = list(every(capture, skip))
        windows = [
            frames[begin : begin + s.window]
            for begin in range(s.adapt_frames, len(frames) - s.sampled + 1, s.window)
        ]
        if not windows:
            raise InputError(
                f"workload.capture: the source ended after {len(frames)} frames; backend.adapt_frames"
                f" ({s.adapt_frames}) leaves no window to serve"
            )
        session.generic(frames[0].image)
        calls = self._specialize(session, frames[: s.adapt_frames], "start")
        best: float | None = None
        retrained = 0
        rows: list[dict[str, Any]] = []
        truth: list[Boxes] = []
        found: list[Boxes] = []
        source = "truth"
        for number, window in enumerate(windows):
            context.progress(0.2 + 0.8 * number / len(windows), f"window {number + 1} of {len(windows)}")
            seen = window[:: s.score_every]
            detections = session.student.detect([frame.image for frame in seen])
            reference, which, source = session.reference(seen)
            truth += reference
            found += [detections[index] for index in which]
            agreement, asked = self._agreement(session, window)
            calls += asked
            again = s.policy == "periodic" or (
                s.policy == "on_drift"
                and agreement is not None
                and best is not None
                and agreement < s.fall * best
            )
            if agreement is not None:
                best = None if again else max(best or 0.0, agreement)
            if again and number + 1 < len(windows):
                calls += self._specialize(session, window, f"window {number}")
                retrained += 1
            rows.append(
                {
                    "first_frame": window[0].number,
                    "last_frame": window[-1].number,
                    "map": score(reference, [detections[index] for index in which]).map,
                    "agreement": agreement,
                    "retrained": int(again),
                }
            )
        known = [row["agreement"] for row in rows if row["agreement"] is not None]
        metrics = [
            *score_metrics(score(truth, found), source),
            Metric("teacher_calls", float(calls), "", "teacher"),
            Metric("retrainings", float(retrained), "", "policy"),
            Metric("agreement_mean", float(np.mean(known)), "", "teacher")
            if known
            else Metric.absent("agreement_mean", "the teacher labelled no sampled frame", "", "teacher"),
        ]
        return Result(metrics, {"camera_windows": pa.Table.from_pylist(rows, schemas()["camera_windows"])})

    def _specialize(self, session: CameraSession, frames: list[Frame], what: str) -> int:
        """Train on labels of frames in which something moves; return how often the teacher was asked."""
        s = self.settings
        moving = [index for index, frame in enumerate(frames) if len(session.motion.regions(frame.image))]
        chosen = [frames[index] for index in evenly(moving, s.labels)]
        labelled = (
            annotate(chosen, session.teacher, s.min_score, s.valid_classes) if chosen else LabelledFrames()
        )
        if labelled.frames:
            session.train(labelled, s.steps, what)
        return labelled.calls

    def _agreement(self, session: CameraSession, window: list[Frame]) -> tuple[float | None, int]:
        """Return F1 of the student against the teacher on sampled frames, and how many these were."""
        sampled = [window[index] for index in evenly(range(len(window)), self.settings.sampled)]
        labelled = session.reference_of_teacher(sampled)
        found = session.student.detect([sampled[index].image for index, _ in labelled])
        both = said = seen = 0
        for (_, labels), boxes in zip(labelled, found, strict=True):
            sure = boxes.chosen(boxes.score >= SURE)
            both += len(matches(labels, sure))
            said += len(labels)
            seen += len(sure)
        return (2 * both / (said + seen) if said + seen else None), len(sampled)
