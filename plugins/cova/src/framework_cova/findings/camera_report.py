"""The report of a camera study: gains, curves, pictures with boxes, where motion was, windows of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framework.contracts import Figure, ReportScope, ReportSection, TableBlock
from framework_cova.findings.arm_tables import ARM_WORDS, tables
from framework_cova.findings.camera_runs import (
    CameraRun,
    camera_runs,
    over_seeds,
    usual,
)
from framework_cova.findings.frame_pictures import frame_pictures
from framework_cova.findings.pay_curves import break_even, pay_curves


def sections(scope: ReportScope) -> list[ReportSection]:
    """Return the section; none for a study without cameras."""
    blocks: list[Figure | TableBlock | str] = list(tables(scope))
    if not blocks:
        return []
    runs = camera_runs(scope.store, scope.run_ids, "camera_student")
    if runs:
        blocks += [*_gains(runs), *_curves(runs)]
        own = [run for run in runs if run.arm == "specialized" and run.variation == usual(runs)] or runs
        blocks += [*frame_pictures(scope, own[0]), *_motion(scope, own[0])]
    blocks += _windows(scope, camera_runs(scope.store, scope.run_ids, "camera_drift"))
    return [ReportSection("Cameras with a student of their own", blocks, order=30)]


def _gains(runs: Sequence[CameraRun]) -> list[Figure]:
    """Return mAP of each arm by scene, with the range over seeds."""
    main = usual(runs)
    traces: list[dict[str, Any]] = []
    for arm, words in ARM_WORDS.items():
        scenes: dict[str, list[float]] = {}
        for run in runs:
            if run.variation == main and run.arm == arm and "detection_map" in run.metrics:
                scenes.setdefault(run.params.get("workload.capture.scene", "–"), []).append(
                    run.metrics["detection_map"]
                )
        if scenes:
            found = [over_seeds(values) for _, values in sorted(scenes.items())]
            traces.append(
                {
                    "type": "bar",
                    "name": words,
                    "x": [f"scene {scene}" for scene in sorted(scenes)],
                    "y": [one.value for one in found],
                    "error_y": {
                        "type": "data",
                        "array": [(one.high or one.value) - one.value for one in found],
                    },
                }
            )
    layout = {
        "barmode": "group",
        "yaxis": {"title": {"text": "mAP@[.5:.95] on later frames"}, "rangemode": "tozero"},
    }
    spec = {"data": traces, "layout": layout}
    band = "Lines: 95 % interval of the mean."
    caption = "Bars: mean over seeds. All but the teacher cost the same a frame."
    if not traces:
        return []
    return [Figure("mAP by camera", spec, caption, metrics=("detection_map",), band=band)]


_AXES = (
    ("labels", "Gain against frames annotated", "log", "frames that the teacher labels"),
    ("label noise", "Gain against label noise", "linear", "noise of the teacher (backend.annotate.noise)"),
    ("steps", "Gain against training steps", "log", "steps"),
)


def _curves(runs: Sequence[CameraRun]) -> list[Figure]:
    """Return gain against labels, label noise and steps, with the value from which on it pays."""
    found = pay_curves(runs)
    figures = []
    for words, title, scale, axis in _AXES:
        points = [
            (one.number, one.gain) for one in found.get(words, ()) if one.number is not None and one.gain
        ]
        if len(points) < 2:
            continue
        line = {
            "type": "scatter",
            "mode": "lines+markers",
            "x": [x for x, _ in points],
            "y": [100 * one.value for _, one in points],
            "error_y": {
                "type": "data",
                "symmetric": False,
                "array": [
                    100 * ((one.value if one.high is None else one.high) - one.value) for _, one in points
                ],
                "arrayminus": [
                    100 * (one.value - (one.value if one.low is None else one.low)) for _, one in points
                ],
            },
        }
        layout: dict[str, Any] = {
            "xaxis": {"type": scale, "title": {"text": axis}},
            "yaxis": {"title": {"text": "mAP over the generic student's, %"}, "zeroline": True},
        }
        caption = f"Mean over {len(found[words][0].gains)} cameras."
        zero = break_even(found[words])
        if zero is None:
            caption += " Below 0 it does not pay."
        else:
            caption += f" At {words} {zero:.2g} (dashed) the gain is used up: below 0 it does not pay."
            end = {"x0": zero, "x1": zero, "y0": 0, "y1": 1, "yref": "paper"}
            layout["shapes"] = [{"type": "line", **end, "line": {"dash": "dash", "color": "#888"}}]
        spec = {"data": [line], "layout": layout}
        band = "Lines: 95 % interval over the cameras."
        figures.append(Figure(title, spec, caption, metrics=("detection_map",), band=band))
    return figures


def _motion(scope: ReportScope, run: CameraRun) -> list[Figure]:
    """Return the map of motion."""
    cells = scope.store.query("SELECT * FROM camera_motion WHERE run_id = ?", [run.run_id]).to_pylist()
    if not cells:
        return []
    rows, columns = max(cell["row"] for cell in cells) + 1, max(cell["col"] for cell in cells) + 1
    share = [[0.0] * columns for _ in range(rows)]
    for cell in cells:
        share[cell["row"]][cell["col"]] = 100 * cell["share"]
    trace = {
        "type": "heatmap",
        "z": share,
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": "% of frames"}},
    }
    layout = {
        "yaxis": {"autorange": "reversed", "scaleanchor": "x", "title": {"text": "row of cells"}},
        "xaxis": {"constrain": "domain", "title": {"text": "column of cells"}},
    }
    caption = f"Share of frames in which a region of motion covered the cell; run {run.run_id}."
    sql = f"FROM camera_motion WHERE run_id = '{run.run_id}'"
    return [Figure("Where motion was", {"data": [trace], "layout": layout}, caption, sql=sql)]


def _windows(scope: ReportScope, runs: Sequence[CameraRun]) -> list[Figure]:
    """Return mAP over time of each policy, for the first camera and change that all were run on."""
    if not runs:
        return []
    first = runs[0].params
    same = [
        run
        for run in runs
        if all(
            run.params.get(f"workload.capture.{key}") == first.get(f"workload.capture.{key}")
            for key in ("scene", "drift")
        )
    ]
    traces = []
    for run in same:
        rows = scope.store.query(
            "SELECT * FROM camera_windows WHERE run_id = ? ORDER BY first_frame", [run.run_id]
        ).to_pylist()
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": run.params.get("backend.policy", ""),
                "x": [row["last_frame"] for row in rows],
                "y": [row["map"] for row in rows],
                "marker": {"symbol": ["star" if row["retrained"] else "circle" for row in rows], "size": 9},
            }
        )
    layout = {
        "xaxis": {"title": {"text": "frame"}},
        "yaxis": {"title": {"text": "mAP of the window"}, "rangemode": "tozero"},
    }
    caption = (
        f"Scene {first.get('workload.capture.scene', '')}, change '{first.get('workload.capture.drift', '')}' at"
        f" frame {first.get('workload.capture.drift_at', '')}. A star: trained again after this window."
    )
    runs_shown = ", ".join(f"'{run.run_id}'" for run in same)
    sql = f"FROM camera_windows WHERE run_id IN ({runs_shown})"
    return [
        Figure("A scene that changes, window by window", {"data": traces, "layout": layout}, caption, sql=sql)
    ]
