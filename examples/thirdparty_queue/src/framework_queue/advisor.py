"""An advisor: the fewest servers that keep nearly everybody's wait below a limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from framework.contracts import Advice, AdvisorScope
from framework.errors import ConfigError
from framework_queue.reporting import measured_waits


@dataclass
class StaffingAdvisor:
    """Reads the runs of the sweep that just ended; `wait_p99_max_s` comes from `conf/advisor/staffing.yaml`."""

    wait_p99_max_s: float

    def __post_init__(self) -> None:
        if self.wait_p99_max_s <= 0:
            raise ConfigError("configuration key 'advisor.staffing.wait_p99_max_s': must be above 0")

    def advise(self, scope: AdvisorScope) -> Iterable[Advice]:
        """Yield one recommendation for each discipline and load; none where no run keeps the limit."""
        waits = measured_waits(scope.store, scope.run_ids)
        for subject in sorted({wait.subject for wait in waits}):
            within = [w for w in waits if w.subject == subject and w.wait_p99_s <= self.wait_p99_max_s]
            if not within:
                continue
            best = min(within, key=lambda wait: (wait.servers, wait.run_id))
            yield Advice(
                advisor="staffing",
                subject=subject,
                # Overrides as a user would type them: the framework prints them ready to be pasted back.
                recommendation={"backend.servers": best.servers, "backend.discipline": best.discipline},
                metric="wait_p99_s",
                predicted=best.wait_p99_s,
                low=None,
                high=None,
                reason=f"The fewest servers that keep the 99th percentile of waits below {self.wait_p99_max_s:g} s.",
                run_ids=[best.run_id],
            )
