"""Phases of runs in a report: a table and a figure for each of the first runs that hold samples."""

from __future__ import annotations

from framework.contracts import Figure, ReportScope, ReportSection, TableBlock
from framework_maritime.study.run_phases import RunPhases, run_phases

MOST_RUNS = 3


def phase_sections(scope: ReportScope) -> list[ReportSection]:
    """Return the section; none where no run changed its behaviour. Needs the package ruptures."""
    from importlib.util import find_spec

    if find_spec("ruptures") is None:
        return []
    rows = scope.store.query(
        "SELECT s.run_id, count(*) AS n FROM samples s WHERE list_contains(?, s.run_id) GROUP BY s.run_id "
        "HAVING count(*) >= 60 ORDER BY n DESC, s.run_id LIMIT ?",
        [list(scope.run_ids), MOST_RUNS],
    ).to_pylist()
    blocks: list[Figure | TableBlock | str] = []
    for row in rows:
        found = run_phases(scope.store, row["run_id"])
        if found is not None and len(found.phases) > 1:
            blocks += [phase_figure(found), phase_table(found)]
    return [ReportSection("Phases of runs", blocks, order=80)] if blocks else []


def phase_table(found: RunPhases) -> TableBlock:
    """Return a row for each phase: when, how long, which behaviour, and the mean of each series."""
    last = len(found.t_s) - 1
    rows = [
        (
            number + 1,
            chr(ord("A") + phase.label % 26),
            float(found.t_s[phase.begin]),
            float(found.t_s[min(phase.end, last)]),
            *map(float, phase.means),
        )
        for number, phase in enumerate(found.phases)
    ]
    columns = ("phase", "behaviour", "from_s", "to_s", *(f"mean {name}" for name in found.names))
    return TableBlock(f"Phases of run {found.run_id}", columns, rows, "Phases of one letter behave alike.")


def phase_figure(found: RunPhases) -> Figure:
    """Return the first series over time, coloured by behaviour."""
    step = max(1, len(found.t_s) // 1500)
    traces, shown = [], set()
    for phase in found.phases:
        letter = chr(ord("A") + phase.label % 26)
        end = min(phase.end + 1, len(found.t_s))
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": letter,
                "legendgroup": letter,
                "showlegend": letter not in shown,
                "x": found.t_s[phase.begin : end : step].tolist(),
                "y": found.values[phase.begin : end : step, 0].tolist(),
            }
        )
        shown.add(letter)
    layout = {"xaxis": {"title": {"text": "t_s"}}, "yaxis": {"title": {"text": found.names[0]}}}
    caption = f"Behaviours found by change points over {', '.join(found.names)}."
    sql = f"SELECT name, t_s, value FROM samples WHERE run_id = '{found.run_id}' ORDER BY ALL"
    return Figure(f"Phases of run {found.run_id}", {"data": traces, "layout": layout}, caption, sql=sql)
