"""The advisor: the fewest workers that are fast enough."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from framework.contracts import Advice, AdvisorScope
from framework_newplugin.report import measured


@dataclass
class FewestWorkers:
    """Built from the keys of `conf/advisor/newplugin.yaml`.

    Attributes:
        items_min_s: how many items a second are enough.
    """

    items_min_s: float

    def advise(self, scope: AdvisorScope) -> Iterable[Advice]:
        """Yield one recommendation; none if no run is fast enough, or all have failed."""
        enough = [row for row in measured(scope.store, scope.run_ids) if row["items_s"] >= self.items_min_s]
        for best in sorted(enough, key=lambda row: (row["workers"], -row["items_s"]))[:1]:
            yield Advice(
                advisor="newplugin",
                subject="items",
                recommendation={"backend.workers": best["workers"]},  # as a user types it
                metric="newplugin_items_s",
                predicted=best["items_s"],
                low=None,
                high=None,
                reason=f"The fewest workers that process {self.items_min_s:g} items a second.",
                run_ids=[best["run_id"]],
            )
