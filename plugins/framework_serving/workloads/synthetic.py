"""Synthetic workloads: lengths × arrivals, and what all serving workloads share."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from framework.configuration.plain_values import from_plain, number, whole
from framework.contracts import Json, WorkloadTables
from framework.errors import ConfigError
from framework.identity.fingerprint import tables_hash
from framework_serving import tables
from framework_serving.workloads.arrivals import arrival_times, think_times, users
from framework_serving.workloads.lengths import sample_lengths
from framework_serving.workloads.sessions import Sessions
from framework_serving.workloads.settings import ArrivalSettings, SyntheticSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    IntArray = npt.NDArray[np.int64]
    FloatArray = npt.NDArray[np.float64]


class SyntheticWorkload:
    """Requests of random or fixed lengths (`LengthSettings`) that arrive by a process (`ArrivalSettings`)."""

    def __init__(self, **keys: Any) -> None:
        self.settings = from_plain(SyntheticSettings, keys, "workload")

    def build(self, seed: int) -> WorkloadTables:
        """Return `requests` and an empty `adapters`; same settings and seed give the same bytes.

        Raises:
            ConfigError: a bad value; names the key.
        """
        import numpy as np

        settings = self.settings
        horizon_s = horizon(settings.duration_s, settings.drain)
        check_window(settings.arrivals, settings.duration_s, settings.drain)
        sessions = Sessions.of(settings.sessions)
        limit = capped(settings.num_requests, settings.max_requests)
        begins = arrival_times(
            settings.arrivals, sessions.count(limit), settings.duration_s, stream(seed, "arrivals")
        )
        n = len(begins) * sessions.turns
        for cap in (limit, settings.max_requests):
            n = n if cap is None else min(n, cap)
        arrivals = sessions.per_turn(begins, n)
        inputs, outputs = sample_lengths(settings.lengths, n, stream(seed, "lengths"))
        cap_tokens(inputs, outputs, settings.max_tokens)
        inputs = sessions.prompts(inputs, outputs)
        requests = requests_table(arrivals, inputs, outputs, np.full(n, -1))
        requests, facts = sessions.add_columns(requests)
        requests, loop = closed_loop(requests, settings.arrivals, sessions.linked, seed)
        return workload_tables(requests, no_adapters(), {"horizon_s": horizon_s, **facts, **loop})


def check_window(arrivals: ArrivalSettings, duration_s: float | None, drain: bool) -> None:
    """Raise `ConfigError` for a window that ends nothing: users send as many requests as there are."""
    if arrivals.kind == "concurrency" and duration_s is not None and drain:
        raise ConfigError(
            "workload.duration_s: without effect: workload.num_requests ends a closed loop; workload.drain=false "
            "cuts it at this time"
        )


def closed_loop(
    requests: pa.Table, arrivals: ArrivalSettings, sessions: bool, seed: int
) -> tuple[pa.Table, dict[str, Json]]:
    """Return requests with the pauses of users, where they make any, and the users of a closed loop as a fact."""
    number_of_users = users(arrivals)
    waits = sessions or number_of_users is not None
    pauses = think_times(arrivals, requests.num_rows, waits, stream(seed, "think"))
    if pauses is not None:
        requests = requests.append_column(tables.think_field(), [pauses])
    if number_of_users is None:
        return requests, {}
    facts: dict[str, Json] = {"concurrency": number_of_users}
    if arrivals.kind == "concurrency":
        facts["offered_rps"] = None  # users send what the server can take
    return requests, facts


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Return a random stream of its own for each purpose, so that lengths don't move when arrivals change."""
    import numpy as np

    return np.random.Generator(
        np.random.PCG64([whole(seed, "workload.seed", least=0), zlib.crc32(purpose.encode())])
    )


def horizon(duration_s: float | None, drain: bool) -> float | None:
    """Return when the run is cut, or None if every request is served to its end."""
    if drain:
        return None
    if duration_s is None:
        raise ConfigError("workload.drain: false needs workload.duration_s, the time to cut the run at")
    return number(duration_s, "workload.duration_s", above=0)


def capped(num_requests: int | None, max_requests: int | None) -> int | None:
    """Return the number of requests under the cap of `scale`; None if the duration decides."""
    if num_requests is None or max_requests is None:
        return num_requests
    return min(num_requests, whole(max_requests, "workload.max_requests", least=1))


def cap_tokens(inputs: IntArray, outputs: IntArray, max_tokens: int | None) -> None:
    """Cut token counts, in place, to the cap of `scale`."""
    import numpy as np

    if max_tokens is not None:
        limit = whole(max_tokens, "workload.max_tokens", least=1)
        np.minimum(inputs, limit, out=inputs)
        np.minimum(outputs, limit, out=outputs)


def requests_table(
    arrivals: FloatArray, inputs: IntArray, outputs: IntArray, adapter_index: IntArray
) -> pa.Table:
    """Return a `requests` table from arrays in order of arrival; adapter -1 is the base model (null)."""
    import numpy as np
    import pyarrow as pa

    adapter_ids = pa.array(adapter_index, pa.int64(), mask=np.asarray(adapter_index) < 0)
    columns = [pa.array(np.arange(len(arrivals))), arrivals, inputs, outputs, adapter_ids]
    return pa.table(columns, schema=tables.requests_in())


def no_adapters() -> pa.Table:
    """Return the `adapters` table of a workload for the base model only."""
    return tables.adapters().empty_table()


def workload_tables(requests: pa.Table, adapters: pa.Table, facts: dict[str, Json]) -> WorkloadTables:
    """Return the tables with their hash, and the realised means and rate as facts next to the given ones.

    The facts that steer a run (`horizon_s`) are part of the hash: the same requests cut at another time are
    another workload.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if requests.num_rows == 0:
        raise ConfigError("workload: no request arrives; raise the rate, the duration or the window")
    last_s = float(requests["arrival_s"][-1].as_py())
    described: dict[str, Json] = {
        "num_requests": requests.num_rows,
        "input_tokens_mean": pc.mean(requests["input_tokens"]).as_py(),
        "output_tokens_mean": pc.mean(requests["output_tokens"]).as_py(),
        "last_arrival_s": last_s,
        "offered_rps": (requests.num_rows - 1) / last_s if last_s > 0 else None,
        "n_adapters": adapters.num_rows,
        **facts,
    }
    found = {"requests": requests, "adapters": adapters}
    limits = pa.table({"horizon_s": pa.array([facts.get("horizon_s")], pa.float64())})
    if facts.get("concurrency") is not None:
        limits = limits.append_column("concurrency", pa.array([facts["concurrency"]], pa.int64()))
    return WorkloadTables(found, tables_hash({**found, "limits": limits}), described)
