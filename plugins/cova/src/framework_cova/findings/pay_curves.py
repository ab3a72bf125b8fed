"""What one setting at a time does to the gain of specialising, and from which value on it doesn't pay."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from framework.quantity import Quantity
from framework_cova.findings.camera_runs import (
    Camera,
    CameraRun,
    over_cameras,
    relative_gains,
    scores_by_camera,
    usual,
)

_SETTINGS = (
    ("backend.labels", "labels"),
    ("backend.annotate.noise", "label noise"),
    ("backend.filter.method", "filter"),
    ("backend.choose", "frames chosen by"),
    ("backend.steps", "steps"),
    ("backend.rehearsal", "rehearsal"),
    ("backend.inference._target_", "looks at"),
    ("backend.student.freeze", "frozen body"),
    ("workload.skip", "frames skipped"),
    ("workload.capture.parked", "parked objects"),
)


@dataclass(frozen=True)
class CurvePoint:
    """One value of a setting.

    Attributes:
        value: as people read it.
        runs: specialised runs with it, of the cameras and seeds that every value of the setting was run on.
        scores: their mAP; `gains`: over the generic student of the same camera and seed.
        usual: whether it is the value of the main comparison.
    """

    value: str
    runs: list[CameraRun]
    scores: Mapping[Camera, float]
    gains: Mapping[Camera, float]
    usual: bool = False

    @property
    def number(self) -> float | None:
        """The value as a number; None for a word."""
        try:
            return float(self.value)
        except ValueError:
            return None

    @property
    def gain(self) -> Quantity | None:
        """Mean gain over cameras with its interval; None where nothing can be compared."""
        return over_cameras(self.gains) if self.gains else None


def pay_curves(runs: Sequence[CameraRun]) -> dict[str, list[CurvePoint]]:
    """Return by setting the points of runs in which it alone differs from the main comparison, by value."""
    main = usual(runs)
    if main is None:
        return {}
    generic = scores_by_camera(runs, lambda run: run.arm == "generic")
    found = {}
    for key, words in _SETTINGS:
        values = _alone(runs, key, dict(main))
        cameras = [{_pair(run, key) for run in members} for members in values.values()]
        shared = set.intersection(*cameras) if cameras else set()
        if len(values) < 2 or not shared:
            continue
        points = []
        for value, members in values.items():
            same = [run for run in members if _pair(run, key) in shared]
            scores = scores_by_camera(same, lambda run: True)
            gains = relative_gains(scores, generic)
            points.append(CurvePoint(_short(value), same, scores, gains, value == dict(main).get(key)))
        found[words] = sorted(points, key=lambda one: (one.number is None, one.number or 0.0, one.value))
    return found


def _alone(runs: Sequence[CameraRun], key: str, main: Mapping[str, str]) -> dict[str, list[CameraRun]]:
    """Return specialised runs by their value of a setting, everything else as in the main comparison."""
    belongs = {key}
    if key == "backend.inference._target_":
        belongs |= {f"backend.inference.{name}" for name in ("frames", "border", "margin", "least")}
    found: dict[str, list[CameraRun]] = {}
    for run in runs:
        values = dict(run.variation)
        names = values.keys() | main.keys()
        if (
            run.arm == "specialized"
            and {name for name in names if values.get(name) != main.get(name)} <= belongs
        ):
            found.setdefault(run.params.get(key, ""), []).append(run)
    return found


def _pair(run: CameraRun, key: str) -> Camera:
    """Return the camera and the seed of a run, whatever its value of a setting is."""
    return tuple(
        item for item in run.camera if item.startswith("workload.") and not item.startswith(f"{key}=")
    )


def _short(value: str) -> str:
    """Return a value as people read it: a class by its own name."""
    return value.rpartition(".")[2] if "framework_cova" in value else value


def break_even(points: Sequence[CurvePoint]) -> float | None:
    """Return where the mean gain goes through zero, on straight lines between the values; None where it doesn't."""
    known = [(one.number, one.gain.value) for one in points if one.number is not None and one.gain]
    for (x, y), (x2, y2) in itertools.pairwise(known):
        if y * y2 < 0:
            return x + (x2 - x) * y / (y - y2)
    return None


def where_it_does_not_pay(runs: Sequence[CameraRun]) -> str:
    """Return in plain words which values gain nothing on average, and which may not."""
    losing, unsure, through = [], [], []
    for words, points in pay_curves(runs).items():
        gains = [(one.value, one.gain) for one in points if one.gain and not one.usual]
        losing += [f"{words} {value} ({100 * gain.value:+.0f} %)" for value, gain in gains if gain.value <= 0]
        open_ones = [value for value, gain in gains if gain.value > 0 and (gain.low is None or gain.low <= 0)]
        unsure += [f"{words} {', '.join(open_ones)}"] if open_ones else []
        if (zero := break_even(points)) is not None:
            through.append(f"{words} {zero:.2g}")
    text = f" On average it does not pay with {'; '.join(losing)}." if losing else ""
    text += f" The gain is used up at {' and at '.join(through)}." if through else ""
    return text + (f" It may not pay (interval reaches 0): {'; '.join(unsure)}." if unsure else "")
