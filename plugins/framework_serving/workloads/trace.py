"""Workload from a recorded trace: which rows of the file become requests, and when they arrive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.configuration.plain_values import from_plain, number, one_of, whole
from framework.contracts import Json, WorkloadTables
from framework.errors import ConfigError, InputError
from framework_serving import tables
from framework_serving.workloads.adapter_mix import dealt_ranks
from framework_serving.workloads.arrivals import arrival_times
from framework_serving.workloads.settings import ArrivalSettings, TraceSettings
from framework_serving.workloads.synthetic import (
    cap_tokens,
    closed_loop,
    requests_table,
    stream,
    workload_tables,
)
from framework_serving.workloads.trace_file import Trace, TraceReader

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

SECONDS_PER_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class TraceWorkload:
    """Requests of a CSV or JSONL file with named columns; see `TraceSettings`."""

    def __init__(self, **keys: Any) -> None:
        self.settings = from_plain(TraceSettings, keys, "workload")

    def build(self, seed: int) -> WorkloadTables:
        """Return `requests` (with `prefix_block_hashes` if the trace has them) and `adapters`.

        Raises:
            ConfigError: a bad setting; names the key.
            InputError: a file or row that can't be read; names file, line and column.
        """
        settings = self.settings
        self._check()
        trace = TraceReader(Path(settings.file), settings).read()
        trace = self._selected(trace)
        arrivals = self._arrivals(trace, seed)
        inputs, outputs = trace.inputs, trace.outputs
        cap_tokens(inputs, outputs, settings.max_tokens)
        names = sorted({name for name in trace.adapters if name is not None})
        index = {name: position for position, name in enumerate(names)}
        owners = _array([-1 if name is None else index[name] for name in trace.adapters])
        requests = requests_table(arrivals, inputs, outputs, owners)
        if trace.hash_ids is not None:
            requests = _with_hashes(requests, trace.hash_ids)
        facts = self._facts(trace, names)
        requests, loop = closed_loop(requests, settings.arrivals, False, seed)
        facts |= loop
        if not settings.drain:
            facts["horizon_s"] = self._horizon_s(float(arrivals[-1]))
        return workload_tables(requests, self._adapters(names), facts)

    def _check(self) -> None:
        settings = self.settings
        one_of(settings.format, "workload.format", ("auto", "csv", "jsonl"))
        one_of(settings.time_unit, "workload.time_unit", tuple(SECONDS_PER_UNIT))
        number(settings.rate_scale, "workload.rate_scale", above=0)
        start = number(settings.window_start_s, "workload.window_start_s", least=0)
        if settings.window_end_s is not None:
            number(settings.window_end_s, "workload.window_end_s", above=start)
        if settings.limit is not None:
            whole(settings.limit, "workload.limit", least=1)
        whole(settings.hash_block_tokens, "workload.hash_block_tokens", least=1)
        if settings.columns.arrival is not None and settings.arrivals != ArrivalSettings():
            raise ConfigError(
                "workload.arrivals: the trace has its own arrival times; workload.columns.arrival=null replaces them"
            )

    def _selected(self, trace: Trace) -> Trace:
        """Return the rows in the window, then the first `limit` of them."""
        import numpy as np

        settings = self.settings
        keep = np.ones(len(trace.inputs), dtype=bool)
        if trace.arrivals is not None:
            start, end = settings.window_start_s, settings.window_end_s
            seconds = trace.arrivals * SECONDS_PER_UNIT[settings.time_unit]
            keep = (seconds >= start) & (seconds < (np.inf if end is None else end))
        chosen = np.flatnonzero(keep)
        for limit in (settings.limit, settings.max_requests):
            chosen = chosen if limit is None else chosen[:limit]
        if chosen.size == 0:
            raise InputError(f"{settings.file}: no request within the configured window and limit")
        return trace.take(chosen)

    def _arrivals(self, trace: Trace, seed: int) -> npt.NDArray[np.float64]:
        """Return arrival times from 0: the trace's own, or those of `workload.arrivals` if it has none."""
        import numpy as np

        settings = self.settings
        if trace.arrivals is None:
            return arrival_times(settings.arrivals, len(trace.inputs), None, stream(seed, "arrivals"))
        seconds = (trace.arrivals - trace.arrivals[0]) * SECONDS_PER_UNIT[settings.time_unit]
        arrivals: npt.NDArray[np.float64] = np.round(seconds / settings.rate_scale, 6)
        return arrivals

    def _horizon_s(self, last_arrival_s: float) -> float:
        """Return when a run that is not drained is cut: at the end of the window, else at the last arrival."""
        settings = self.settings
        end_s = last_arrival_s
        if settings.window_end_s is not None:
            end_s = (settings.window_end_s - settings.window_start_s) / settings.rate_scale
        return number(end_s, "workload.drain: false cuts the run at its last arrival, which", above=0)

    def _adapters(self, names: list[str]) -> pa.Table:
        import pyarrow as pa

        if not names:
            return tables.adapters().empty_table()
        ranks = dealt_ranks(self.settings.ranks, len(names))
        columns = [list(range(len(names))), ranks, [None] * len(names)]
        return pa.table(columns, schema=tables.adapters())

    def _facts(self, trace: Trace, names: list[str]) -> dict[str, Json]:
        facts: dict[str, Json] = {
            "trace_file": Path(self.settings.file).name,
            "rows_left_out": trace.left_out,
        }
        if names:
            facts["adapter_names"] = names
        if trace.hash_ids is not None:
            facts["prefix_block_tokens"] = self.settings.hash_block_tokens
        return facts


def _array(values: list[int]) -> npt.NDArray[np.int64]:
    import numpy as np

    return np.array(values, dtype=np.int64)


def _with_hashes(requests: pa.Table, hash_ids: list[list[int]]) -> pa.Table:
    import pyarrow as pa

    column = pa.array(hash_ids, pa.list_(pa.int64()))
    return requests.append_column(tables.prefix_hashes_field(), column)
