"""Between the serving domain's tables and the kernel's arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from framework.contracts import Metric, WorkloadTables
from framework.errors import ConfigError
from framework_serving.hardware.model_shape import KV_BLOCK_TOKENS
from framework_serving.metrics.metric_definitions import PERCENTILES
from framework_serving.tables import known_counts
from framework_serving.workloads.prefix_blocks import kv_block_hashes
from framework_twin.kernel.inputs import Requests
from framework_twin.kernel.output import SimulationOutput, Status

_STATUS_NAMES = {
    Status.WAITING: "waiting",
    Status.RUNNING: "running",
    Status.FINISHED: "finished",
    Status.REFUSED: "refused",
    Status.NOT_ARRIVED: "not_arrived",
}
_STATUS_WORDS = pa.array([_STATUS_NAMES[Status(code)] for code in range(len(_STATUS_NAMES))])
_REFUSED_ERROR = "longer than max_model_len or larger than the KV cache"


def kernel_requests(
    workload: WorkloadTables, prefix_caching: bool = False, turnaround_s: float = 0.0
) -> Requests:
    """Return a workload's `requests` as the kernel's arrays; an adapter becomes its row in `adapters`.

    Args:
        prefix_caching: name the blocks that prompts share, where the workload knows them.
        turnaround_s: time until a client knows that a request has ended.
    """
    table = workload.tables["requests"]
    starts, blocks = _prefix_blocks(workload) if prefix_caching else (None, None)
    return Requests(
        arrival_s=table["arrival_s"].to_numpy().astype(np.float64),
        input_tokens=table["input_tokens"].to_numpy().astype(np.int32),
        output_tokens=table["output_tokens"].to_numpy().astype(np.int32),
        adapter=_adapter_rows(workload),
        prefix_blocks=blocks,
        prefix_start=starts,
        follows=_follows(table),
        users=workload.facts.get("concurrency"),
        think_s=table["think_s"].to_numpy() if "think_s" in table.column_names else None,
        turnaround_s=turnaround_s,
    )


def _follows(table: pa.Table) -> npt.NDArray[np.int64] | None:
    """Return the row of the request that each one follows, -1 for none."""
    if "follows" not in table.column_names:
        return None
    rows = pc.index_in(table["follows"], value_set=table["request_id"].combine_chunks())
    unknown = table.num_rows  # out of range: the kernel refuses it and names the request's row
    rows = pc.if_else(pc.is_null(table["follows"]), -1, pc.fill_null(rows, unknown))
    return np.asarray(rows.to_numpy(), dtype=np.int64)


def shares_prefixes(workload: WorkloadTables) -> bool:
    """Return whether the workload says which prompts begin with the same blocks."""
    return "prefix_block_hashes" in workload.tables["requests"].column_names


def _prefix_blocks(
    workload: WorkloadTables,
) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.int64] | None]:
    if not shares_prefixes(workload):
        return None, None
    tokens = int(workload.facts["prefix_block_tokens"])
    if tokens % KV_BLOCK_TOKENS:
        raise ConfigError(
            f"workload.hash_block_tokens: {tokens} is not a multiple of the KV block of {KV_BLOCK_TOKENS} tokens; "
            "backend.enable_prefix_caching needs one"
        )
    starts, blocks = kv_block_hashes(workload.tables["requests"], tokens, KV_BLOCK_TOKENS)
    adapter = _adapter_rows(workload)
    if (
        adapter is not None
    ):  # keys and values depend on the adapter: the same tokens under another are another block
        names = len(workload.tables["adapters"]) + 1
        blocks = blocks * names + np.repeat(adapter.astype(np.int64) + 1, np.diff(starts))
    return starts, blocks


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
    unknown = adapters.num_rows  # out of range: the kernel refuses it and names the request's row
    known = adapters["adapter_id"].to_numpy()
    asked = known_counts(column)
    if np.array_equal(known, np.arange(unknown)):  # as workloads make them: the identity is the row
        return np.where(asked < unknown, asked, unknown).astype(np.int32)
    rows = pc.fill_null(pc.index_in(column, value_set=adapters["adapter_id"].combine_chunks()), unknown)
    return np.where(asked == -1, -1, rows.to_numpy()).astype(np.int32)


def request_outcomes(workload: WorkloadTables, output: SimulationOutput, front_end_s: float) -> pa.Table:
    """Return the serving table `requests`: what was asked, and when each thing happened (null: never).

    Tokens reach the client `front_end_s` after the engine has them. A request that waited for another in vain counts
    as arriving at the end of the run.
    """
    asked = workload.tables["requests"]
    outcome = output.requests
    codes = np.asarray(outcome.status)
    refused = codes == Status.REFUSED
    errors = (
        pa.array([_REFUSED_ERROR]).take(pa.array(np.zeros_like(codes), mask=~refused))
        if refused.any()
        else pa.nulls(len(codes), pa.string())
    )
    return pa.table(
        {
            "request_id": asked["request_id"],
            "arrival_s": np.where(np.isnan(outcome.arrival_s), output.duration_s, outcome.arrival_s),
            "scheduled_s": _times(outcome.scheduled_s),
            "first_token_s": _times(outcome.first_token_s + front_end_s),
            "last_token_s": _times(outcome.last_token_s + front_end_s),
            "input_tokens": asked["input_tokens"],
            "output_tokens": pa.array(outcome.generated_tokens, pa.int64()),
            "adapter_id": asked["adapter_id"],
            "preemptions": pa.array(outcome.preemptions, pa.int64()),
            "status": _STATUS_WORDS.take(pa.array(codes)),
            "error": errors,
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
            for percent in PERCENTILES.values()
        ),
    ]
