"""What the claims of the study are computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from framework.contracts import ReportScope
from framework.errors import NotEvaluatedError
from framework.quantity import Quantity
from framework_cova.study.arm_tables import sharing_gains
from framework_cova.study.camera_runs import camera_runs, interval, relative_gains, scores_by_camera, usual


def computations(scope: ReportScope) -> Mapping[str, Callable[..., Quantity | float]]:
    """Return the computations over the runs of a scope, by name."""

    def map_gain(arm: str, over: str) -> Quantity:
        """Mean relative gain in mAP of an arm over another, paired by camera and seed, in percent."""
        runs = camera_runs(scope.store, scope.run_ids, "camera_student")
        main = usual(runs)
        members = [run for run in runs if run.variation == main]
        new, base = (scores_by_camera(members, lambda run: run.arm == name) for name in (arm, over))  # noqa: B023
        return _mean([100 * one for one in relative_gains(new, base)], f"arms {arm} and {over}")

    def map_points(arm: str, over: str) -> Quantity:
        """The same as a difference in points of mAP (0–100)."""
        runs = camera_runs(scope.store, scope.run_ids, "camera_student")
        main = usual(runs)
        members = [run for run in runs if run.variation == main]
        new = scores_by_camera(members, lambda run: run.arm == arm)
        base = scores_by_camera(members, lambda run: run.arm == over)
        return _mean([100 * (new[one] - base[one]) for one in new if one in base], f"arms {arm} and {over}")

    def sharing_gain() -> Quantity:
        """Relative gain in mAP of cameras that share a student over those with one each, in percent."""
        runs = camera_runs(scope.store, scope.run_ids, "camera_fleet")
        return _mean([100 * one for one in sharing_gains(runs)], "backend.sharing sites and none")

    def packing_gflop_ratio() -> Quantity:
        """Arithmetic of whole frames over that of packed regions."""
        runs = camera_runs(scope.store, scope.run_ids, "camera_student")
        packed = {
            run.params.get("workload.capture.scene"): run
            for run in runs
            if _looks(run.params) == "PackedRegions"
        }
        ratios = [
            run.metrics["student_gflop_per_frame"] / packed[scene].metrics["student_gflop_per_frame"]
            for run in runs
            if (scene := run.params.get("workload.capture.scene")) in packed
            and _looks(run.params) == "WholeFrames"
            and run.arm == "specialized"
            and packed[scene].metrics.get("student_gflop_per_frame", 0) > 0
        ]
        return _mean(ratios, "backend/inference=packed and whole")

    return {
        "map_gain": map_gain,
        "map_points": map_points,
        "sharing_gain": sharing_gain,
        "packing_gflop_ratio": packing_gflop_ratio,
    }


def _looks(params: Mapping[str, str]) -> str:
    return params.get("backend.inference._target_", "").rpartition(".")[2]


def _mean(values: list[float], what: str) -> Quantity:
    if not values:
        raise NotEvaluatedError(f"no camera was run with {what}")
    return interval(values)
