"""Which runs a report is about: an experiment's latest sweep, each point by its latest attempt.

An experiment's name is shared by everything that was ever run under it: a quick trial on a toy scale, the full
grid, the same grid on the real engine. A report shows the latest sweep of each backend, runs that the sweep
found done already included; what it leaves out it counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.analysis.claims.claim_file import claims_file
from framework.contracts import ReportScope, StoreReader
from framework.errors import UserError, did_you_mean
from framework.store.side_files.sweep_plans import SweepPlan, read_plans
from framework.store.views.results_view import literal

# The latest attempt of each run key, unless newer code has run the same configuration since; and of points
# that are not done, the latest attempt, unless the point was done later.
_CURRENT_RUNS = """
WITH mine AS (SELECT * FROM runs WHERE experiment = ?),
done AS (
    SELECT *, first_value(code_version) OVER (
                  PARTITION BY config_key, repeat, seed ORDER BY started_at DESC, run_id DESC) AS newest_code
    FROM mine WHERE status = 'done'
    QUALIFY row_number() OVER (PARTITION BY run_key, repeat ORDER BY started_at DESC, run_id DESC) = 1),
open AS (
    SELECT * FROM mine WHERE status <> 'done'
    QUALIFY row_number() OVER (
        PARTITION BY coalesce(job_key, run_key), repeat ORDER BY started_at DESC, run_id DESC) = 1)
SELECT run_id, sweep_id, job_key, started_at FROM done WHERE code_version IS NOT DISTINCT FROM newest_code
UNION ALL
SELECT run_id, sweep_id, job_key, started_at FROM open WHERE NOT EXISTS (
    SELECT 1 FROM mine AS later WHERE later.status = 'done' AND later.started_at >= open.started_at
    AND (later.job_key = open.job_key OR later.run_key = open.run_key))
ORDER BY started_at, run_id
"""


@dataclass(frozen=True)
class ReportSelection:
    """A scope, and how many of the experiment's runs of other sweeps it leaves out."""

    scope: ReportScope
    left_out: int


def select_runs(store: StoreReader, outputs: Path, name: str | None) -> ReportSelection:
    """Return the scope of a report.

    Args:
        store: the store of the outputs folder.
        outputs: the outputs folder, with the plans of sweeps.
        name: an experiment, or the id of one sweep; the experiment that was run last if None.

    Raises:
        UserError: there is no such experiment, or no run at all.
    """
    counts = store.query("SELECT experiment, max(started_at) AS latest FROM runs GROUP BY ALL").to_pylist()
    latest = {row["experiment"]: f"{row['latest']:%Y-%m-%dT%H:%M:%S.%f}" for row in counts}
    if not latest:
        raise UserError(f"no runs yet in '{outputs}': run an experiment first")
    plans = read_plans(outputs)
    wanted = [plan for plan in plans if plan.sweep_id == name]
    if name is None:
        for plan in plans:
            if plan.experiment in latest:
                latest[plan.experiment] = max(latest[plan.experiment], _planned_at(plan))
        experiment = max(latest, key=lambda known: latest[known])
    elif wanted:
        experiment = wanted[0].experiment
    elif name in latest:
        experiment = name
    else:
        raise UserError(f"no runs of experiment '{name}'{did_you_mean(name, latest)}")
    return _selection(store, experiment, wanted or _latest_by_backend(plans, experiment))


def select_several(store: StoreReader, outputs: Path, names: Sequence[str]) -> ReportSelection:
    """Return the scope of a report across experiments: their runs together, without the claims of any of them.

    Raises:
        UserError: a name is none of the store's, or is given twice.
    """
    found = [select_runs(store, outputs, name) for name in names]
    if len(set(names)) < len(names):
        raise UserError(f"{' '.join(names)}: each experiment or sweep is named once")
    runs = list(dict.fromkeys(run_id for item in found for run_id in item.scope.run_ids))
    return ReportSelection(
        ReportScope(store, " and ".join(names), runs), sum(item.left_out for item in found)
    )


def condition_of(store: StoreReader, run_ids: Sequence[str]) -> str:
    """Return a short condition on `runs` that the done runs of a report keep; empty without runs.

    By experiment if the report is about all of its runs, else by sweep; others of a sweep of which only some are
    shown (repeated later, or made elsewhere) keep it too.
    """
    condition = ""
    for column in ("experiment", "sweep_id"):
        names = store.query(
            f"SELECT {column} AS name, count_if(NOT list_contains(?, run_id)) AS others FROM runs"
            f" WHERE status = 'done' AND {column} IN (SELECT {column} FROM runs WHERE list_contains(?, run_id))"
            " GROUP BY ALL ORDER BY 1",
            [list(run_ids)] * 2,
        ).to_pylist()
        if names:
            condition = f"{column} IN ({', '.join(literal(row['name']) for row in names)})"
        if not any(row["others"] for row in names):
            break
    return condition


def _selection(store: StoreReader, experiment: str, plans: Sequence[SweepPlan]) -> ReportSelection:
    runs = store.query(_CURRENT_RUNS, [experiment]).to_pylist()
    ids = {plan.sweep_id for plan in plans}
    keys = {key for plan in plans for key in plan.job_keys}
    elsewhere = {run_id for plan in plans for run_id in plan.done_elsewhere.values()}
    chosen = [
        run["run_id"]
        for run in runs
        if run["sweep_id"] in ids or run["job_key"] in keys or run["run_id"] in elsewhere
    ]
    if not chosen:  # no plan is available, e.g. bundles from elsewhere
        chosen = [run["run_id"] for run in runs]
    scope = ReportScope(store, experiment, chosen, claims_file(experiment))
    return ReportSelection(scope, len(runs) - len(chosen))


def _latest_by_backend(plans: Sequence[SweepPlan], experiment: str) -> list[SweepPlan]:
    mine = [plan for plan in plans if plan.experiment == experiment]
    latest = {str(plan.base.get("backend.name", "")): plan for plan in sorted(mine, key=_planned_at)}
    return list(latest.values())


def _planned_at(plan: SweepPlan) -> str:
    """Return when a sweep was planned as the store shows times: UTC without an offset."""
    return plan.planned_at.removesuffix("+00:00")


def folder_name(experiment: str) -> str:
    """Return an experiment's name as a folder name: `import:serving` becomes `import_serving`."""
    return re.sub(r"[^\w.-]+", "_", experiment).strip(".") or "_"
