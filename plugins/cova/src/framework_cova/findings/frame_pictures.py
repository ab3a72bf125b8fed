"""Scored frames beside each other: what the teacher, the generic and the specialised student see, over the truth."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from framework.contracts import Figure, ReportScope
from framework_cova.boxes import CLASSES
from framework_cova.findings.camera_runs import CameraRun
from framework_cova.study.tables import GENERIC, STUDENT, TEACHER, TRUTH

_PANELS = {TEACHER: "teacher", GENERIC: "generic student", STUDENT: "student of this camera"}
_COLOURS = ("#F0E442", "#56B4E9", "#E69F00", "#CC79A7")  # of classes, bright enough for a night scene
_ROOM = 0.02  # between panels, share of the width


def frame_pictures(scope: ReportScope, run: CameraRun) -> list[Figure]:
    """Return a figure a frame; a click on the legend hides a class or the truth."""
    shots, boxes = (
        scope.store.query(f"SELECT * FROM {table} WHERE run_id = ? ORDER BY frame", [run.run_id]).to_pylist()
        for table in ("camera_pictures", "camera_boxes")
    )
    figures = []
    sql = f"FROM camera_boxes WHERE run_id = '{run.run_id}'"
    for shot in shots:
        here = [box for box in boxes if box["frame"] == shot["frame"]]
        caption = f"Frame {shot['frame']} of scene {run.params.get('workload.capture.scene', '–')}, never trained on."
        caption += f" Boxes with a score of at least 0.3; dotted: the truth. Run {run.run_id}."
        figures.append(Figure(f"Frame {shot['frame']}: who sees what", _panels(shot, here), caption, sql=sql))
    return figures


def _panels(shot: Mapping[str, Any], boxes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    width, height = shot["width"], shot["height"]
    picture = "data:image/jpeg;base64," + base64.b64encode(shot["jpeg"]).decode()
    wide = (1 - _ROOM * (len(_PANELS) - 1)) / len(_PANELS)
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"height": 330, "images": []}
    legend: set[str] = set()
    for number, (source, words) in enumerate(_PANELS.items()):
        suffix = "" if number == 0 else str(number + 1)
        begin = number * (wide + _ROOM)
        bare = {"showgrid": False, "zeroline": False, "showticklabels": False}
        layout[f"xaxis{suffix}"] = {**bare, "range": [0, width], "domain": [begin, begin + wide]}
        layout[f"xaxis{suffix}"]["title"] = {"text": words}
        layout[f"yaxis{suffix}"] = {**bare, "range": [height, 0], "scaleanchor": f"x{suffix}"}
        layout[f"yaxis{suffix}"] |= {"anchor": f"x{suffix}", "constrain": "domain"}
        place = {"x": 0, "y": 0, "sizex": width, "sizey": height, "sizing": "stretch", "layer": "below"}
        layout["images"].append({"source": picture, "xref": f"x{suffix}", "yref": f"y{suffix}", **place})
        shown = [("truth", [box for box in boxes if box["source"] == TRUTH], "#FFFFFF", "dot")]
        mine = [box for box in boxes if box["source"] == source]
        for label in sorted({box["label"] for box in boxes}):
            of_class = [box for box in mine if box["label"] == label]
            shown.append((_name(label), of_class, _COLOURS[label % len(_COLOURS)], "solid"))
        for name, members, colour, dash in shown:
            line = {"color": colour, "width": 2, "dash": dash}
            common = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "legendgroup": name, "name": name}
            once = {"showlegend": name not in legend, "line": line}
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "hoverinfo": "text",
                    **_outline(members),
                    **common,
                    **once,
                }
            )
            legend.add(name)
    layout["legend"] = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "bgcolor": "#BBBBBB"}
    return {"data": traces, "layout": layout}


def _outline(boxes: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the lines around boxes, as one trace."""
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str | None] = []
    for box in boxes:
        left, top, right, bottom = (box[f"{side}_px"] for side in ("left", "top", "right", "bottom"))
        x += [left, right, right, left, left, None]
        y += [top, top, bottom, bottom, top, None]
        text += [f"{_name(box['label'])} {box['score']:.2f}"] * 5 + [None]
    return {"x": x or [None], "y": y or [None], "text": text or [None]}


def _name(label: int) -> str:
    return CLASSES[label] if label < len(CLASSES) else f"class {label}"
