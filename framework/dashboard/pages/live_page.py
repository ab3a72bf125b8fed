"""Sweeps as they run: how far each is, what is being run, what failed; a script asks for the part again and again."""

from __future__ import annotations

from collections import Counter
from typing import Any

from framework.dashboard.address import Asked
from framework.dashboard.desk import Desk, Page
from framework.store.sweep_states import SweepState, sweep_states

_SHOWN = 20
_STATES = ("done", "failed", "running", "open")


def page(desk: Desk, asked: Asked) -> Page:
    """Return the page, or with `part=1` what changes in it."""
    part = asked.text("part") == "1"
    states = sweep_states(desk.outputs)
    going = [state for state in states if not state.ended]
    content: dict[str, Any] = {
        "sweeps": [_row(state) for state in reversed(states[-_SHOWN:])],
        "going": len(going),
        "states": _STATES,
        "part": part,
    }
    return Page("Live", "shared/live_part.html" if part else "live.html", content, "Live", fragment=part)


def _row(state: SweepState) -> dict[str, Any]:
    counts: Counter[str] = state.counts
    total = state.points or sum(counts.values())
    ended = counts["done"] + counts["failed"]
    return {
        "name": state.name,
        "total": total,
        "counts": counts,
        "percent": 100 * ended / total if total else 0.0,
        "ended": state.ended,
        "latest": state.latest,
        "at_work": list(state.at_work.items())[:_SHOWN],
        "problems": list(state.problems.items())[:_SHOWN],
    }
