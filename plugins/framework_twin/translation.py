"""Between the serving domain's tables and the kernel's arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from framework.contracts import Metric, WorkloadTables
from framework_twin.kernel.inputs import Requests
from framework_twin.kernel.output import SimulationOutput, Status

_STATUS_NAMES = {
    Status.WAITING: "waiting",
    Status.RUNNING: "running",
    Status.FINISHED: "finished",
    Status.REFUSED: "refused",
    Status.NOT_ARRIVED: "not_arrived",
}
_REFUSED_ERROR = "longer than max_model_len or than the KV cache"


def kernel_requests(workload: WorkloadTables) -> Requests:
    """Return a workload's `requests` as the kernel's arrays; an adapter becomes its row in `adapters`."""
    table = workload.tables["requests"]
    return Requests(
        arrival_s=table["arrival_s"].to_numpy().astype(np.float64),
        input_tokens=table["input_tokens"].to_numpy().astype(np.int32),
        output_tokens=table["output_tokens"].to_numpy().astype(np.int32),
        adapter=_adapter_rows(workload),
    )


def adapter_ranks(workload: WorkloadTables) -> npt.NDArray[np.int32]:
    """Return the rank of each adapter; 0 where the workload gives none (the kernel names the row)."""
    adapters = workload.tables.get("adapters")
    if adapters is None or adapters.num_rows == 0:
        return np.zeros(0, dtype=np.int32)
    ranks: npt.NDArray[np.int32] = adapters["rank"].fill_null(0).to_numpy().astype(np.int32)
    return ranks


def _adapter_rows(workload: WorkloadTables) -> npt.NDArray[np.int32] | None:
    adapters = workload.tables.get("adapters")
    column = workload.tables["requests"]["adapter_id"]
    if adapters is None or column.null_count == len(column):
        return None
    rows = {identity: row for row, identity in enumerate(adapters["adapter_id"].to_pylist())}
    unknown = len(rows)  # out of range: the kernel refuses it and names the request's row
    return np.array(
        [-1 if identity is None else rows.get(identity, unknown) for identity in column.to_pylist()],
        dtype=np.int32,
    )


def request_outcomes(workload: WorkloadTables, output: SimulationOutput) -> pa.Table:
    """Return the serving table `requests`: what was asked, and when each thing happened (null: never)."""
    asked = workload.tables["requests"]
    outcome = output.requests
    status = [_STATUS_NAMES[Status(code)] for code in outcome.status]
    errors = [_REFUSED_ERROR if name == "refused" else None for name in status]
    return pa.table(
        {
            "request_id": asked["request_id"],
            "arrival_s": asked["arrival_s"],
            "scheduled_s": _times(outcome.scheduled_s),
            "first_token_s": _times(outcome.first_token_s),
            "last_token_s": _times(outcome.last_token_s),
            "input_tokens": asked["input_tokens"],
            "output_tokens": pa.array(outcome.generated_tokens, pa.int64()),
            "adapter_id": asked["adapter_id"],
            "preemptions": pa.array(outcome.preemptions, pa.int64()),
            "status": status,
            "error": pa.array(errors, pa.string()),
        }
    )


def _times(seconds: npt.NDArray[np.float64]) -> pa.Array:
    return pa.array(seconds, pa.float64(), mask=np.isnan(seconds))


def token_gap_metrics(output: SimulationOutput) -> list[Metric]:
    """Return inter-token latency from all token gaps, which the request table alone can't give."""
    gaps = output.token_gaps
    if gaps.count == 0:
        return []
    return [
        Metric("itl_mean_ms", 1e3 * gaps.mean_s, "ms", "twin token gaps"),
        *(
            Metric(f"itl_p{percent}_ms", 1e3 * gaps.percentile_s(percent), "ms", "twin token gaps")
            for percent in (50, 90, 99)
        ),
    ]
