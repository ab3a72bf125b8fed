"""Arms, curves, policies and ways of sharing side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from framework.contracts import ReportScope, TableBlock
from framework_cova.findings.camera_runs import (
    Camera,
    CameraRun,
    camera_runs,
    place,
    relative_gains,
    scores_by_camera,
    shown_interval,
    usual,
)
from framework_cova.findings.pay_curves import pay_curves, where_it_does_not_pay

ARM_WORDS = {
    "generic": "generic student",
    "generic_more": "same extra steps, generic data",
    "specialized": "specialised",
    "truth": "trained on truth",
    "random": "random frames",
    "teacher": "teacher",
}


def tables(scope: ReportScope) -> Iterable[TableBlock]:
    """Yield the tables of what was run; nothing for studies of other domains."""
    runs = camera_runs(scope.store, scope.run_ids, "camera_student")
    if runs:
        yield arm_table(runs)
        curves = curve_table(runs)
        if curves.rows:
            yield curves
    for backend, key, title in (
        ("camera_drift", "backend.policy", "A scene that changes"),
        ("camera_fleet", "backend.sharing", "A fleet of cameras"),
    ):
        found = camera_runs(scope.store, scope.run_ids, backend)
        if found:
            yield _policies(found, key, title)


def arm_table(runs: Sequence[CameraRun]) -> TableBlock:
    """Return the main comparison: each arm over cameras and seeds, paired with the generic student."""
    main = usual(runs)
    members = [run for run in runs if run.variation == main]
    generic = scores_by_camera(members, lambda run: run.arm == "generic")
    more = scores_by_camera(members, lambda run: run.arm == "generic_more")
    rows = []
    for arm, words in ARM_WORDS.items():
        own = scores_by_camera(members, lambda run: run.arm == arm)  # noqa: B023
        if not own:
            continue
        of_arm = [run for run in members if run.arm == arm]
        rows.append(
            (
                words,
                len(own),
                shown_interval(own),
                "–" if arm == "generic" else shown_interval(relative_gains(own, generic), percent=True),
                "–"
                if arm in ("generic", "generic_more")
                else shown_interval(relative_gains(own, more), percent=True),
                *(
                    _mean(of_arm, name)
                    for name in ("teacher_calls", "student_gflop_per_frame", "student_ms_per_frame")
                ),
                _mean(of_arm, "generic_scenes_map"),
            )
        )
    columns: tuple[str, ...] = (
        "arm",
        "runs",
        "mAP",
        "gain over generic, %",
        "gain over same steps, %",
        "teacher calls",
    )
    columns += ("GFLOP a frame", "ms a frame", "mAP on other scenes")
    caption = (
        "Means over cameras; in brackets the 95 % interval, in which a camera counts once whatever its number"
    )
    caption += " of seeds. Gains are relative, paired by camera and seed. "
    return TableBlock("Specialisation", columns, rows, caption + verdict(runs))


def verdict(runs: Sequence[CameraRun]) -> str:
    """Return what the study says, in plain words, and where specialisation doesn't pay."""
    main = usual(runs)
    members = [run for run in runs if run.variation == main]
    own = scores_by_camera(members, lambda run: run.arm == "specialized")
    gains = relative_gains(own, scores_by_camera(members, lambda run: run.arm == "generic"))
    if not gains:
        return "No camera was run with both the generic and the specialised student."
    cameras = {place(camera) for camera in gains}
    losses = sum(gain <= 0 for gain in gains.values())
    text = f"Specialised over generic: {shown_interval(gains, percent=True)} %"
    text += f" on {len(cameras)} cameras, {len(gains)} pairs, {losses} of them no better."
    for point in pay_curves(runs).get("parked objects", ()):
        if (
            point.number == 0 and not point.usual
        ):  # what never moves is learnt by heart: told apart from what passes
            text += f" Where nothing is parked: {shown_interval(point.gains, percent=True)} %."
    return text + where_it_does_not_pay(runs)


