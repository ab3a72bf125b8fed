"""One run: what came out, how it went over time, with what settings, from where, and what it keeps."""

from __future__ import annotations

from typing import Any

from framework import plugins
from framework.contracts import ReportScope, TableBlock
from framework.dashboard.address import Asked, link
from framework.dashboard.desk import Desk, Page
from framework.dashboard.pages.run_files import files_of, log_ends
from framework.report.html.rendering import block_groups
from framework.report.plugin_blocks import run_sections
from framework.report.sample_figure import sample_figure
from framework.store.views.results_view import literal

_METRICS = "SELECT name, value, unit, low, high, source, reason FROM metrics WHERE run_id = ?"


def page(desk: Desk, asked: Asked, run_id: str) -> Page:
    """Return the page of a run; raises `NotThereError`."""
    row = desk.run(run_id)
    return Page(
        run_id,
        "run.html",
        desk.kept(("run", run_id), lambda: _content(desk, row)),
        "Runs",
        runs=f"run_id = {literal(run_id)}",
    )


def _content(desk: Desk, row: dict[str, Any]) -> dict[str, Any]:
    run_id = row["run_id"]
    defined = plugins.metric_definitions()
    place = {name: number for number, name in enumerate(defined)}
    metrics = _rows(desk, _METRICS, run_id)
    metrics.sort(key=lambda metric: (place.get(metric["name"], len(place)), metric["name"]))
    headline = [m for m in metrics if m["value"] is not None and _is_headline(m["name"], defined)]
    scope = ReportScope(desk.store, row["experiment"], [run_id])
    sections, problems = run_sections(scope)
    samples = sample_figure(desk.store, run_id)
    files = files_of(desk, run_id)
    return {
        "run": row,
        "headline": headline,
        "metrics": metrics,
        "absent_reasons": [(m["name"], m["reason"]) for m in metrics if m["value"] is None],
        "descriptions": {name: item.description for name, item in defined.items()},
        "samples": samples,
        "sections": [(section.title, list(block_groups(section))) for section in sections],
        "problems": [str(problem) for problem in problems],
        "varied": _pairs(
            desk,
            "SELECT p.name, p.value FROM params p JOIN varied v ON p.run_id = v.run_id"
            " AND (p.name = v.name OR p.name = v.name || '.name') WHERE p.run_id = ? ORDER BY 1",
            run_id,
        ),
        "params": _pairs(desk, "SELECT name, value FROM params WHERE run_id = ? ORDER BY 1", run_id),
        "facts": _pairs(desk, "SELECT name, value FROM facts WHERE run_id = ? ORDER BY 1", run_id),
        "provenance": _pairs(desk, "SELECT name, value FROM provenance WHERE run_id = ? ORDER BY 1", run_id),
        "checks": _table(
            desk, "Sanity checks", "SELECT name AS \"check\", verdict, detail FROM checks WHERE run_id = ?", run_id
        ),
        "labels": _table(
            desk, "Labels", "SELECT kind, value, labelled_at FROM labels WHERE run_id = ?", run_id
        ),
        "files": [
            (file, link(f"/run/{run_id}/file", [("path", file.path)]) if file.location else "")
            for file in files
        ],
        "logs": log_ends(desk, files),
        "sql": link(
            "/sql", [("q", f"SELECT name, value, unit FROM metrics WHERE run_id = '{run_id}'")]
        ),
    }  # fmt: skip


def _is_headline(name: str, defined: dict[str, Any]) -> bool:
    return name in defined and bool(defined[name].headline)


def _rows(desk: Desk, query: str, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.store.query(query, [run_id]).to_pylist()
    return found


def _pairs(desk: Desk, query: str, run_id: str) -> list[tuple[str, str | None]]:
    return [(row["name"], row["value"]) for row in _rows(desk, query, run_id)]


def _table(desk: Desk, title: str, query: str, run_id: str) -> TableBlock:
    columns, rows = desk.store.rows(query, [run_id])
    return TableBlock(title, columns, rows)
