"""The Arrow tables of a serving run: what a workload hands to a backend and what comes back.

Times are seconds from the first arrival of the run. Token counts are tokens of the served model's tokenizer.
A null is "unknown" or "did not happen"; it is never 0.

Sample names in `samples`: `running`, `waiting` (requests, summed over replicas), `kv_usage` (0-1, the largest
over replicas), `preemptions` (cumulative), `power_w`, and whatever else a backend or collector sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

REQUEST_STATUSES = ("finished", "running", "waiting", "refused", "failed", "not_arrived")
"""State of a request when the run ended. `refused`: the engine could never serve it; `failed`: see `error`;
`not_arrived`: the run was cut before it. Every request of the workload has one of them."""


def requests_in() -> pa.Schema:
    """Schema of a workload's `requests`.

    `request_id` counts from 0 in order of arrival; `output_tokens` is the number to generate;
    `adapter_id` is null for the base model; `prefix_block_hashes`, where a workload knows shared prefixes,
    names the consecutive blocks of the prompt (equal hash: equal tokens up to there; the size of a block is
    the workload's fact `prefix_block_tokens`).
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("request_id", pa.int64(), nullable=False),
            pa.field("arrival_s", pa.float64(), nullable=False),
            pa.field("input_tokens", pa.int64(), nullable=False),
            pa.field("output_tokens", pa.int64(), nullable=False),
            pa.field("adapter_id", pa.int64()),
        ]
    )


def prefix_hashes_field() -> pa.Field:
    """Return the optional last column of a workload's `requests`."""
    import pyarrow as pa

    return pa.field("prefix_block_hashes", pa.list_(pa.int64()))


def follows_field() -> pa.Field:
    """Return the optional column of a workload's `requests` that names the request before in the same session.

    A request is sent when that one has ended, its `think_s` later; null: it waits for none.
    """
    import pyarrow as pa

    return pa.field("follows", pa.int64())


def think_field() -> pa.Field:
    """Return the optional column of a workload's `requests` with the pause of its user after it, seconds.

    Then comes the next request of the session or, where the workload's fact `concurrency` says how many users there
    are, the same user's next one.
    """
    import pyarrow as pa

    return pa.field("think_s", pa.float64())


def adapters() -> pa.Schema:
    """Schema of `adapters`: id, LoRA rank, and the rate offered to it (null where the workload has none)."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("adapter_id", pa.int64(), nullable=False),
            pa.field("rank", pa.int64(), nullable=False),
            pa.field("rate_rps", pa.float64()),
        ]
    )


def requests_out() -> pa.Schema:
    """Schema of a result's `requests`: one row a request of the workload, finished or not.

    `scheduled_s` is when the engine first worked on it, `output_tokens` the tokens it generated until it
    finished or the run ended.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("request_id", pa.int64(), nullable=False),
            pa.field("arrival_s", pa.float64(), nullable=False),
            pa.field("scheduled_s", pa.float64()),
            pa.field("first_token_s", pa.float64()),
            pa.field("last_token_s", pa.float64()),
            pa.field("input_tokens", pa.int64(), nullable=False),
            pa.field("output_tokens", pa.int64(), nullable=False),
            pa.field("adapter_id", pa.int64()),
            pa.field("preemptions", pa.int64()),
            pa.field("status", pa.string(), nullable=False),
            pa.field("error", pa.string()),
        ]
    )


def is_serving_result(tables: Mapping[str, pa.Table]) -> bool:
    """Whether a run's tables are a serving run's: a `requests` table with token times."""
    requests = tables.get("requests")
    return requests is not None and {"arrival_s", "first_token_s", "status"} <= set(requests.column_names)


def known_counts(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return whole numbers as an array, -1 where there is none."""
    import numpy as np
    import pyarrow.compute as pc

    if column.null_count == len(column):
        return np.full(len(column), -1, dtype=np.int64)
    if column.null_count:
        column = pc.fill_null(column, -1)
    return np.asarray(column.to_numpy(), dtype=np.int64)
