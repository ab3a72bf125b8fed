"""What people read: a table when the sweep ends, a section in the HTML report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from framework.contracts import Figure, ReportScope, ReportSection, StoreReader, TableBlock
from framework.errors import NotEvaluatedError

# Metrics and parameters are rows (name, value): a new metric needs no migration. Runs of other domains have no
# `wait_p99_s` and drop out of the join.
_WAITS = """
SELECT p99.run_id, CAST(servers.number AS INTEGER) AS servers, discipline.value AS discipline,
       rate.number AS arrival_rate_hz, p99.value AS wait_p99_s, mean.value AS wait_mean_s,
       theory.value AS wait_theory_s
FROM metrics p99
JOIN metrics mean ON mean.run_id = p99.run_id AND mean.name = 'wait_mean_s'
JOIN params servers ON servers.run_id = p99.run_id AND servers.name = 'backend.servers'
JOIN params discipline ON discipline.run_id = p99.run_id AND discipline.name = 'backend.discipline'
LEFT JOIN params rate ON rate.run_id = p99.run_id AND rate.name = 'workload.arrival_rate_hz'
LEFT JOIN metrics theory ON theory.run_id = p99.run_id AND theory.name = 'wait_theory_s'
WHERE p99.name = 'wait_p99_s' AND p99.value IS NOT NULL AND list_contains(?, p99.run_id)
ORDER BY arrival_rate_hz, discipline, servers, p99.run_id
"""


@dataclass(frozen=True)
class MeasuredWait:
    """Waits (s) of one run; `wait_theory_s` is None where theory does not apply, the rate where it is unknown."""

    run_id: str
    servers: int
    discipline: str
    arrival_rate_hz: float | None
    wait_p99_s: float
    wait_mean_s: float
    wait_theory_s: float | None

    @property
    def subject(self) -> str:
        """What distinguishes this line of runs: discipline and load."""
        return (
            self.discipline
            if self.arrival_rate_hz is None
            else f"{self.discipline}, {self.arrival_rate_hz:g}/s"
        )


def measured_waits(store: StoreReader, run_ids: Sequence[str]) -> list[MeasuredWait]:
    """Return the waits of those of the runs that are of this domain."""
    return [MeasuredWait(**row) for row in store.query(_WAITS, [list(run_ids)]).to_pylist()]


def waits_of_run(scope: ReportScope) -> Iterable[ReportSection]:
    """Yield what visitors of the scope's one run waited; nothing for a run that is not about queues."""
    for w in measured_waits(scope.store, scope.run_ids):
        yield ReportSection(
            "Waits", [f"The mean wait was {w.wait_mean_s:.3g} s, the 99th percentile {w.wait_p99_s:.3g} s."]
        )


def waits_table(scope: ReportScope) -> Iterable[TableBlock]:
    """Yield measured waits next to theory; nothing for studies that are not about queues."""
    rows = [
        (w.subject, w.servers, w.wait_mean_s, w.wait_theory_s, w.wait_p99_s)
        for w in measured_waits(scope.store, scope.run_ids)
    ]
    if rows:
        columns = ("queue", "servers", "wait_mean_s", "wait_theory_s", "wait_p99_s")
        yield TableBlock("Waits", columns, rows)


def waits_section(scope: ReportScope) -> Iterable[ReportSection]:
    """Yield a plot of waits against servers. A figure is Plotly's JSON: nothing heavy is imported for it."""
    waits = measured_waits(scope.store, scope.run_ids)
    lines = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": subject,
            "x": [w.servers for w in waits if w.subject == subject],
            "y": [w.wait_p99_s for w in waits if w.subject == subject],
        }
        for subject in sorted({w.subject for w in waits})
    ]
    if lines:
        layout = {
            "xaxis": {"title": {"text": "servers"}},
            "yaxis": {"title": {"text": "wait_p99_s"}, "type": "log"},
        }
        spec = {"data": lines, "layout": layout}
        figure = Figure("Waits against servers", spec, "99th percentile of waits.", metrics=("wait_p99_s",))
        yield ReportSection("Queue", [figure, *waits_table(scope)])


def wait_over_theory(
    scope: ReportScope, servers: int, discipline: str = "fifo", arrival_rate_hz: float = 8.0
) -> float:
    """Return the measured mean wait over the predicted one, for a claim; `NotEvaluatedError` says what is missing."""
    for w in measured_waits(scope.store, scope.run_ids):
        wanted = (w.servers, w.discipline, w.arrival_rate_hz) == (servers, discipline, arrival_rate_hz)
        if wanted and w.wait_theory_s:
            return w.wait_mean_s / w.wait_theory_s
    raise NotEvaluatedError(f"no {discipline} run with {servers} servers at {arrival_rate_hz:g}/s")