def curve_table(runs: Sequence[CameraRun]) -> TableBlock:
    """Return what one setting at a time changes, on the cameras that were run with each of its values."""
    metrics = (
        "teacher_calls",
        "label_missed_share",
        "motion_recall",
        "student_gflop_per_frame",
        "student_ms_per_frame",
    )
    rows = [
        (
            words,
            point.value,
            len(point.runs),
            shown_interval(point.scores),
            shown_interval(point.gains, percent=True),
            *(_mean(point.runs, name) for name in metrics),
        )
        for words, points in pay_curves(runs).items()
        for point in points
    ]
    columns: tuple[str, ...] = ("setting", "value", "runs", "mAP", "gain over generic, %", "teacher calls")
    columns += ("labels missed", "motion recall", "GFLOP a frame", "ms a frame")
    caption = "Specialised student; everything else as in the main comparison, on the same cameras for each value of"
    caption += " a setting. The generic student looks at frames in the same way."
    return TableBlock("One setting at a time", columns, rows, caption)


def _policies(runs: Sequence[CameraRun], key: str, title: str) -> TableBlock:
    groups: dict[tuple[str, str], list[CameraRun]] = {}
    for run in runs:
        what = run.params.get("workload.capture.drift", "") if key == "backend.policy" else ""
        groups.setdefault((what, run.params.get(key, "")), []).append(run)
    names = (
        ("retrainings", "agreement_mean")
        if key == "backend.policy"
        else ("fleet_groups", "fleet_groups_rand")
    )
    rows = [
        (
            *((what,) if key == "backend.policy" else ()),
            value,
            len(members),
            shown_interval(scores_by_camera(members, lambda run: True)),
            *(_mean(members, name) for name in ("teacher_calls", *names)),
        )
        for (what, value), members in sorted(groups.items())
    ]
    first = ("change", "policy") if key == "backend.policy" else ("sharing",)
    caption = drift_verdict(runs) if key == "backend.policy" else fleet_verdict(runs)
    return TableBlock(title, (*first, "runs", "mAP", "teacher calls", *names), rows, caption)


def sharing_gains(runs: Sequence[CameraRun], sharing: str = "sites") -> dict[Camera, float]:
    """Return the relative gain of sharing over a student of its own for each camera, by fleet and seed."""
    by = _by_choice(runs, "backend.sharing")
    return relative_gains(by.get(sharing, {}), by.get("none", {}))


def watching_gains(runs: Sequence[CameraRun], policy: str = "on_drift") -> dict[Camera, float]:
    """Return the relative gain of training again over training once, by camera, change and seed."""
    by = _by_choice(runs, "backend.policy")
    return relative_gains(by.get(policy, {}), by.get("once", {}))


def _by_choice(runs: Sequence[CameraRun], key: str) -> dict[str, dict[Camera, float]]:
    """Return mAP by the value of a setting, and by all other settings."""
    found: dict[str, dict[Camera, float]] = {}
    for run in runs:
        if "detection_map" in run.metrics:
            rest = tuple(item for item in run.camera if not item.startswith(f"{key}="))
            found.setdefault(run.params.get(key, ""), {})[rest] = run.metrics["detection_map"]
    return found


def fleet_verdict(runs: Sequence[CameraRun]) -> str:
    """Return what sharing gains, beside what is published."""
    gains = sharing_gains(runs)
    if not gains:
        return ""
    return (
        f"Cameras that look alike share a student: {shown_interval(gains, percent=True)} % relative mAP over one"
        " each, with the same labels and the same training in all. Published: +6.7 to 18.1 %."
    )


def drift_verdict(runs: Sequence[CameraRun]) -> str:
    """Return what training again gains, and what it costs."""
    gains = watching_gains(runs)
    if not gains:
        return ""
    text = f"Trained again when the agreement falls, over once: {shown_interval(gains, percent=True)} % relative mAP"
    calls = {
        policy: _mean([run for run in runs if run.params.get("backend.policy") == policy], "teacher_calls")
        for policy in ("on_drift", "periodic")
    }
    if calls["on_drift"] is None or not calls["periodic"]:
        return text + "."
    always = watching_gains(runs, "periodic")
    text += f"; after every window: {shown_interval(always, percent=True)} %, and the former takes"
    return text + f" {100 * calls['on_drift'] / calls['periodic']:.0f} % of the latter's teacher calls."


def _mean(runs: Sequence[CameraRun], name: str) -> float | None:
    values = [run.metrics[name] for run in runs if name in run.metrics]
    return fmean(values) if values else None
