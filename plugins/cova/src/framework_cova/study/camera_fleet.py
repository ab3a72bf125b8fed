"""`backend=camera_fleet`: which cameras should share a student?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from framework.contracts import Metric, Result, RunContext, SanityCheck, Verdict, WorkloadTables
from framework.errors import ConfigError
from framework_cova.capture.sources import GeneratedCapture
from framework_cova.scene.generated_camera import GeneratedCamera
from framework_cova.settings import FleetSettings
from framework_cova.specialize.alike import adjusted_rand, appearance, groups
from framework_cova.specialize.detection_scores import DetectionScores, score
from framework_cova.specialize.labelled import LabelledFrames, annotate
from framework_cova.specialize.timeline import Timeline, open_camera, to_label
from framework_cova.stages import Frame
from framework_cova.study.camera_backend import CameraBackend, one_of
from framework_cova.study.camera_session import CameraSession, score_metrics
from framework_cova.study.tables import schemas

SHARING = ("none", "sites", "all")
SITE_STEP = 31  # sites of different scenes are different


class CameraFleet(CameraBackend):
    """Trains the students of a fleet; the number of labels and of steps in all is the same however they share."""

    kind = FleetSettings
    settings: FleetSettings

    def __init__(self, **keys: Any) -> None:
        super().__init__(**keys)
        one_of(self.settings.sharing, "sharing", SHARING)
        s = self.settings
        if s.cameras < 1 or not 1 <= s.sites <= s.cameras:
            raise ConfigError(
                f"configuration key 'backend.sites': 1 to backend.cameras ({s.cameras}) expected, got {s.sites}"
            )
        if not 0 <= s.alike <= 1:
            raise ConfigError(f"configuration key 'backend.alike': must lie in [0, 1], got {s.alike}")

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for a workload that is no generated camera, or a stage that can't be built."""
        super().check(workload)
        if not isinstance(open_camera(workload.tables["camera"])[0], GeneratedCapture):
            raise ConfigError("backend=camera_fleet draws its cameras: workload=camera_generated")

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Return the mean mAP over cameras, what was shared, and each camera's score."""
        session, s = CameraSession.of(self.settings, context), self.settings
        pattern = open_camera(workload.tables["camera"])[0]
        assert isinstance(pattern, GeneratedCapture)
        sites = [number % s.sites for number in range(s.cameras)]
        lines, labelled = [], []
        for number, site in enumerate(sites):
            context.progress(0.4 * number / s.cameras, f"frames of camera {number + 1} of {s.cameras}")
            style = 7000 + SITE_STEP * pattern.recipe.scene + site
            line = self._timeline(session, replace(pattern.recipe, site=style, camera=number))
            chosen = to_label(
                line, s.choose if s.choose != "uncertain" else "motion", s.labels, session.seed + number
            )
            frames = [line.adapt[index] for index in chosen]
            lines.append(line)
            labelled.append(
                annotate(frames, session.teacher, s.min_score, s.valid_classes)
                if frames
                else LabelledFrames()
            )
        session.generic(lines[0].scored[0].image)
        start = session.student.state()
        generic = [self._score(session, line) for line in lines]
        found = self._groups(labelled)
        scores: list[DetectionScores] = list(generic)
        for group in sorted(set(found)):
            members = [number for number, one in enumerate(found) if one == group]
            context.progress(0.4 + 0.6 * group / (max(found) + 1), f"training group {group + 1}")
            session.student.restore(start)
            frames = [frame for number in members for frame in labelled[number].frames]
            labels = [boxes for number in members for boxes in labelled[number].labels]
            together = LabelledFrames(frames, labels)
            if frames:
                session.train(together, s.steps * len(members), f"group {group}")
            for number in members:
                scores[number] = self._score(session, lines[number])
        return self._result(sites, found, scores, generic, labelled)

    def _timeline(self, session: CameraSession, recipe: Any) -> Timeline:
        """Return one camera's frames; those between that nothing looks at are not drawn."""
        s = self.settings
        camera = GeneratedCamera(recipe)
        line = Timeline()
        session.motion = CameraSession.of(s, session.context).motion
        end = min(s.adapt_frames + s.gap_frames + s.scored_frames, len(camera))
        for number in range(end):
            learn = number < s.adapt_frames
            if not learn and (
                number < s.adapt_frames + s.gap_frames or (number - s.adapt_frames) % s.score_every
            ):
                continue
            image, truth = camera.frame(number)
            frame = Frame(number, number / recipe.fps, image, truth)
            if learn:
                line.adapt.append(frame)
                line.adapt_regions.append(session.motion.regions(image))
            else:
                line.scored.append(frame)
        if not line.scored:
            raise ConfigError(
                f"configuration key 'workload.capture.frames': {recipe.frames} leave none to score after"
                f" backend.adapt_frames ({s.adapt_frames}) and backend.gap_frames ({s.gap_frames})"
            )
        return line

    def _groups(self, labelled: list[LabelledFrames]) -> list[int]:
        if self.settings.sharing == "none":
            return list(range(len(labelled)))
        if self.settings.sharing == "all":
            return [0] * len(labelled)
        seen = [appearance([frame.image for frame in one.frames], one.labels) for one in labelled]
        return groups(seen, self.settings.alike)

    @staticmethod
    def _score(session: CameraSession, line: Timeline) -> DetectionScores:
        truth = [frame.truth for frame in line.scored if frame.truth is not None]
        return score(truth, session.student.detect([frame.image for frame in line.scored]))

    def _result(
        self,
        sites: list[int],
        found: list[int],
        scores: list[DetectionScores],
        generic: list[DetectionScores],
        labelled: list[LabelledFrames],
    ) -> Result:
        known = [one for one in scores if one.map is not None]
        count = max(len(known), 1)
        mean = (
            DetectionScores(
                *(sum(getattr(one, name) for one in known) / count for name in ("map", "map50", "recall"))
            )
            if known
            else DetectionScores(None, None, None)
        )
        metrics = score_metrics(mean, "truth")
        metrics += [
            Metric("teacher_calls", float(sum(one.calls for one in labelled)), "", "teacher"),
            Metric("fleet_groups", float(len(set(found))), "", "appearance"),
            Metric("fleet_groups_rand", adjusted_rand(sites, found), "", "truth"),
        ]
        rows = [
            {"camera": number, "site": site, "fleet_group": group, "map": one.map, "generic_map": before.map}
            for number, (site, group, one, before) in enumerate(
                zip(sites, found, scores, generic, strict=True)
            )
        ]
        unlabelled = sum(not one.frames for one in labelled)
        verdict: Verdict = "warn" if unlabelled else "pass"
        checks = [
            SanityCheck(
                "cameras_labelled", verdict, f"{len(labelled) - unlabelled} of {len(labelled)} cameras"
            )
        ]
        return Result(
            metrics, {"camera_fleet": pa.Table.from_pylist(rows, schemas()["camera_fleet"])}, {}, checks
        )
