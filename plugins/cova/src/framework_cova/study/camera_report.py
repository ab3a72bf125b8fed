"""The report of a camera study: gains, curves, pictures with boxes, where motion was, windows of time."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from framework.contracts import Figure, ReportScope, ReportSection, TableBlock
from framework_cova.boxes import CLASSES
from framework_cova.study.arm_tables import ARM_WORDS, curves, tables
from framework_cova.study.camera_runs import (
    CameraRun,
    camera_runs,
    interval,
    relative_gains,
    scores_by_camera,
    usual,
)

COLOURS = (
    "#E69F00",
    "#56B4E9",
    "#D55E00",
    "#009E73",
    "#0072B2",
    "#CC79A7",
)  # of sources, as lines on a picture
_DASHES = {"truth": "dot", "teacher": "dash"}


def sections(scope: ReportScope) -> list[ReportSection]:
    """Return the section; none for a study without cameras."""
    blocks: list[Figure | TableBlock | str] = list(tables(scope))
    if not blocks:
        return []
    runs = camera_runs(scope.store, scope.run_ids, "camera_student")
    if runs:
        blocks += [*_gains(runs), *_curves(runs)]
        own = [run for run in runs if run.arm == "specialized" and run.variation == usual(runs)] or runs
        blocks += [*_pictures(scope, own[0]), *_motion(scope, own[0])]
    blocks += _windows(scope, camera_runs(scope.store, scope.run_ids, "camera_drift"))
    return [ReportSection("Cameras with a student of their own", blocks, order=30)]


def _gains(runs: Sequence[CameraRun]) -> list[Figure]:
    """Return mAP of each arm by scene, with the range over seeds."""
    main = usual(runs)
    traces: list[dict[str, Any]] = []
    for number, (arm, words) in enumerate(ARM_WORDS.items()):
        scenes: dict[str, list[float]] = {}
        for run in runs:
            if run.variation == main and run.arm == arm and "detection_map" in run.metrics:
                scenes.setdefault(run.params.get("workload.capture.scene", "–"), []).append(
                    run.metrics["detection_map"]
                )
        if scenes:
            found = [interval(values) for _, values in sorted(scenes.items())]
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
                    "marker": {"color": COLOURS[number % len(COLOURS)]},
                }
            )
    layout = {
        "barmode": "group",
        "yaxis": {"title": {"text": "mAP@[.5:.95] on later frames"}, "rangemode": "tozero"},
    }
    caption = (
        "Bars: mean over seeds; lines: 95 % interval of the mean. All but the teacher cost the same a frame."
    )
    return [Figure("mAP by camera", {"data": traces, "layout": layout}, caption)] if traces else []


def _curves(runs: Sequence[CameraRun]) -> list[Figure]:
    """Return gain against labels and against label noise."""
    generic = scores_by_camera(runs, lambda run: run.arm == "generic")
    figures = []
    for words, title, axis in (
        (
            "labels",
            "Gain against frames annotated",
            {"type": "log", "title": {"text": "frames that the teacher labels"}},
        ),
        (
            "label noise",
            "Gain against label noise",
            {"title": {"text": "noise of the teacher (backend.annotate.noise)"}},
        ),
        ("steps", "Gain against training steps", {"type": "log", "title": {"text": "steps"}}),
    ):
        points = []
        for value, members in curves(runs).get(words, {}).items():
            gains = relative_gains(scores_by_camera(members, lambda run: True), generic)
            if gains:
                points.append((float(value), interval([100 * one for one in gains])))
        if len(points) < 2:
            continue
        points.sort(key=lambda one: one[0])
        line = {
            "type": "scatter",
            "mode": "lines+markers",
            "x": [x for x, _ in points],
            "y": [one.value for _, one in points],
            "error_y": {
                "type": "data",
                "symmetric": False,
                "array": [(one.high or one.value) - one.value for _, one in points],
                "arrayminus": [
                    one.value - (one.low if one.low is not None else one.value) for _, one in points
                ],
            },
            "line": {"color": COLOURS[4]},
        }
        layout = {
            "xaxis": axis,
            "yaxis": {"title": {"text": "mAP over the generic student's, %"}, "zeroline": True},
        }
        caption = "Mean over cameras and seeds, 95 % interval. Where it reaches 0: don't specialise."
        figures.append(Figure(title, {"data": [line], "layout": layout}, caption))
    return figures


def _pictures(scope: ReportScope, run: CameraRun) -> list[Figure]:
    """Return scored frames with the boxes of each source; a click on the legend hides one."""
    shots = scope.store.query(
        "SELECT * FROM camera_pictures WHERE run_id = ? ORDER BY frame", [run.run_id]
    ).to_pylist()
    boxes = scope.store.query(
        "SELECT * FROM camera_boxes WHERE run_id = ? ORDER BY source", [run.run_id]
    ).to_pylist()
    figures = []
    for shot in shots:
        width, height = shot["width"], shot["height"]
        traces = []
        sources = sorted({box["source"] for box in boxes})
        for number, source in enumerate(sources):
            x: list[float | None] = []
            y: list[float | None] = []
            text: list[str | None] = []
            for box in boxes:
                if box["frame"] != shot["frame"] or box["source"] != source:
                    continue
                left, top, right, bottom = (box[f"{side}_px"] for side in ("left", "top", "right", "bottom"))
                name = CLASSES[box["label"]] if box["label"] < len(CLASSES) else f"class {box['label']}"
                x += [left, right, right, left, left, None]
                y += [top, top, bottom, bottom, top, None]
                text += [f"{source}: {name} {box['score']:.2f}"] * 5 + [None]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": ARM_WORDS.get(source, source),
                    "x": x or [None],
                    "y": y or [None],
                    "text": text or [None],
                    "hoverinfo": "text",
                    "showlegend": True,
                    "line": {
                        "color": COLOURS[number % len(COLOURS)],
                        "width": 2,
                        "dash": _DASHES.get(source, "solid"),
                    },
                }
            )
        picture = "data:image/jpeg;base64," + base64.b64encode(shot["jpeg"]).decode()
        layout = {
            "images": [
                {"source": picture, "xref": "x", "yref": "y", "x": 0, "y": 0, "sizex": width, "sizey": height}
                | {"sizing": "stretch", "layer": "below"}
            ],
            "xaxis": {"range": [0, width], "showgrid": False, "constrain": "domain", "title": {"text": "px"}},
            "yaxis": {"range": [height, 0], "showgrid": False, "scaleanchor": "x", "title": {"text": "px"}},
            "height": 520,
        }
        caption = (
            f"Frame {shot['frame']}, never trained on. Boxes with a score of at least 0.3; run {run.run_id}."
        )
        figures.append(
            Figure(f"Frame {shot['frame']}: who sees what", {"data": traces, "layout": layout}, caption)
        )
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
    return [Figure("Where motion was", {"data": [trace], "layout": layout}, caption)]


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
    for number, run in enumerate(same):
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
                "line": {"color": COLOURS[number % len(COLOURS)]},
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
    return [Figure("A scene that changes, window by window", {"data": traces, "layout": layout}, caption)]
