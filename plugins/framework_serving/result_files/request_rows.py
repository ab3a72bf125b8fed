"""The table `requests` of an imported run, from what a tool noted of each request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework_serving import tables

if TYPE_CHECKING:
    import pyarrow as pa


_LONGEST_S = 1e7  # four months


@dataclass(frozen=True)
class RequestRow:
    """One request; times in seconds of any clock, None for what did not happen.

    Attributes:
        arrival_s: when it was sent.
        first_token_s, last_token_s: of its answer.
        input_tokens, output_tokens: counts.
        error: why it failed; None for a finished request.
    """

    arrival_s: float
    first_token_s: float | None
    last_token_s: float | None
    input_tokens: int
    output_tokens: int
    error: str | None = None


def requests_of(rows: Sequence[RequestRow]) -> pa.Table:
    """Return the table in order of arrival, with times from the first arrival.

    Raises `ValueError` for times too far apart to be of one run: one of them is damaged, or in another unit.
    """
    import pyarrow as pa

    ordered = sorted(rows, key=lambda row: row.arrival_s)
    start = ordered[0].arrival_s if ordered else 0.0
    ends = [row.last_token_s if row.last_token_s is not None else row.arrival_s for row in ordered]
    if ordered and max(ends) - start > _LONGEST_S:
        raise ValueError(f"times of requests are {max(ends) - start:g} s apart")

    def after(moment: float | None) -> float | None:
        return None if moment is None else moment - start

    count = len(ordered)
    columns = {
        "request_id": list(range(count)),
        "arrival_s": [row.arrival_s - start for row in ordered],
        "scheduled_s": [None] * count,
        "first_token_s": [after(row.first_token_s) for row in ordered],
        "last_token_s": [after(row.last_token_s) for row in ordered],
        "input_tokens": [row.input_tokens for row in ordered],
        "output_tokens": [row.output_tokens for row in ordered],
        "adapter_id": [None] * count,
        "preemptions": [None] * count,
        "status": ["failed" if row.error is not None else "finished" for row in ordered],
        "error": [row.error for row in ordered],
    }
    return pa.table(columns, schema=tables.requests_out())
