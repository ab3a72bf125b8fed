"""`backend=camera_student`: one arm of the study on one camera."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import cv2
import pyarrow as pa

from framework.contracts import Metric, Result, RunContext, SanityCheck, WorkloadTables
from framework_cova.boxes import Boxes
from framework_cova.settings import SpecializationSettings
from framework_cova.specialize.detection_scores import score
from framework_cova.specialize.labelled import LabelledFrames, annotate, of_truth
from framework_cova.specialize.timeline import Timeline, to_label, told_counts
from framework_cova.stages import Frame
from framework_cova.study.camera_backend import CameraBackend, one_of
from framework_cova.study.camera_session import CameraSession, score_metrics
from framework_cova.study.tables import GENERIC, STUDENT, TEACHER, TRUTH, schemas

ARMS = ("generic", "generic_more", "specialized", "truth", "random", "teacher")
PICTURES = 2
SHOWN_SCORE = 0.3  # detections below aren't drawn


class CameraStudent(CameraBackend):
    """Specialises a student to one camera. Keys: see `SpecializationSettings`."""

    kind = SpecializationSettings
    settings: SpecializationSettings

    def __init__(self, **keys: Any) -> None:
        super().__init__(**keys)
        one_of(self.settings.arm, "arm", ARMS)

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Return scores on later frames, costs, and pictures."""
        session, s = CameraSession.of(self.settings, context), self.settings
        context.progress(0.05, "frames and motion")
        line = session.timeline(workload)
        image = line.scored[0].image
        context.progress(0.2, "generic student")
        generic = session.generic(image)
        shown = _shown(line)
        before = session.student.detect([frame.image for frame in shown])
        context.window.begin_s = time.monotonic()
        labelled = self._labelled(session, line)
        began, resumed = time.process_time(), 0

        def progress(share: float) -> None:
            context.progress(0.4 + 0.4 * share, f"training, arm {s.arm}")

        if s.arm == "generic_more":
            resumed = session.train_on(*session.generic_frames(image), s.steps, s.arm, progress)
        elif labelled.frames:
            resumed = session.train(labelled, s.steps, s.arm, progress)
        trained_s = time.process_time() - began
        context.progress(0.85, "scores")
        reference, which, source = session.reference(line.scored)
        metrics: list[Metric] = []
        if s.arm == "teacher":
            found = session.teacher_labels(line.scored)
            if failed := len(line.scored) - len(found):
                labelled.left_out["teacher failed"] += failed
            metrics += [Metric("teacher_calls", float(len(line.scored)), "", "teacher")]
        else:
            boxes, ms, share = session.look(line.scored, line.scored_regions)
            found = dict(enumerate(boxes))
            metrics += session.cost_metrics(image, ms, share)
            metrics.append(Metric("teacher_calls", float(labelled.calls), "", "teacher"))
            after = session.forgetting(image)
            metrics.append(Metric("generic_scenes_map", after.map, "", "truth"))
        pairs = [(right, found[at]) for right, at in zip(reference, which, strict=True) if at in found]
        metrics += score_metrics(score([right for right, _ in pairs], [said for _, said in pairs]), source)
        context.window.end_s = time.monotonic()
        metrics += [
            Metric("train_cpu_s", trained_s, "s", "process time"),
            Metric("resumed_at_step", float(resumed), "", "checkpoint"),
            *_label_metrics(labelled),
            *_motion_metrics(line),
        ]
        tables = self._pictures(session, line, shown, before)
        facts = {
            "teacher": dict(session.teacher.identity()),
            "generic_student": generic,
            "left_out": line.skipped,
        }
        return Result(metrics, tables, facts, _checks(line, labelled, s))

    def _labelled(self, session: CameraSession, line: Timeline) -> LabelledFrames:
        s = self.settings
        if s.arm in ("generic", "generic_more", "teacher") or s.steps == 0:
            return LabelledFrames()
        chosen = to_label(
            line, "random" if s.arm == "random" else s.choose, s.labels, session.seed, session.student
        )
        frames = [line.adapt[index] for index in chosen]
        if s.arm == "truth":
            return of_truth(frames)
        return annotate(frames, session.teacher, s.min_score, s.valid_classes)

    def _pictures(
        self, session: CameraSession, line: Timeline, shown: Sequence[Frame], before: Sequence[Boxes]
    ) -> dict[str, pa.Table]:
        """Return pictures of scored frames, the boxes of each source on them, and the map of motion."""
        after = session.student.detect([frame.image for frame in shown])
        pictures, boxes = [], []
        for frame, old, new in zip(shown, before, after, strict=True):
            height, width = frame.image.shape[:2]
            _, jpeg = cv2.imencode(".jpg", frame.image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
            pictures.append({"frame": frame.number, "width": width, "height": height, "jpeg": jpeg.tobytes()})
            sources = {GENERIC: old, STUDENT: new}
            for labels in session.teacher_labels([frame]).values():
                sources[TEACHER] = labels
            if frame.truth is not None:
                sources[TRUTH] = frame.truth
            for source, found in sources.items():
                sure = found.chosen(found.score >= SHOWN_SCORE)
                for xyxy, label, value in zip(sure.xyxy, sure.label, sure.score, strict=True):
                    corners = zip(
                        ("left_px", "top_px", "right_px", "bottom_px"), map(float, xyxy), strict=True
                    )
                    row = {
                        "frame": frame.number,
                        "source": source,
                        "label": int(label),
                        "score": float(value),
                    }
                    boxes.append(row | dict(corners))
        cells = [
            {"row": row, "col": column, "share": float(line.heat[row, column])}
            for row in range(line.heat.shape[0])
            for column in range(line.heat.shape[1])
        ]
        rows = {"camera_pictures": pictures, "camera_boxes": boxes, "camera_motion": cells}
        return {name: pa.Table.from_pylist(found, schemas()[name]) for name, found in rows.items()}


def _shown(line: Timeline) -> list[Frame]:
    """Return the scored frames that a reader sees: those with most objects or regions, apart in time."""
    half = max(1, len(line.scored) // PICTURES)
    found = []
    for begin in range(0, len(line.scored), half)[:PICTURES]:
        part = range(begin, min(begin + half, len(line.scored)))
        found.append(line.scored[max(part, key=lambda index: len(line.scored_regions[index]))])
    return found


def _label_metrics(labelled: LabelledFrames) -> list[Metric]:
    names = ("label_missed_share", "label_wrong_share")
    noise = labelled.noise() if labelled.frames else None
    found = [Metric("labels_left_out", float(sum(labelled.left_out.values())), "", "teacher")]
    if noise is None:
        why = "no labels" if not labelled.frames else "the truth isn't known, or there was nothing to label"
        return found + [Metric.absent(name, why, "", "truth") for name in names]
    return found + [Metric(name, value, "", "truth") for name, value in zip(names, noise, strict=True)]


def _motion_metrics(line: Timeline) -> list[Metric]:
    tally = line.tally
    frames = max(tally.frames, 1)
    found = [
        Metric("motion_area_share", tally.covered / frames, "", "filter"),
        Metric("frames_kept_share", tally.kept / frames, "", "filter"),
        Metric(
            "filter_ms_per_frame", 1e3 * line.filter_s / (len(line.adapt) + len(line.scored)), "ms", "clock"
        ),
    ]
    for name, value in (("motion_recall", tally.recall), ("motion_precision", tally.precision)):
        found.append(
            Metric(name, value, "", "truth")
            if value is not None
            else Metric.absent(name, "no moving object is known, or nothing moved", "", "truth")
        )
    return found


def _checks(line: Timeline, labelled: LabelledFrames, s: SpecializationSettings) -> list[SanityCheck]:
    found = []
    trained = s.arm in ("specialized", "truth", "random") and s.steps
    if line.skipped:
        found.append(SanityCheck("frames_left_out", "warn", told_counts(line.skipped)))
    if trained and not labelled.frames:
        detail = "no frame with motion to label: the student stays the generic one"
        found.append(SanityCheck("frames_labelled", "warn", detail))
    elif trained and (labelled.left_out or len(labelled.frames) < s.labels):
        detail = f"{len(labelled.frames)} frames labelled of {s.labels} asked for"
        more = f"; {told_counts(labelled.left_out)}" if labelled.left_out else ""
        found.append(SanityCheck("frames_labelled", "warn", detail + more))
    elif trained:
        found.append(SanityCheck("frames_labelled", "pass", f"{len(labelled.frames)} frames"))
    elif labelled.left_out:
        found.append(SanityCheck("frames_labelled", "warn", told_counts(labelled.left_out)))
    wanted = -(-s.scored_frames // s.score_every)
    if len(line.scored) < wanted:
        detail = f"the source ended early: {len(line.scored)} frames scored of {wanted}"
        found.append(SanityCheck("frames_scored", "warn", detail))
    return found
