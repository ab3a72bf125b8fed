"""What claims on ship emissions are computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from framework.contracts import ReportScope
from framework.errors import NotEvaluatedError
from framework_maritime.study.stored_runs import StoredRun, mean, stored_runs


def computations(scope: ReportScope) -> Mapping[str, Callable[..., float]]:
    """Return the computations over the runs of a scope, by name."""

    def nrmse_ratio(kind: str, variable: str) -> float:
        """NRMSE of the CRBM (`kind`: forecast or reconstruction) over that of ARIMA's forecast, medians of ships."""
        runs = stored_runs(scope.store, scope.run_ids, "ship_forecast")
        ours = _mean(runs, "crbm", f"{kind}_nrmse_{variable}_median")
        theirs = _mean(runs, "arima", f"forecast_nrmse_{variable}_median")
        return ours / theirs

    def ship_error_ratio(features: str) -> float:
        """Error of CO2 of a ship with these features over that of the per-type mean, on the same fleets."""
        runs = stored_runs(scope.store, scope.run_ids, "ship_emissions")
        loads: dict[tuple[str, ...], dict[str, list[float]]] = {}
        for run in runs:
            error = run.metrics.get("ship_co2_error_kg")
            name = "base" if run.method[0] == "type_mean" else run.method[1]
            if error is not None:
                loads.setdefault(run.load, {}).setdefault(name, []).append(error)
        for methods in loads.values():
            new, base = mean(methods.get(features, [])), mean(methods.get("base", []))
            if new is not None and base:
                return new / base
        raise NotEvaluatedError(f"no fleet was run with features {features} and with the per-type mean")

    return {"nrmse_ratio": nrmse_ratio, "ship_error_ratio": ship_error_ratio}


def _mean(runs: list[StoredRun], learner: str, metric: str) -> float:
    values = [
        run.metrics[metric]
        for run in runs
        if run.params.get("backend.learner") == learner and metric in run.metrics
    ]
    found = mean(values)
    if found is None:
        raise NotEvaluatedError(f"no run of learner {learner} reports {metric}")
    return found
