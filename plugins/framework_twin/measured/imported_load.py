"""What an imported run was sent, and what its file leaves open: so that the twin can predict it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from framework.contracts import StoreReader, WorkloadTables
from framework_serving import tables
from framework_serving.engine_defaults import NEWEST_VERSION, engine_defaults
from framework_serving.hardware.catalogue import gpu_spec, model_shape

if TYPE_CHECKING:
    import pyarrow as pa

Values = Mapping[str, str | None]


def sent_requests(store: StoreReader, run_id: str, facts: Values) -> WorkloadTables | None:
    """Return the requests that an imported run was sent, where its file listed them; None where it did not.

    A request that failed was sent too, but nobody knows what it would have generated: it is left out. The arrivals of
    a closed loop follow from the answers, so they are not given: its number of users is.
    """
    known = store.query("SELECT table_name FROM information_schema.tables WHERE table_name = 'requests'")
    if known.num_rows == 0:
        return None
    found = store.query(
        "SELECT arrival_s, input_tokens, output_tokens FROM requests WHERE run_id = ? AND status = 'finished' "
        "AND input_tokens >= 1 AND output_tokens >= 1 ORDER BY arrival_s, request_id",
        [run_id],
    )
    if found.num_rows == 0:
        return None
    users = facts.get("workload.concurrency")
    return WorkloadTables(
        {"requests": _requests(found, bool(users)), "adapters": tables.adapters().empty_table()},
        "",
        {"concurrency": int(float(users))} if users else {},
    )


def _requests(found: pa.Table, closed: bool) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    count = found.num_rows
    arrivals = np.zeros(count) if closed else found["arrival_s"].to_numpy()
    columns = [
        np.arange(count),
        arrivals - arrivals[0],
        found["input_tokens"],
        found["output_tokens"],
        pa.nulls(count, pa.int64()),
    ]
    return pa.table(columns, schema=tables.requests_in())


def open_settings(record: Values, version: str | None = None) -> dict[str, str]:
    """Return the engine's settings that an imported run leaves open, as a server of vLLM chooses them.

    A client's result says nothing of the server.

    Args:
        record: what is known, under the column names of a table of measured runs.
        version: of vLLM, if it was said; None: the newest whose defaults are known.

    Raises:
        ValueError: the model or the GPU is not known, so that nothing can be predicted.
    """
    for group in ("model", "gpu"):
        if not record.get(group):
            raise ValueError(f"{group}: not in the imported file; import it with {group}=NAME")
    longest = record.get("max_model_len") or str(model_shape(str(record["model"])).max_model_len)
    gpu = gpu_spec(str(record["gpu"]))
    own = engine_defaults(version or NEWEST_VERSION, gpu, "server", int(float(longest)))
    seqs = record.get("max_num_seqs") or str(own.max_num_seqs)
    budget = own.max_num_batched_tokens or int(float(longest))
    return {
        "max_model_len": longest,
        "max_num_seqs": seqs,
        "max_num_batched_tokens": record.get("max_num_batched_tokens") or str(max(budget, int(float(seqs)))),
        "engine_generation": own.generation if version else str(record.get("engine_generation") or "v1"),
    }
