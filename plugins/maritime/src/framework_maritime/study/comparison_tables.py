"""Methods side by side: what imputers make of the fleet, what forecasters make of the movement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from framework.contracts import ReportScope, TableBlock
from framework_maritime.study.stored_runs import StoredRun, mean, stored_runs

_ERRORS = (
    "fleet_co2_bias_pct",
    "fleet_co2_error_pct",
    "co2_recovered_share",
    "interval_holds",
    "ship_co2_error_kg",
    "ship_co2_error_pct",
)


def tables(scope: ReportScope) -> Iterable[TableBlock]:
    """Yield a table of imputers and one of forecasters; nothing for studies of other domains."""
    found = stored_runs(scope.store, scope.run_ids, "ship_emissions")
    if any("fleet_co2_error_pct" in run.metrics for run in found):
        yield imputer_table(found)
    elif found:
        yield totals_table(found)
    forecasts = stored_runs(scope.store, scope.run_ids, "ship_forecast")
    if forecasts:
        yield forecast_table(forecasts)


def imputer_table(runs: Sequence[StoredRun]) -> TableBlock:
    """Return the mean errors of each method under each load, per-type mean first among equals."""
    groups: dict[tuple[object, ...], list[StoredRun]] = {}
    for run in runs:
        missing = tuple(run.params.get(f"workload.missing.{key}", "") for key in ("share", "mechanism"))
        groups.setdefault((*missing, run.params.get("backend.factors", ""), *run.method), []).append(run)
    rows = []
    for key in sorted(groups, key=str):
        share, mechanism, factors, imputer, features = key
        members = groups[key]
        values = [mean([run.metrics[name] for run in members if name in run.metrics]) for name in _ERRORS]
        hidden = f"{100 * float(str(share)):.0f} %, {mechanism}" if share else "–"
        rows.append((hidden, factors, imputer, features, len(members), *values))
    columns = ("engines hidden", "factors", "imputer", "features", "fleets", *_ERRORS)
    caption = "Means over fleets. " + verdict(runs)
    return TableBlock("Imputation", columns, rows, caption)


def verdict(runs: Sequence[StoredRun]) -> str:
    """Return how the best imputer compares with the per-type mean, in one sentence."""
    by_load: dict[tuple[str, ...], dict[tuple[str, str], list[float]]] = {}
    for run in runs:
        value = run.metrics.get("ship_co2_error_kg")
        if value is not None and run.method[0] != "none":
            by_load.setdefault(run.load, {}).setdefault(run.method, []).append(value)
    whole = [methods for methods in by_load.values() if ("type_mean", "–") in methods and len(methods) > 1]
    if not whole:
        return "No load was run with the per-type mean and another imputer: they can't be compared."
    methods = max(whole, key=lambda one: sum(map(len, one.values())))
    average = {method: sum(values) / len(values) for method, values in methods.items()}
    base = average.pop(("type_mean", "–"))
    best = min(average, key=lambda method: average[method])
    gain = 100 * (1 - average[best] / base)
    name = f"{best[0]} on {best[1]}" if best[1] != "–" else best[0]
    if gain >= 20:
        return f"{name} has {gain:.0f} % less error for a ship than the per-type mean."
    if gain > 0:
        return (
            f"The best imputer, {name}, has only {gain:.0f} % less error for a ship than the per-type mean."
        )
    return f"No imputer beats the per-type mean for a ship (the best, {name}: {-gain:.0f} % more error)."


def totals_table(runs: Sequence[StoredRun]) -> TableBlock:
    """Return the total of each pollutant with its interval, a row a run."""
    names = [f"{name}_t" for name in ("co2", "nox", "sox", "pm", "co", "hc")]
    rows = []
    for run in runs:
        cells = []
        for name in names:
            low, high = run.limits.get(name, (None, None))
            value = run.metrics.get(name)
            shown = "–" if value is None else f"{value:,.4g}"
            cells.append(shown if low is None or high is None else f"{shown} ({low:,.4g} to {high:,.4g})")
        rows.append((*run.method, run.params.get("backend.factors", ""), *cells))
    return TableBlock(
        "Emissions, t", ("imputer", "features", "factors", *names), rows, "In brackets: the interval."
    )


def forecast_table(runs: Sequence[StoredRun]) -> TableBlock:
    """Return forecast and reconstruction errors by learner: medians of held-out ships."""
    names = [
        f"{kind}_nrmse_{name}_median"
        for kind in ("forecast", "reconstruction")
        for name in ("turn", "speed", "depth")
    ]
    by_learner: dict[str, list[StoredRun]] = {}
    for run in runs:
        by_learner.setdefault(run.params.get("backend.learner", ""), []).append(run)
    rows = [
        (
            learner,
            len(members),
            *(mean([run.metrics[name] for run in members if name in run.metrics]) for name in names),
        )
        for learner, members in sorted(by_learner.items())
    ]
    caption = (
        "Error over standard deviation, median of ships that the model hasn't seen. A reconstruction has seen the row"
        " that it rebuilds: it can't be compared with a forecast."
    )
    return TableBlock(
        "Forecast and reconstruction of the movement", ("learner", "runs", *names), rows, caption
    )
