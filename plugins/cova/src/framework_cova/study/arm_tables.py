"""Arms, curves, policies and ways of sharing side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from framework.contracts import ReportScope, TableBlock
from framework_cova.study.camera_runs import (
    CameraRun,
    camera_runs,
    relative_gains,
    scores_by_camera,
    shown_interval,
    usual,
)

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
                shown_interval(list(own.values())),
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
    caption = "Means over cameras and seeds, 95 % interval in brackets; gains are relative, paired by both. "
    return TableBlock("Specialisation", columns, rows, caption + verdict(runs))


def verdict(runs: Sequence[CameraRun]) -> str:
    """Return what the study says, in plain words, and where specialisation doesn't pay."""
    main = usual(runs)
    members = [run for run in runs if run.variation == main]
    own = scores_by_camera(members, lambda run: run.arm == "specialized")
    gains = relative_gains(own, scores_by_camera(members, lambda run: run.arm == "generic"))
    if not gains:
        return "No camera was run with both the generic and the specialised student."
    losses = sum(gain <= 0 for gain in gains)
    text = f"Specialised over generic: {shown_interval(gains, percent=True)} %"
    text += f" on {len(gains)} pairs, {losses} of them no better."
    points = curve_points(runs)
    if bad := [f"{what} ({100 * gain:+.0f} %)" for what, gain, _ in points if gain <= 0]:
        text += " On average it does not pay with " + ", ".join(bad) + "."
    if unsure := [f"{what} ({100 * gain:+.0f} %)" for what, gain, low in points if low <= 0 < gain]:
        text += " Too few cameras to be sure of " + ", ".join(unsure) + "."
    return text


_CURVES = (
    ("backend.labels", "labels"),
    ("backend.annotate.noise", "label noise"),
    ("backend.filter.method", "filter"),
    ("backend.choose", "frames chosen by"),
    ("backend.steps", "steps"),
    ("backend.inference._target_", "looks at"),
    ("backend.student.freeze", "frozen body"),
    ("workload.skip", "frames skipped"),
)


def curves(runs: Sequence[CameraRun]) -> dict[str, dict[str, list[CameraRun]]]:
    """Return specialised runs by what alone differs from the main comparison, and its value."""
    main = usual(runs)
    if main is None:
        return {}
    usual_values = dict(main)
    found: dict[str, dict[str, list[CameraRun]]] = {}
    own = [run for run in runs if run.arm == "specialized"]
    for key, words in _CURVES:
        for run in own:
            values = dict(run.variation)
            different = {
                name
                for name in values.keys() | usual_values.keys()
                if values.get(name) != usual_values.get(name)
            }
            if different <= _belongs(key):
                found.setdefault(words, {}).setdefault(run.params.get(key, ""), []).append(run)
    return {words: values for words, values in found.items() if len(values) > 1}


def _belongs(key: str) -> set[str]:
    if key == "backend.inference._target_":
        return {key, *(f"backend.inference.{name}" for name in ("frames", "border", "margin", "least"))}
    return {key}


def curve_points(runs: Sequence[CameraRun]) -> list[tuple[str, float, float]]:
    """Return (what was set, mean gain over generic, low end of its interval) of each point of each curve."""
    from framework_cova.study.camera_runs import interval

    generic = scores_by_camera(runs, lambda run: run.arm == "generic")
    found = []
    for words, values in curves(runs).items():
        for value, members in values.items():
            gains = relative_gains(scores_by_camera(members, lambda run: True), generic)
            if gains:
                middle = interval(gains)
                low = middle.low if middle.low is not None else middle.value
                found.append((f"{words} {short(value)}", middle.value, low))
    return found


def short(value: str) -> str:
    """Return a value as people read it: a class by its own name."""
    return value.rpartition(".")[2] if "framework_cova" in value else value


def curve_table(runs: Sequence[CameraRun]) -> TableBlock:
    """Return what one setting at a time changes, on the cameras that were run with it."""
    generic = scores_by_camera(runs, lambda run: run.arm == "generic")
    rows = []
    for words, values in curves(runs).items():
        for value, members in sorted(values.items(), key=lambda one: _number(one[0])):
            own = scores_by_camera(members, lambda run: True)
            rows.append(
                (
                    words,
                    short(value),
                    len(own),
                    shown_interval(list(own.values())),
                    shown_interval(relative_gains(own, generic), percent=True),
                    *(
                        _mean(members, name)
                        for name in ("teacher_calls", "label_missed_share", "motion_recall")
                    ),
                    *(_mean(members, name) for name in ("student_gflop_per_frame", "student_ms_per_frame")),
                )
            )
    columns: tuple[str, ...] = (
        "setting",
        "value",
        "runs",
        "mAP",
        "gain over generic, %",
        "teacher calls",
        "labels missed",
    )
    columns += ("motion recall", "GFLOP a frame", "ms a frame")
    return TableBlock(
        "One setting at a time",
        columns,
        rows,
        "Specialised student; everything else as in the main comparison.",
    )


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
            shown_interval(
                [run.metrics["detection_map"] for run in members if "detection_map" in run.metrics]
            ),
            *(_mean(members, name) for name in ("teacher_calls", *names)),
        )
        for (what, value), members in sorted(groups.items())
    ]
    first = ("change", "policy") if key == "backend.policy" else ("sharing",)
    caption = "" if key == "backend.policy" else fleet_verdict(runs)
    return TableBlock(title, (*first, "runs", "mAP", "teacher calls", *names), rows, caption)


def sharing_gains(runs: Sequence[CameraRun], sharing: str = "sites") -> list[float]:
    """Return the relative gain of sharing over a student of its own for each camera, by seed."""
    by: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for run in runs:
        rest = tuple((name, value) for name, value in sorted(run.params.items()) if name != "backend.sharing")
        if "detection_map" in run.metrics:
            by.setdefault(rest, {})[run.params.get("backend.sharing", "")] = run.metrics["detection_map"]
    return [
        one[sharing] / one["none"] - 1 for one in by.values() if sharing in one and one.get("none", 0) > 0
    ]


def fleet_verdict(runs: Sequence[CameraRun]) -> str:
    """Return what sharing gains, beside what is published."""
    gains = sharing_gains(runs)
    if not gains:
        return ""
    return (
        f"Cameras that look alike share a student: {shown_interval(gains, percent=True)} % relative mAP over one"
        " each, with the same labels and the same training in all. Published: +6.7 to 18.1 %."
    )


def _mean(runs: Sequence[CameraRun], name: str) -> float | None:
    values = [run.metrics[name] for run in runs if name in run.metrics]
    return fmean(values) if values else None


def _number(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text
