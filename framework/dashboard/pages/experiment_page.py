"""One experiment: the answer and how sure it is, advice, what failed; the evidence of the report on demand."""

from __future__ import annotations

from typing import Any

from framework.dashboard.address import Asked, link
from framework.dashboard.desk import Desk, Page
from framework.report.answer import read_answer
from framework.report.html.rendering import block_groups
from framework.report.overview import read_advice, read_failures, read_findings, read_overview
from framework.report.plugin_blocks import report_sections
from framework.report.scope import ReportSelection, condition_of, select_runs

_PARTS = ("answer", "evidence")
_MOST_FAILURES = 50


def page(desk: Desk, asked: Asked) -> Page:
    """Return the page of the experiment or sweep `name`; raises `NotThereError`."""
    name = asked.text("name")
    part = asked.choice("part", _PARTS, "answer")
    desk.check_known("experiment", name, desk.names("experiment"))
    make = _answer if part == "answer" else _evidence
    content = desk.kept(("experiment", name, part), lambda: make(desk, name))
    tabs = [(text, link("/experiment", [("name", name), ("part", text)]), text == part) for text in _PARTS]
    shared = {
        "name": name,
        "parts": tabs,
        "runs_link": link("/runs", [("experiment", name)]),
        "pareto_link": link("/pareto", [("from", name)]),
        "effects_link": link("/effects", [("from", name)]),
    }
    runs = desk.kept(
        ("condition", name), lambda: condition_of(desk.store, _selected(desk, name).scope.run_ids)
    )
    return Page(name, f"experiment_{part}.html", content | shared, "Overview", runs=runs)


def _selected(desk: Desk, name: str) -> ReportSelection:
    return desk.kept(("selection", name), lambda: select_runs(desk.store, desk.outputs, name))


def _answer(desk: Desk, name: str) -> dict[str, Any]:
    chosen = _selected(desk, name)
    scope, run_ids = chosen.scope, chosen.scope.run_ids
    findings = read_findings(desk.store, run_ids)
    return {
        "overview": read_overview(desk.store, run_ids),
        "left_out": chosen.left_out,
        "answer": read_answer(desk.store, [scope.experiment], run_ids),
        "advice": read_advice(desk.store, [scope.experiment], run_ids),
        "failures": read_failures(desk.store, run_ids, _MOST_FAILURES),
        "findings": findings,
        "finding_rows": [(f.verdict, f.name, f.runs, f.detail or None, f.example_run) for f in findings],
    }


def _evidence(desk: Desk, name: str) -> dict[str, Any]:
    sections, problems = report_sections(_selected(desk, name).scope)
    return {
        "sections": [(section.title, list(block_groups(section))) for section in sections],
        "problems": [str(problem) for problem in problems],
    }
