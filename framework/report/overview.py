"""What a report says around its results: counts, sanity, failures, advice, provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from framework.analysis.number_format import format_value
from framework.contracts import ReportScope, StoreReader, TableBlock

_MINE = "run_id IN (SELECT unnest(?::VARCHAR[]))"


@dataclass(frozen=True)
class Overview:
    """The state of an experiment's runs.

    Attributes:
        by_status: number of runs by status (`done`, `failed`, `running`, `stale`).
        by_sanity: number of finished runs by verdict; runs without any check under `unchecked`.
        backends: backends that ran, sorted.
        sweeps: number of sweeps they came from.
        first_start, last_end: UTC; None without runs.
    """

    by_status: Mapping[str, int]
    by_sanity: Mapping[str, int]
    backends: tuple[str, ...]
    sweeps: int
    first_start: datetime | None
    last_end: datetime | None


@dataclass(frozen=True)
class SanityFinding:
    """A check that did not pass, over all runs: how many, and one example."""

    name: str
    verdict: str
    runs: int
    detail: str
    example_run: str


@dataclass(frozen=True)
class FailedRun:
    """A run that failed or was lost, with its reason."""

    run_id: str
    status: str
    stage: str
    kind: str
    message: str
    log_tail: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class GivenAdvice:
    """Advice as the store keeps it; facts are named values."""

    advisor: str
    subject: str
    overrides: str
    metric: str
    predicted: float | None
    low: float | None
    high: float | None
    reason: str
    runs: int
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class ProvenanceItem:
    """One named fact of where the runs were made: its values, most frequent first, each with its runs."""

    name: str
    values: tuple[tuple[str, int], ...]


def read_overview(store: StoreReader, run_ids: Sequence[str]) -> Overview:
    """Count runs by status and sanity."""
    ids = [list(run_ids)]
    status = store.query(
        f"SELECT status, count(*) AS n FROM runs WHERE {_MINE} GROUP BY ALL", ids
    ).to_pylist()
    sanity = store.query(
        "SELECT coalesce(sanity, 'unchecked') AS verdict, count(*) AS n FROM runs"
        f" WHERE status = 'done' AND {_MINE} GROUP BY ALL",
        ids,
    ).to_pylist()
    (span,) = store.query(
        "SELECT min(started_at) AS first_start, max(finished_at) AS last_end, count(DISTINCT sweep_id) AS sweeps,"
        f" list(DISTINCT backend ORDER BY backend) AS backends FROM runs WHERE {_MINE}",
        ids,
    ).to_pylist()
    return Overview(
        by_status={row["status"]: row["n"] for row in status},
        by_sanity={row["verdict"]: row["n"] for row in sanity},
        backends=tuple(span["backends"] or ()),
        sweeps=span["sweeps"],
        first_start=span["first_start"],
        last_end=span["last_end"],
    )


def read_findings(store: StoreReader, run_ids: Sequence[str]) -> list[SanityFinding]:
    """Return the checks that warned or failed, failures first, the most frequent first."""
    rows = store.query(
        "SELECT name, verdict, count(*) AS runs, arg_min(coalesce(detail, ''), run_id) AS detail,"
        f" min(run_id) AS example FROM checks WHERE verdict <> 'pass' AND {_MINE}"
        " GROUP BY name, verdict ORDER BY verdict, runs DESC, name",
        [list(run_ids)],
    ).to_pylist()
    return [SanityFinding(r["name"], r["verdict"], r["runs"], r["detail"], r["example"]) for r in rows]


def read_failures(store: StoreReader, run_ids: Sequence[str], max_rows: int) -> list[FailedRun]:
    """Return failed and lost runs, the latest first, at most `max_rows`, with the parameters of their sweep."""
    rows = store.query(
        "SELECT run_id, status, failure_stage, failure_kind, failure_message, failure_log FROM runs"
        f" WHERE status IN ('failed', 'stale') AND {_MINE} ORDER BY started_at DESC, run_id LIMIT {max_rows:d}",
        [list(run_ids)],
    ).to_pylist()
    parameters: dict[str, dict[str, str]] = {row["run_id"]: {} for row in rows}
    varied = store.query(
        "SELECT p.run_id, p.name, coalesce(p.value, 'null') AS value FROM params p JOIN varied v"
        " ON p.run_id = v.run_id AND (p.name = v.name OR p.name = v.name || '.name')"
        " WHERE p.run_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY p.name",
        [list(parameters)],
    ).to_pylist()
    for row in varied:
        parameters[row["run_id"]][row["name"]] = row["value"]
    return [
        FailedRun(
            row["run_id"],
            row["status"],
            row["failure_stage"] or "",
            row["failure_kind"] or ("heartbeat lost" if row["status"] == "stale" else ""),
            row["failure_message"] or "",
            row["failure_log"] or "",
            parameters[row["run_id"]],
        )
        for row in rows
    ]


def read_advice(store: StoreReader, names: Sequence[str], run_ids: Sequence[str]) -> list[GivenAdvice]:
    """Return the advice that is based on any of the runs; of each advisor on each subject the latest."""
    rows = store.query(
        "SELECT * FROM advice WHERE list_contains(?::VARCHAR[], experiment) AND list_has_any(run_ids, ?::VARCHAR[])"
        " QUALIFY advised_at = max(advised_at) OVER (PARTITION BY advisor, subject)"
        " ORDER BY advisor, subject, advice_id",
        [list(names), list(run_ids)],
    ).to_pylist()
    return [
        GivenAdvice(
            row["advisor"],
            row["subject"] or "",
            row["overrides"] or "",
            row["metric"] or "",
            row["predicted"],
            row["low"],
            row["high"],
            row["reason"] or "",
            len(row["run_ids"] or ()),
            json.loads(row["facts"] or "{}"),
        )
        for row in rows
    ]


def advice_table(scope: ReportScope) -> TableBlock | None:
    """Return what the advisors said on the runs of a sweep; None if they said nothing."""
    given = read_advice(scope.store, [scope.experiment], scope.run_ids)
    if not given:
        return None
    rows = [
        (
            " ".join(filter(None, [item.advisor, item.facts.get("rule")])),
            item.subject,
            item.metric,
            item.predicted,
            None
            if item.low is None or item.high is None
            else f"{format_value(item.low)} to {format_value(item.high)}",
            item.overrides or None,
        )
        for item in given
    ]
    columns = ("advisor", "about", "gives", "value", "band", "overrides to paste")
    return TableBlock("Advice", columns, rows, f"Why: python -m framework advise --from {scope.experiment}")


def read_provenance(store: StoreReader, run_ids: Sequence[str]) -> list[ProvenanceItem]:
    """Return every named fact of provenance with its distinct values over the runs."""
    rows = store.query(
        "SELECT name, list({'value': value, 'runs': runs} ORDER BY runs DESC, value) AS found FROM"
        f" (SELECT name, coalesce(value, '') AS value, count(*) AS runs FROM provenance WHERE {_MINE} GROUP BY ALL)"
        " GROUP BY name ORDER BY name",
        [list(run_ids)],
    ).to_pylist()
    return [
        ProvenanceItem(row["name"], tuple((item["value"], item["runs"]) for item in row["found"]))
        for row in rows
    ]
