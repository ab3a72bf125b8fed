"""The Arrow tables that a run on the real engine has beyond the serving tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def engine_histograms() -> pa.Schema:
    """Schema of `engine_histograms`: the engine's own histograms, one row a bucket, before and after the run.

    `server` counts from 0, `le` is the bucket's upper bound (infinite in the last), counts are cumulative over
    bounds and since the engine's start: what a run observed is `count_end - count_start`. The sums of all
    observed values stand in the row of the last bucket alone. Seconds for families named `_seconds`.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("server", pa.int32(), nullable=False),
            pa.field("family", pa.string(), nullable=False),
            pa.field("labels", pa.string(), nullable=False),
            pa.field("le", pa.float64(), nullable=False),
            pa.field("count_start", pa.float64(), nullable=False),
            pa.field("count_end", pa.float64(), nullable=False),
            pa.field("sum_start", pa.float64()),
            pa.field("sum_end", pa.float64()),
        ]
    )
