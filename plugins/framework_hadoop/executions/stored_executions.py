"""Recorded executions out of the store, and the verdicts on them back into it.

A judgement is a run like any other (backend `outlier_rule`), its verdicts table `execution_verdicts` of that run: it
can be repeated when there are more executions, and the database rebuilt. View `outliers` shows the latest verdict on
each execution, view `executions` which ones to trust. An engine's own runs are not judged: their output was checked.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np

from framework.contracts import ImportedRun, Metric, Result, StoreReader
from framework.errors import UserError
from framework.identity.run_key import canonical_hash
from framework_hadoop.executions.execution_table import COLUMNS, Executions, from_arrow
from framework_hadoop.executions.outliers import OutlierReport, OutlierRule, find_outliers

EXPERIMENT = "outliers"
BACKEND = "outlier_rule"
COUNTED = {"outlier": "execution_outliers", "warning": "execution_warnings", "failed": "execution_failures"}
"""The metric that counts each verdict."""


def stored_executions(store: StoreReader) -> tuple[Executions, list[str]]:
    """Return the recorded executions (runs that name a benchmark and a cluster), by run id, and these ids."""
    settings = [column for column in COLUMNS if column.group]
    picked = ", ".join(
        f"max(p.{'number' if column.kind == 'number' else 'value'}) "
        f"FILTER (p.name = '{column.group}.{column.name}') AS {column.name}"
        for column in settings
    )
    own = _own_settings(store)
    picked += "".join(
        f", max(p.{'number' if number else 'value'}) FILTER (p.name = {_quoted(name)}) AS {_identifier(name)}"
        for name, number in own
    )
    table = store.query(
        f"SELECT e.run_id AS execution_id, e.exe_time_s, {picked} FROM executions e JOIN params p USING (run_id) "
        "WHERE e.benchmark IS NOT NULL AND e.cluster IS NOT NULL "
        "GROUP BY ALL ORDER BY e.run_id"
    )
    return from_arrow(table, "the store"), table.column("execution_id").to_pylist()


_OWN_LIMIT = 40
"""So many settings that ALOJA's columns do not have are looked at: those that most executions have."""


def _own_settings(store: StoreReader) -> list[tuple[str, bool]]:
    """Return the further settings that vary among recorded executions, and whether all their values are numbers."""
    known = [f"{column.group}.{column.name}" for column in COLUMNS if column.group]
    rows = store.query(
        "SELECT p.name AS name, bool_and(p.number IS NOT NULL) AS number FROM params p JOIN runs r USING (run_id) "
        "WHERE r.backend = 'recorded' AND p.value IS NOT NULL AND NOT list_contains(?, p.name) "
        "AND regexp_matches(p.name, '^(backend|workload|cluster)[.]') "
        "AND p.run_id IN (SELECT run_id FROM executions WHERE benchmark IS NOT NULL AND cluster IS NOT NULL) "
        f"GROUP BY p.name HAVING count(DISTINCT p.value) > 1 ORDER BY count(*) DESC, p.name LIMIT {_OWN_LIMIT}",
        [known],
    )
    return [(row["name"], bool(row["number"])) for row in rows.to_pylist()]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def judge_stored(
    store: StoreReader, outputs: Path, rule: OutlierRule
) -> tuple[Executions, OutlierReport, bool]:
    """Judge all recorded executions of a store and keep the verdicts as a run; judged before, nothing is added.

    Returns the executions, the verdicts, and whether they are new. `ingest` brings them into the database.

    Raises:
        UserError: fewer than ten executions to judge.
    """
    from framework.run.importing import keep_runs

    executions, run_ids = stored_executions(store)
    try:
        report = find_outliers(executions, rule)
    except ValueError as error:
        raise UserError(f"{outputs}: {error}") from None
    identity = canonical_hash([asdict(rule), list(run_ids)])
    judged = ImportedRun(
        identity,
        EXPERIMENT,
        BACKEND,
        {"backend": {"name": BACKEND, **asdict(rule)}},
        _result(report, run_ids),
    )
    return executions, report, keep_runs("outliers", "the store", str(outputs), [judged]) > 0


def _result(report: OutlierReport, run_ids: list[str]) -> Result:
    import pyarrow as pa

    counts: Counter[str] = Counter(report.verdict)
    verdicts = pa.table(
        {
            "judged_run_id": run_ids,
            "verdict": list(report.verdict),
            "expected_s": pa.array(report.predicted_s, from_pandas=True),
            "time_ratio": pa.array(report.ratio, from_pandas=True),
            "deviation": pa.array(report.deviation, from_pandas=True),
            "neighbours": pa.array(np.asarray(report.neighbours), pa.int64()),
        }
    )
    metrics = [Metric("executions_judged", float(len(run_ids)), source=BACKEND)]
    metrics += [Metric(name, float(counts[word]), source=BACKEND) for word, name in COUNTED.items()]
    return Result(metrics=metrics, tables={"execution_verdicts": verdicts})
