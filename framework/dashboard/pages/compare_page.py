"""Two runs, sweeps or experiments side by side, as the verb `compare` judges them."""

from __future__ import annotations

from typing import Any

from framework.dashboard.address import Asked, RefusedError
from framework.dashboard.desk import Desk, Page
from framework.errors import UserError, one_line
from framework.report.comparison import compare_tables


def page(desk: Desk, asked: Asked) -> Page:
    """Return the form, and the comparison of the two names that the address gives as `a` and `b`, or as two `run`."""
    picked = asked.many("run")
    if picked and len(picked) != 2:
        raise RefusedError(f"two runs are compared, not {len(picked)}: pick two")
    a, b = asked.text("a"), asked.text("b")
    if picked:
        a, b = picked
    content: dict[str, Any] = {"a": a, "b": b, "tables": [], "error": "", "names": _names(desk)}
    if a and b:
        try:
            content["tables"] = desk.kept(("compare", a, b), lambda: compare_tables(desk.store, a, b))
        except UserError as error:
            content["error"] = one_line(error)
    return Page("Compare", "compare.html", content, "Compare")


def _names(desk: Desk) -> list[str]:
    """Return experiments and their latest sweeps, to choose from; a run's id can be pasted."""
    query = (
        "SELECT sweep_id FROM runs WHERE sweep_id IS NOT NULL GROUP BY sweep_id"
        " ORDER BY max(started_at) DESC LIMIT 50"
    )
    sweeps = desk.kept("latest sweeps", lambda: desk.store.query(query)["sweep_id"].to_pylist())
    return [*desk.names("experiment")[:200], *sweeps]
