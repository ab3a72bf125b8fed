"""What the claims of the study are computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, log

from framework.contracts import ReportScope
from framework.errors import NotEvaluatedError
from framework.quantity import Quantity
from framework_cova.findings.arm_tables import sharing_gains, watching_gains
from framework_cova.findings.camera_runs import (
    Camera,
    camera_runs,
    over_cameras,
    place,
    relative_gains,
    scores_by_camera,
    usual,
)
from framework_cova.findings.pay_curves import pay_curves

_PARKED = "workload.capture.parked"


def computations(scope: ReportScope) -> Mapping[str, Callable[..., Quantity | float]]:
    """Return the computations over the runs of a scope, by name."""

    def map_gain(arm: str, over: str, parked: int | None = None) -> Quantity:
        """Mean relative gain in mAP of an arm over another, paired by camera and seed, in percent.

        `parked`: with so many parked objects, all else as in the main comparison.
        """
        runs = camera_runs(scope.store, scope.run_ids, "camera_student")
        wanted = dict(usual(runs) or ()) | ({} if parked is None else {_PARKED: str(parked)})
        members = [run for run in runs if dict(run.variation) == wanted]
        new = scores_by_camera(members, lambda run: run.arm == arm)
        base = scores_by_camera(members, lambda run: run.arm == over)
        return _percent(relative_gains(new, base), f"arms {arm} and {over}")

    def map_points(arm: str, over: str) -> Quantity:
        """The same as a difference in points of mAP (0–100)."""
        runs = camera_runs(scope.store, scope.run_ids, "camera_student")
        main = usual(runs)
        members = [run for run in runs if run.variation == main]
        new = scores_by_camera(members, lambda run: run.arm == arm)
        base = scores_by_camera(members, lambda run: run.arm == over)
        return _percent({one: new[one] - base[one] for one in new if one in base}, f"arms {arm} and {over}")

    def sharing_gain() -> Quantity:
        """Relative gain in mAP of cameras that share a student over those with one each, in percent."""
        runs = camera_runs(scope.store, scope.run_ids, "camera_fleet")
        return _percent(sharing_gains(runs), "backend.sharing sites and none")

    def watching_gain() -> Quantity:
        """Relative gain in mAP of training again when the agreement falls over training once, in percent."""
        runs = camera_runs(scope.store, scope.run_ids, "camera_drift")
        return _percent(watching_gains(runs), "backend.policy on_drift and once")

    def packing_gflop_ratio() -> Quantity:
        """Arithmetic of whole frames over that of packed regions: the geometric mean over cameras."""
        runs = camera_runs(scope.store, scope.run_ids, "camera_student")
        gflop = {
            point.value: {
                place(run.camera): run.metrics["student_gflop_per_frame"]
                for run in point.runs
                if "student_gflop_per_frame" in run.metrics
            }
            for point in pay_curves(runs).get("looks at", [])
        }
        whole, packed = gflop.get("WholeFrames", {}), gflop.get("PackedRegions", {})
        ratios = {
            camera: log(whole[camera] / value)
            for camera, value in packed.items()
            if value > 0 and camera in whole
        }
        found = _mean(ratios, "backend/inference=packed and whole")
        low, high = (None if end is None else exp(end) for end in (found.low, found.high))
        return Quantity(exp(found.value), low, high)

    return {
        "map_gain": map_gain,
        "map_points": map_points,
        "sharing_gain": sharing_gain,
        "watching_gain": watching_gain,
        "packing_gflop_ratio": packing_gflop_ratio,
    }


def _percent(values: Mapping[Camera, float], what: str) -> Quantity:
    return _mean({camera: 100 * value for camera, value in values.items()}, what)


def _mean(values: Mapping[Camera, float], what: str) -> Quantity:
    if not values:
        raise NotEvaluatedError(f"no camera was run with {what}")
    return over_cameras(values)
