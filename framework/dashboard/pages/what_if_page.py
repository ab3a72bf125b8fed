"""Questions to the models of plugins: sliders, and an answer whenever one moves."""

from __future__ import annotations

import threading
import time
from typing import Any

from framework.contracts import Json, ReportSection, Selection, Slider, WhatIf
from framework.dashboard.address import Asked, link
from framework.dashboard.desk import Desk, Page
from framework.errors import UserError, did_you_mean, one_line
from framework.plugins import ask
from framework.report.html.rendering import block_groups

_ONE_AT_A_TIME = threading.Lock()


def page(desk: Desk, asked: Asked) -> Page:
    """Return the controls and the answer for the values of the address; with `part=1` the answer alone."""
    known = {item.name: item for _, items in ask("what_ifs", WhatIf) for item in items}
    about = asked.text("about", next(iter(known), ""))
    part = asked.text("part") == "1"
    if about not in known:
        said = f"no question '{about[:80]}'{did_you_mean(about, known)}" if about else ""
        return Page("What if", "what_if.html", {"question": None, "error": said}, "What if")
    question = known[about]
    values = {control.name: _value(asked, control) for control in question.controls}
    content: dict[str, Any] = {
        "question": question,
        "others": [(item.title, link("/what-if", [("about", item.name)])) for item in known.values()],
        "chosen": values,
        "error": "",
        "sliders": [c for c in question.controls if isinstance(c, Slider)],
        "selections": [c for c in question.controls if isinstance(c, Selection)],
        **_answered(question, values),
    }
    return Page(
        f"What if: {question.title}",
        "shared/what_if_part.html" if part else "what_if.html",
        content,
        "What if",
        part,
    )


def _value(asked: Asked, control: Slider | Selection) -> Json:
    if isinstance(control, Selection):
        return asked.choice(control.name, control.options, control.start)
    return asked.number(control.name, control.start, control.values[0], control.values[-1])


def _answered(question: WhatIf, values: dict[str, Json]) -> dict[str, Any]:
    began_s = time.monotonic()
    try:
        with _ONE_AT_A_TIME:
            blocks = question.answer(values)
    except UserError as error:
        return {"groups": [], "error": one_line(error), "took_s": time.monotonic() - began_s}
    groups = list(block_groups(ReportSection(question.title, list(blocks))))
    return {"groups": groups, "took_s": time.monotonic() - began_s}
