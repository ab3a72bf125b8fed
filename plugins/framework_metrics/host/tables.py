"""Tables of `metrics=host`."""

from __future__ import annotations

import pyarrow as pa


def host_processes() -> pa.Schema:
    """One row a process of the run: CPU seconds since its start, largest resident memory (MiB), most threads."""
    return pa.schema(
        [
            pa.field("pid", pa.int64(), nullable=False),
            pa.field("name", pa.string()),
            pa.field("command", pa.string()),
            pa.field("cpu_s", pa.float64()),
            pa.field("rss_peak_mib", pa.float64()),
            pa.field("threads", pa.int64()),
        ]
    )
