"""Advisor `register`: which imputer to use for this register, and which ships to look up by hand first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from framework.contracts import Advice, AdvisorScope
from framework.errors import ConfigError
from framework_maritime.study.stored_runs import StoredRun, stored_runs


@dataclass
class RegisterAdvisor:
    """Leans on runs over fleets whose truth is known.

    Attributes:
        ships_to_look_up: how many ships the second advice names.
    """

    ships_to_look_up: int = 10

    def __post_init__(self) -> None:
        if self.ships_to_look_up < 1:
            raise ConfigError(
                "configuration key 'advisor.register.ships_to_look_up': must be at least 1, "
                f"got {self.ships_to_look_up}"
            )

    def advise(self, scope: AdvisorScope) -> Iterable[Advice]:
        """Yield one advice on the imputer for each load with at least two methods, and one on ships to look up."""
        runs = stored_runs(scope.store, scope.run_ids, "ship_emissions")
        groups: dict[tuple[str, ...], list[StoredRun]] = {}
        for run in runs:
            if run.method[0] != "none" and "ship_co2_error_kg" in run.metrics:
                groups.setdefault(run.load, []).append(run)
        advised: list[StoredRun] = []
        for members in groups.values():
            chosen = _best(members)
            if chosen is not None:
                advised.extend(chosen)
                yield _imputer_advice(members, chosen)
        last = (
            advised[-1] if advised else next((run for run in reversed(runs) if run.method[0] != "none"), None)
        )
        if last is not None:
            yield from self._lookups(scope, last)

    def _lookups(self, scope: AdvisorScope, run: StoredRun) -> Iterable[Advice]:
        rows = scope.store.query(
            "SELECT ship_id, total_variance_share FROM ship_emissions WHERE run_id = ? AND NOT complete_record "
            "AND total_variance_share > 0 ORDER BY total_variance_share DESC LIMIT ?",
            [run.run_id, self.ships_to_look_up],
        ).to_pylist()
        if not rows:
            return
        share = sum(row["total_variance_share"] for row in rows)
        ids = [row["ship_id"] for row in rows]
        yield Advice(
            advisor="register",
            subject="ships to look up by hand",
            recommendation={"backend.imputer": run.method[0]},
            metric="co2_t",
            predicted=run.metrics.get("co2_t"),
            low=run.limits.get("co2_t", (None, None))[0],
            high=run.limits.get("co2_t", (None, None))[1],
            reason=f"These {len(ids)} ships make {100 * share:.0f} % of what is not known of the fleet's CO2: "
            + ", ".join(map(str, ids))
            + ".",
            run_ids=[run.run_id],
            facts={"ships": ids, "variance_share": share},
        )


def _best(members: Sequence[StoredRun]) -> list[StoredRun] | None:
    """Return the runs of the method with the least error for a ship; None where there is nothing to compare."""
    methods: dict[tuple[str, str], list[StoredRun]] = {}
    for run in members:
        methods.setdefault(run.method, []).append(run)
    if len(methods) < 2:
        return None
    most = max(map(len, methods.values()))
    whole = {method: runs for method, runs in methods.items() if len(runs) == most}
    return min(
        whole.values(), key=lambda runs: sum(run.metrics["ship_co2_error_kg"] for run in runs) / len(runs)
    )


def _imputer_advice(members: Sequence[StoredRun], chosen: Sequence[StoredRun]) -> Advice:
    imputer, features = chosen[0].method
    errors = [run.metrics["fleet_co2_error_pct"] for run in chosen]
    ship = sum(run.metrics["ship_co2_error_kg"] for run in chosen) / len(chosen)
    base = [run.metrics["ship_co2_error_kg"] for run in members if run.method[0] == "type_mean"]
    against = ""
    if base and imputer != "type_mean":
        against = (
            f"; {100 * (1 - ship * len(base) / sum(base)):.0f} % less error for a ship than the per-type mean"
        )
    recommendation = {"backend.imputer": imputer}
    if features != "–":
        recommendation["backend.features"] = features
    params = chosen[0].params
    subject = (
        f"{100 * float(params.get('workload.missing.share', 'nan')):.0f} % of engines hidden, "
        f"{params.get('workload.missing.mechanism', '')}, factors {params.get('backend.factors', '')}"
    )
    return Advice(
        advisor="register",
        subject=subject,
        recommendation=recommendation,
        metric="fleet_co2_error_pct",
        predicted=sum(errors) / len(errors),
        low=min(errors),
        high=max(errors),
        reason=f"Least error for a ship with an incomplete record, over {len(chosen)} fleets{against}.",
        run_ids=[run.run_id for run in chosen],
        facts={"ship_co2_error_kg": ship},
    )
