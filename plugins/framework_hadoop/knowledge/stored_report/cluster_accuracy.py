"""How well times are predicted on each cluster: a quarter of the executions is held out, the others predict it.

One figure over all clusters hides those where intervals are too narrow, and these are the ones that are asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.contracts import Figure, ReportScope, TableBlock
from framework.store.views.results_view import rows_query

if TYPE_CHECKING:
    import numpy as np

_LEVEL = 0.9
_LEAST_EXECUTIONS = 40
_MOST_EXECUTIONS = 30_000  # more are drawn from: learning from them would take longer than the report
_LEAST_OF_A_CLUSTER = 20
_TWO_SIDED_95 = 1.96


@dataclass(frozen=True)
class ClusterError:
    """Errors on the held-out executions of one cluster.

    Attributes:
        cluster: its name.
        rows: executions held out.
        mape, median_ape: as fractions.
        coverage: share of them within their interval.
        low, high: 95 % interval of that share (Wilson's).
        level: what the intervals promise.
    """

    cluster: str
    rows: int
    mape: float
    median_ape: float
    coverage: float
    low: float
    high: float
    level: float

    @property
    def verdict(self) -> str:
        """Whether the intervals keep their promise there."""
        if self.high < self.level:
            return "too narrow"
        if self.low > self.level:
            return "too wide"
        return "as promised" if self.rows >= _LEAST_OF_A_CLUSTER else "too few to say"


def cluster_errors(
    clusters: Sequence[object],
    measured: np.ndarray,
    predicted: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    level: float,
) -> list[ClusterError]:
    """Return the errors of each cluster, the largest first; rows without a measured time are left out."""
    import numpy as np

    names = np.array([str(name) for name in clusters], dtype=object)
    found = []
    for name in sorted(
        {name for name, real in zip(clusters, clusters, strict=True) if real is not None}, key=str
    ):
        own = (names == str(name)) & np.isfinite(measured)
        if not own.any():
            continue
        error = np.abs(predicted[own] / measured[own] - 1)
        inside = (low[own] <= measured[own]) & (measured[own] <= high[own])
        share, rows = float(inside.mean()), int(own.sum())
        bounds = _wilson(share, rows)
        found.append(
            ClusterError(str(name), rows, float(error.mean()), float(np.median(error)), share, *bounds, level)
        )
    return sorted(found, key=lambda item: (-item.rows, item.cluster))


def _wilson(share: float, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    z2 = _TWO_SIDED_95**2
    centre = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = _TWO_SIDED_95 * ((share * (1 - share) + z2 / (4 * rows)) / rows) ** 0.5 / (1 + z2 / rows)
    return max(0.0, centre - half), min(1.0, centre + half)


COLUMNS = ("cluster", "rows", "mape", "median_ape", "coverage", "low", "high", "verdict")


def error_rows(errors: Sequence[ClusterError]) -> list[tuple[Any, ...]]:
    """Return errors as rows of `COLUMNS`."""
    return [(e.cluster, e.rows, e.mape, e.median_ape, e.coverage, e.low, e.high, e.verdict) for e in errors]


def coverage_figure(errors: Sequence[ClusterError]) -> Figure:
    """Return the coverage of each cluster with its interval, and the promise as a line."""
    shown = sorted(errors, key=lambda item: item.coverage, reverse=True)
    level = shown[0].level
    data = {
        "type": "scatter",
        "mode": "markers",
        "x": [item.coverage for item in shown],
        "y": [f"{item.cluster} ({item.rows})" for item in shown],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [item.high - item.coverage for item in shown],
            "arrayminus": [item.coverage - item.low for item in shown],
        },
        "marker": {"size": 8},
    }
    line = {
        "type": "line",
        "x0": level,
        "x1": level,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"dash": "dot"},
    }
    layout = {
        "showlegend": False,
        "height": 140 + 22 * len(shown),
        "xaxis": {"title": {"text": "share of executions within their interval"}, "range": [0, 1.02]},
        "yaxis": {"automargin": True, "type": "category"},
        "shapes": [line],
    }
    few = sum(item.rows < _LEAST_OF_A_CLUSTER for item in errors)
    narrow = [item.cluster for item in errors if item.verdict == "too narrow"]
    caption = f"Intervals promise {level:.0%} (dotted). In brackets: executions held out. "
    caption += (
        f"Too narrow for certain: {', '.join(narrow)}." if narrow else "Nowhere too narrow for certain."
    )
    caption += f" {few} clusters have fewer than {_LEAST_OF_A_CLUSTER} held-out executions." if few else ""
    return Figure(
        "Coverage of the intervals by cluster",
        {"data": [data], "layout": layout},
        caption,
        sql=rows_query(COLUMNS, error_rows(errors)),
        band="Bars: 95 % intervals.",
    )


def blocks(scope: ReportScope) -> list[Figure | TableBlock | str]:
    """Return figure and table for an experiment's executions; nothing for too few of them."""
    import numpy as np

    from framework_hadoop.executions.execution_features import execution_features, execution_predictor
    from framework_hadoop.executions.stored_executions import stored_executions

    executions, run_ids = stored_executions(scope.store)
    wanted = set(scope.run_ids)
    mine = np.array([run_id in wanted for run_id in run_ids], dtype=bool) & executions.finished
    rows = np.random.default_rng(0).permutation(np.flatnonzero(mine))[:_MOST_EXECUTIONS]
    if len(rows) < _LEAST_EXECUTIONS:
        return []
    out = rows[: len(rows) // 4]
    known, asked = executions.rows(np.sort(rows[len(rows) // 4 :])), executions.rows(np.sort(out))
    fitted = execution_predictor(_LEVEL, configuration=executions.configuration).fit(
        execution_features(known), known.time_s
    )
    found = fitted.predict(execution_features(asked))
    errors = cluster_errors(
        asked.columns["cluster"].tolist(), asked.time_s, found.predicted, found.low, found.high, _LEVEL
    )
    inside = (found.low <= asked.time_s) & (asked.time_s <= found.high)
    table = TableBlock(
        "Errors of predictions by cluster",
        COLUMNS,
        error_rows(errors),
        f"A random quarter of the executions ({len(out)}) predicted from the others, outliers included; over all "
        f"clusters {float(inside.mean()):.1%} are within their interval. Fractions.",
    )
    return [coverage_figure(errors), table]
