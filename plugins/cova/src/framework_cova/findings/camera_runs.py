"""Runs of this plugin as the store has them, and gains between those that belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from framework.contracts import StoreReader
from framework.quantity import Quantity, student_t_975

Camera = tuple[str, ...]
"""Settings `name=value` that a score without labels depends on; runs that share them are compared."""

SEED = "workload.seed="
_FOR_LABELS = (
    "backend.arm",
    "backend.labels",
    "backend.choose",
    "backend.steps",
    "backend.rehearsal",
    "backend.min_score",
    "backend.valid_classes",
)


@dataclass(frozen=True)
class CameraRun:
    """One run.

    Attributes:
        params: settings as text, by dotted name.
        metrics: values by name.
    """

    run_id: str
    params: dict[str, str]
    metrics: dict[str, float]

    @property
    def arm(self) -> str:
        """Which arm of the study."""
        return self.params.get("backend.arm", "")

    @property
    def camera(self) -> Camera:
        """What the generic student's score depends on: the camera, the seed, the student, how it looks at frames."""
        return tuple(
            f"{name}={value}"
            for name, value in sorted(self.params.items())
            if name.startswith(("workload.", "backend."))
            and not name.endswith("_target_")
            and name not in _FOR_LABELS
            and not name.startswith(("backend.annotate.", "backend.filter."))
        )

    @property
    def variation(self) -> tuple[tuple[str, str], ...]:
        """How labels are made, apart from the arm: what a study varies beside cameras and seeds."""
        return tuple(
            (name, value)
            for name, value in sorted(self.params.items())
            if name != "backend.arm"
            and name not in ("workload.seed", "workload.capture.scene")
            and name.startswith(("backend.", "workload."))
        )


def camera_runs(store: StoreReader, run_ids: Sequence[str], backend: str) -> list[CameraRun]:
    """Return the runs of one backend of this plugin that are done."""
    ids = [
        row["run_id"]
        for row in store.query(
            "SELECT run_id FROM runs WHERE backend = ? AND status = 'done' AND list_contains(?, run_id) "
            "ORDER BY started_at",
            [backend, list(run_ids)],
        ).to_pylist()
    ]
    if not ids:
        return []
    params: dict[str, dict[str, str]] = {one: {} for one in ids}
    metrics: dict[str, dict[str, float]] = {one: {} for one in ids}
    for table, found in (("params", params), ("metrics", metrics)):
        sql = f"SELECT run_id, name, value FROM {table} WHERE value IS NOT NULL AND list_contains(?, run_id)"
        for row in store.query(sql, [ids]).to_pylist():
            found[row["run_id"]][row["name"]] = row["value"]
    return [CameraRun(one, params[one], metrics[one]) for one in ids]


def over_seeds(values: Sequence[float]) -> Quantity:
    """Return the mean of runs of one camera with its 95 % interval by Student's t; none for a single value."""
    middle = fmean(values)
    if len(values) < 2:
        return Quantity(middle)
    half = student_t_975(len(values) - 1) * stdev(values) / len(values) ** 0.5
    return Quantity(middle, middle - half, middle + half)


def over_cameras(values: Mapping[Camera, float]) -> Quantity:
    """Return the mean over cameras with its 95 % interval; none for a single camera.

    Seeds of one camera see the same frames and are no further evidence on cameras. So a camera counts once, with the
    mean of its seeds, and Student's t has a degree of freedom less than there are cameras.
    """
    by_place: dict[Camera, list[float]] = {}
    for camera, value in values.items():
        by_place.setdefault(place(camera), []).append(value)
    return over_seeds([fmean(seeds) for seeds in by_place.values()])


def place(camera: Camera) -> Camera:
    """Return a camera without the seed: what was filmed."""
    return tuple(item for item in camera if item.startswith("workload.") and not item.startswith(SEED))


def scores_by_camera(runs: Iterable[CameraRun], wanted: Callable[[CameraRun], bool]) -> dict[Camera, float]:
    """Return the mAP of wanted runs by camera and seed; the last one where there are several."""
    return {
        run.camera: run.metrics["detection_map"]
        for run in runs
        if wanted(run) and "detection_map" in run.metrics
    }


def relative_gains(new: Mapping[Camera, float], base: Mapping[Camera, float]) -> dict[Camera, float]:
    """Return new / base − 1 for each camera and seed that has both; a base of 0 has no relative gain."""
    return {camera: new[camera] / base[camera] - 1 for camera in new if base.get(camera, 0) > 0}


def usual(runs: Sequence[CameraRun]) -> tuple[tuple[str, str], ...] | None:
    """Return the variation in which most arms were run: the study's main comparison."""
    arms: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for run in runs:
        arms.setdefault(run.variation, set()).add(run.arm)
    return max(arms, key=lambda one: len(arms[one]), default=None)


def mean_score(values: Mapping[Camera, float]) -> Quantity:
    """Return the mean over cameras; its interval ends at 0 and 1, whatever Student's t makes of very few cameras."""
    found = over_cameras(values)
    low, high = (None if end is None else min(max(end, 0.0), 1.0) for end in (found.low, found.high))
    return Quantity(found.value, low, high)


def shown_interval(values: Mapping[Camera, float], percent: bool = False) -> str:
    """Return `mean (low to high)` over cameras, of scores or, in percent, of gains; a dash for nothing."""
    if not values:
        return "–"
    found = over_cameras(values) if percent else mean_score(values)
    scale, places = (100.0, 1) if percent else (1.0, 3)
    text = f"{scale * found.value:.{places}f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} ({scale * found.low:.{places}f} to {scale * found.high:.{places}f})"
