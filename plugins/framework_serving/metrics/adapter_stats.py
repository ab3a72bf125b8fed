"""What each adapter got of what it was offered: service, starvation, fairness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework.contracts import WorkloadTables
from framework_serving.metrics.request_times import RequestTimes
from framework_serving.metrics.shared_rules import STARVED_BELOW

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]

ADAPTER_STATS_VIEW = f"""
CREATE OR REPLACE VIEW adapter_stats AS
SELECT
    r.run_id,
    r.adapter_id,
    count(*) AS sent,
    count(*) FILTER (r.status = 'finished') AS completed,
    avg(1000 * (r.first_token_s - r.arrival_s)) FILTER (r.status = 'finished') AS ttft_mean_ms,
    quantile_cont(1000 * (r.first_token_s - r.arrival_s), 0.99) FILTER (r.status = 'finished') AS ttft_p99_ms,
    sum(r.input_tokens + r.output_tokens) FILTER (r.status = 'finished') / any_value(d.value) AS total_tok_s,
    count(*) FILTER (r.status = 'finished') / count(*) AS served_share,
    count(*) FILTER (r.status = 'finished') < {STARVED_BELOW} * count(*) AS starved
FROM requests AS r
LEFT JOIN metrics AS d ON d.run_id = r.run_id AND d.name = 'duration_s'
GROUP BY r.run_id, r.adapter_id
"""
"""One row a run and adapter (null: base model). The share counts requests; the metrics count tokens."""


@dataclass(frozen=True)
class AdapterService:
    """Tokens offered to and served by each adapter that received a request, in order of its id.

    Attributes:
        offered_tokens: input + output tokens asked for.
        served_tokens: those of finished requests.
    """

    offered_tokens: FloatArray
    served_tokens: FloatArray

    @property
    def served_share(self) -> FloatArray:
        """Served tokens as a share of the offered ones, 0 to 1."""
        return self.served_tokens / self.offered_tokens


def adapter_service(run: RequestTimes, workload: WorkloadTables) -> AdapterService:
    """Return the service of each adapter; requests of the base model count as an adapter of their own."""
    import numpy as np

    from framework_serving.tables import known_counts

    asked = workload.tables["requests"]
    owner = known_counts(asked["adapter_id"]) + 1
    tokens = (asked["input_tokens"].to_numpy() + asked["output_tokens"].to_numpy()).astype(np.float64)
    size = int(max(owner.max(), run.adapter.max(initial=-1) + 1)) + 1
    done = run.served()
    offered: FloatArray = np.bincount(owner, weights=tokens, minlength=size).astype(np.float64)
    served: FloatArray = np.bincount(done.adapter + 1, weights=done.tokens, minlength=size).astype(np.float64)
    present = offered > 0
    return AdapterService(offered[present], served[present])


def jain_index(shares: FloatArray) -> float:
    """Return Jain's fairness index (Σx)² / (n Σx²): 1 if all are equal, 1/n if one has everything.

    If no adapter is served at all, treatment is equal: 1.
    """
    squares = float((shares**2).sum())
    return 1.0 if squares == 0 else float(shares.sum()) ** 2 / (len(shares) * squares)
