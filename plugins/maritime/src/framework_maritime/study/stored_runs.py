"""Maritime runs as the store has them: what was set, what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from framework.contracts import StoreReader


@dataclass(frozen=True)
class StoredRun:
    """One run.

    Attributes:
        backend: `ship_emissions` or `ship_forecast`.
        params: settings as text, by dotted name.
        metrics: values by name; low and high by name where known.
    """

    run_id: str
    backend: str
    params: dict[str, str]
    metrics: dict[str, float]
    limits: dict[str, tuple[float, float]]

    @property
    def method(self) -> tuple[str, str]:
        """Imputer and features; features are "–" where the imputer doesn't look at them."""
        imputer = self.params.get("backend.imputer", "")
        learner = imputer in ("neighbours", "boosting", "forest")
        return imputer, self.params.get("backend.features", "") if learner else "–"

    @property
    def load(self) -> tuple[str, ...]:
        """What was asked of the method, apart from the seed: workload settings and factors."""
        keys = sorted(
            key
            for key in self.params
            if key.startswith("workload.") and key not in ("workload.seed", "workload._target_")
        )
        return (*(f"{key}={self.params[key]}" for key in keys), self.params.get("backend.factors", ""))


def stored_runs(store: StoreReader, run_ids: Sequence[str], backend: str) -> list[StoredRun]:
    """Return the runs of one backend of this plugin that are done."""
    runs = store.query(
        "SELECT run_id FROM runs WHERE backend = ? AND status = 'done' AND list_contains(?, run_id) "
        "ORDER BY started_at",
        [backend, list(run_ids)],
    ).to_pylist()
    wanted = [row["run_id"] for row in runs]
    if not wanted:
        return []
    params: dict[str, dict[str, str]] = {run: {} for run in wanted}
    for row in store.query(
        "SELECT run_id, name, value FROM params WHERE list_contains(?, run_id)", [wanted]
    ).to_pylist():
        if row["value"] is not None:
            params[row["run_id"]][row["name"]] = row["value"]
    metrics: dict[str, dict[str, float]] = {run: {} for run in wanted}
    limits: dict[str, dict[str, tuple[float, float]]] = {run: {} for run in wanted}
    sql = "SELECT run_id, name, value, low, high FROM metrics WHERE value IS NOT NULL AND list_contains(?, run_id)"
    for row in store.query(sql, [wanted]).to_pylist():
        metrics[row["run_id"]][row["name"]] = row["value"]
        if row["low"] is not None and row["high"] is not None:
            limits[row["run_id"]][row["name"]] = (row["low"], row["high"])
    return [StoredRun(run, backend, params[run], metrics[run], limits[run]) for run in wanted]


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; None of nothing."""
    return sum(values) / len(values) if values else None
