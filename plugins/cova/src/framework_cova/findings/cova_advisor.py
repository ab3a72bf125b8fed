"""Advisor `cova`: the cheapest way of labelling and training that is as good as the best, within a tolerance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from framework.contracts import Advice, AdvisorScope
from framework.errors import ConfigError
from framework_cova.findings.camera_runs import (
    Camera,
    CameraRun,
    camera_runs,
    mean_score,
    place,
    relative_gains,
    scores_by_camera,
    shown_interval,
)

# what a user would set again, as it is written on the command line, and where it stands in the stored parameters
_SETTINGS = {
    "backend.labels": "backend.labels",
    "backend.steps": "backend.steps",
    "backend/filter": "backend.filter.method",
    "backend.choose": "backend.choose",
}
_COSTS = ("teacher_calls", "student_ms_per_frame", "student_j_per_frame")


@dataclass(frozen=True)
class Option:
    """One way of specialising, over the cameras and seeds that it was run on.

    Attributes:
        map: mean mAP; `costs`: means of teacher calls, ms a frame, joules a frame.
    """

    settings: tuple[tuple[str, str], ...]
    map: float
    costs: tuple[float, ...]
    runs: tuple[CameraRun, ...]

    @property
    def scores(self) -> dict[Camera, float]:
        """The mAP of each camera and seed."""
        return scores_by_camera(self.runs, lambda run: True)


@dataclass
class CovaAdvisor:
    """Leans on specialised runs of cameras that every compared setting was run on.

    Attributes:
        within: relative loss of mAP against the best that is accepted.
    """

    within: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.within < 1:
            raise ConfigError(
                f"configuration key 'advisor.cova.within': must lie in [0, 1), got {self.within}"
            )

    def advise(self, scope: AdvisorScope) -> Iterable[Advice]:
        """Yield one advice, the front of options beside it; nothing where fewer than two settings can be compared."""
        options = comparable(camera_runs(scope.store, scope.run_ids, "camera_student"))
        if len(options) < 2:
            return
        best = max(options, key=lambda one: one.map)
        good = [one for one in options if one.map >= (1 - self.within) * best.map]
        chosen = min(
            good, key=lambda one: (one.costs[0], float(dict(one.settings)["backend.steps"]), -one.map)
        )
        cameras = {place(run.camera) for run in chosen.runs}
        found = mean_score(chosen.scores)
        off = shown_interval(relative_gains(chosen.scores, best.scores), percent=True)
        saved = 1 - chosen.costs[0] / best.costs[0] if best.costs[0] else 0.0
        yield Advice(
            advisor="cova",
            subject=f"{len(chosen.runs)} runs of {len(cameras)} cameras",
            recommendation={"backend.arm": "specialized", **dict(chosen.settings)},
            metric="detection_map",
            predicted=found.value,
            low=found.low,
            high=found.high,
            reason=f"Fewest teacher calls ({chosen.costs[0]:.0f}) of {len(good)} settings within "
            f"{100 * self.within:g} % of the best mAP ({best.map:.3f}), {100 * saved:.0f} % below that one's."
            f" Camera by camera its mAP differs from the best's by {off} %. Compared: {len(options)}.",
            run_ids=[run.run_id for run in chosen.runs],
            facts={"front": [_described(one) for one in front(options)]},
        )


def comparable(runs: Iterable[CameraRun]) -> list[Option]:
    """Return the options that were run on the same cameras and seeds as most others, all else equal."""
    groups: dict[tuple[tuple[str, str], ...], dict[tuple[tuple[str, str], ...], list[CameraRun]]] = {}
    for run in runs:
        if run.arm != "specialized" or "detection_map" not in run.metrics:
            continue
        own = tuple((key, run.params.get(name, "")) for key, name in _SETTINGS.items())
        rest = tuple(one for one in run.variation if one[0] not in _SETTINGS.values())
        groups.setdefault(rest, {}).setdefault(own, []).append(run)
    if not groups:
        return []
    options = max(groups.values(), key=len)
    cameras = {own: {run.camera for run in members} for own, members in options.items()}
    shared = set.intersection(*cameras.values())
    found = []
    for own, members in options.items():
        same = [run for run in members if run.camera in shared]
        if same:
            costs = tuple(fmean(run.metrics.get(name, 0.0) for run in same) for name in _COSTS)
            found.append(Option(own, fmean(run.metrics["detection_map"] for run in same), costs, tuple(same)))
    return found


def front(options: list[Option]) -> list[Option]:
    """Return the options that no other beats in mAP, teacher calls, ms and joules a frame, best mAP first.

    Milliseconds are measured on a machine that does other things as well; options of the same arithmetic, thus of the
    same joules, take the same time, and their mean counts.
    """
    by_work: dict[float, list[float]] = {}
    for one in options:
        by_work.setdefault(round(one.costs[2], 9), []).append(one.costs[1])

    def as_costs(one: Option) -> tuple[float, ...]:
        calls, _, joules = one.costs
        return -one.map, calls, fmean(by_work[round(joules, 9)]), joules

    kept = []
    for one in options:
        mine = as_costs(one)
        beaten = any(
            all(a <= b for a, b in zip(as_costs(other), mine, strict=True)) and as_costs(other) != mine
            for other in options
        )
        if not beaten:
            kept.append(one)
    return sorted(kept, key=lambda one: -one.map)


def _described(one: Option) -> dict[str, object]:
    return {**dict(one.settings), "detection_map": one.map, **dict(zip(_COSTS, one.costs, strict=True))}
