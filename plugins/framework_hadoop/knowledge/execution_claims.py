"""Quantities of the ALOJA papers that claims can ask for, computed from the stored runs of `aloja_prediction`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import fmean
from typing import Any

from framework.contracts import ReportScope
from framework.errors import NotEvaluatedError
from framework.quantity import Quantity


def computations(scope: ReportScope) -> dict[str, Callable[..., Quantity]]:
    """Return the computations over the runs of a scope, by name."""
    return {
        function.__name__: partial(function, scope)
        for function in (prediction_error, prediction_error_ratio, setting_speedup)
    }


def prediction_error(scope: ReportScope, learner: str = "auto", metric: str = "mape") -> Quantity:
    """Return an error of the runs with a learner, %: their mean, from the smallest to the largest of several."""
    rows = _rows(
        scope,
        "SELECT 100 * m.value AS error FROM metrics m JOIN params p ON p.run_id = m.run_id "
        "AND p.name = 'backend.learner' AND p.value = ? WHERE m.name = ? AND m.value IS NOT NULL",
        learner,
        metric,
    )
    errors = [row["error"] for row in rows]
    if not errors:
        raise NotEvaluatedError(f"no run with backend.learner={learner} that reports {metric}")
    spread = (min(errors), max(errors)) if len(errors) > 1 else (None, None)
    return Quantity(fmean(errors), *spread)


def prediction_error_ratio(
    scope: ReportScope, over: str, learner: str = "auto", metric: str = "mape"
) -> Quantity:
    """Return the error with a learner over that with another one, `over`."""
    return Quantity(
        prediction_error(scope, learner, metric).value / prediction_error(scope, over, metric).value
    )


def setting_speedup(scope: ReportScope, setting: str, value: str, base: str) -> Quantity:
    """Return time with a setting at `base` over time at `value`: median over configurations that were run at both.

    The effect is that of table `knob_effects` of one run; all runs on the same training file have the same.
    """
    rows = _rows(
        scope,
        "SELECT m.from_value = ? AS forward, m.time_ratio, m.low, m.high FROM knob_effects m WHERE m.setting = ? "
        "AND (m.from_value, m.to_value) IN ((?, ?), (?, ?))",
        base,
        setting,
        *(base, value, value, base),
    )
    if not rows:
        raise NotEvaluatedError(f"no run reports the effect of {setting}={value} against {base}")
    row = rows[0]
    ratio, low, high = row["time_ratio"], row["low"], row["high"]
    return Quantity(1 / ratio, 1 / high, 1 / low) if row["forward"] else Quantity(ratio, low, high)


def _rows(scope: ReportScope, select: str, *parameters: str) -> list[dict[str, Any]]:
    """Return the rows of a query whose table `m` holds run ids, over the scope's runs, the latest first."""
    query = f"{select} AND list_contains(?, m.run_id) ORDER BY m.run_id DESC"
    rows: list[dict[str, Any]] = scope.store.query(query, [*parameters, list(scope.run_ids)]).to_pylist()
    return rows
