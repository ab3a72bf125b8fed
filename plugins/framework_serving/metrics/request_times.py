"""The request table of a run as arrays: who finished, what it waited, how fast its tokens came."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from framework_serving.tables import known_counts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    FloatArray = npt.NDArray[np.float64]
    IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RequestTimes:
    """Columns of a result's `requests`; a time that is unknown is NaN.

    Attributes:
        arrival_s, scheduled_s, first_token_s, last_token_s: seconds from the first arrival.
        input_tokens, output_tokens: tokens read and generated.
        adapter: adapter id, -1 for the base model.
        finished: which requests were served to their end.
    """

    arrival_s: FloatArray
    scheduled_s: FloatArray
    first_token_s: FloatArray
    last_token_s: FloatArray
    input_tokens: IntArray
    output_tokens: IntArray
    adapter: IntArray
    finished: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, requests: pa.Table) -> RequestTimes:
        """Read the columns of a `requests` table; requests that never arrived are left out."""
        import numpy as np
        import pyarrow.compute as pc

        arrived = pc.not_equal(requests["status"], "not_arrived")
        if not pc.all(arrived).as_py():
            requests = requests.filter(arrived)

        def times(name: str) -> FloatArray:
            return np.asarray(requests[name].cast("float64").to_numpy(), dtype=np.float64)  # null becomes NaN

        def counts(name: str) -> IntArray:
            return known_counts(requests[name])

        return cls(
            times("arrival_s"),
            times("scheduled_s"),
            times("first_token_s"),
            times("last_token_s"),
            counts("input_tokens"),
            counts("output_tokens"),
            counts("adapter_id"),
            np.asarray(pc.equal(requests["status"], "finished").to_numpy(zero_copy_only=False)),
        )

    def served(self) -> RequestTimes:
        """Return the finished requests alone."""
        return self._served

    @cached_property
    def _served(self) -> RequestTimes:
        if self.finished.all():
            return self
        rows = self.finished.nonzero()[0]
        return RequestTimes(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})

    @property
    def ttft_s(self) -> FloatArray:
        """Arrival to first token."""
        return self.first_token_s - self.arrival_s

    @property
    def e2e_s(self) -> FloatArray:
        """Arrival to last token."""
        return self.last_token_s - self.arrival_s

    @property
    def tpot_s(self) -> FloatArray:
        """Time per output token after the first; NaN for a request with a single token."""
        import numpy as np

        gaps = (self.output_tokens - 1).astype(np.float64)
        return (self.last_token_s - self.first_token_s) / np.where(gaps > 0, gaps, np.nan)

    @property
    def tokens(self) -> IntArray:
        """Input + output tokens of each request."""
        return self.input_tokens + self.output_tokens
