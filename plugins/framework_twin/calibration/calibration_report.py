"""What a calibration prints at the end of a sweep: every run, measured and as the twin reports it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.contracts import TableBlock
from framework_twin.calibration.calibration_advisor import ADVISOR

if TYPE_CHECKING:
    from framework.contracts import ReportScope

_SHOWN = (("tok/s", "total_tok_s"), ("ITL ms", "itl_mean_ms"), ("TTFT ms", "ttft_mean_ms"))


def calibration_tables(scope: ReportScope) -> Iterator[TableBlock]:
    """Yield one table a profile that was fitted to runs of this sweep, held-out workloads last."""
    rows = scope.store.query(
        "SELECT subject, reason, facts FROM advice WHERE advisor = ? AND experiment = ? "
        "AND list_has_any(run_ids, ?::VARCHAR[]) "
        "QUALIFY advised_at = max(advised_at) OVER (PARTITION BY subject) ORDER BY subject",
        [ADVISOR, scope.experiment, list(scope.run_ids)],
    ).to_pylist()
    for row in rows:
        facts = json.loads(row["facts"])
        yield TableBlock(
            title=f"Calibration of {row['subject']}: measured, predicted by the twin, and error",
            columns=(
                "workload",
                "batch",
                "in the fit",
                "others' cores",
                *(name for title, _ in _SHOWN for name in (title, "twin", "error %")),
            ),
            rows=list(_rows(facts["errors"])),
            caption=f"{row['reason']}. File: {facts['file']}",
        )


def _rows(errors: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    runs: dict[str, dict[str, Mapping[str, Any]]] = {}
    for item in errors:
        runs.setdefault(item["run_id"], {})[item["metric"]] = item
    firsts = [(next(iter(metrics.values())), metrics) for metrics in runs.values()]
    for first, metrics in sorted(firsts, key=lambda pair: (pair[0]["held_out"], pair[0]["workload"])):
        cells: list[Any] = []
        for _, metric in _SHOWN:
            told = metrics.get(metric)
            cells += (
                [None, None, None]
                if told is None
                else [told["measured"], told["predicted"], f"{told['error_percent']:+.1f}"]
            )
        yield (
            first["workload"],
            first["max_num_seqs"],
            "no" if first["held_out"] else "yes",
            first.get("other_cores"),
            *cells,
        )
