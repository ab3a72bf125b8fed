"""Workload from a recorded trace: which rows of the file become requests, and when they arrive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.configuration.plain_values import from_plain, number, one_of, whole
from framework.contracts import Json, WorkloadTables
from framework.errors import ConfigError
from framework_serving import tables
from framework_serving.workloads.adapter_mix import dealt_ranks
from framework_serving.workloads.arrivals import arrival_times
from framework_serving.workloads.recorded.trace_cells import SECONDS_PER_UNIT
from framework_serving.workloads.recorded.trace_file import Trace, TraceReader
from framework_serving.workloads.recorded.trace_formats import PRESETS
from framework_serving.workloads.settings import ArrivalSettings, TraceSettings
from framework_serving.workloads.synthetic import (
    cap_tokens,
    closed_loop,
    requests_table,
    stream,
    workload_tables,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


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
        if trace.arrivals is not None and settings.arrivals != ArrivalSettings():
            raise ConfigError(
                "workload.arrivals: the trace has its own arrival times; workload.columns.arrival=null replaces them"
            )
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
        follows = turns_before(trace.ids, trace.parents)
        if follows is not None:
            requests = requests.append_column(tables.follows_field(), follows)
            facts["sessions"] = follows.null_count
        requests, loop = closed_loop(requests, settings.arrivals, follows is not None, seed)
        facts |= loop
        if not settings.drain:
            facts["horizon_s"] = self._horizon_s(float(arrivals[-1]))
        return workload_tables(requests, self._adapters(names), facts)

    def _check(self) -> None:
        settings = self.settings
        one_of(settings.preset, "workload.preset", PRESETS)
        one_of(settings.format, "workload.format", ("auto", "csv", "jsonl", "json"))
        if settings.time_unit is not None:
            one_of(settings.time_unit, "workload.time_unit", tuple(SECONDS_PER_UNIT))
        number(settings.rate_scale, "workload.rate_scale", above=0)
        start = number(settings.window_start_s, "workload.window_start_s", least=0)
        if settings.window_end_s is not None:
            number(settings.window_end_s, "workload.window_end_s", above=start)
        if settings.limit is not None:
            whole(settings.limit, "workload.limit", least=1)
        if settings.hash_block_tokens is not None:
            whole(settings.hash_block_tokens, "workload.hash_block_tokens", least=1)

    def _arrivals(self, trace: Trace, seed: int) -> npt.NDArray[np.float64]:
        """Return arrival times from 0: the trace's own, or those of `workload.arrivals` if it has none."""
        import numpy as np

        settings = self.settings
        if trace.arrivals is None:
            return arrival_times(settings.arrivals, len(trace.inputs), None, stream(seed, "arrivals"))
        seconds = trace.arrivals - trace.arrivals[0]
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
            "trace_format": trace.form.name,
            "rows_left_out": trace.left_out,
        }
        if trace.first_error:
            facts["first_row_left_out"] = trace.first_error
        if trace.failed:
            facts["failed_requests_left_out"] = trace.failed
        if names:
            facts["adapter_names"] = names
        if trace.hash_ids is not None:
            facts["prefix_block_tokens"] = trace.form.block_tokens
        return facts


def _array(values: list[int]) -> npt.NDArray[np.int64]:
    import numpy as np

    return np.array(values, dtype=np.int64)


def _with_hashes(requests: pa.Table, hash_ids: list[list[int]]) -> pa.Table:
    import pyarrow as pa

    column = pa.array(hash_ids, pa.list_(pa.int64()))
    return requests.append_column(tables.prefix_hashes_field(), column)


def turns_before(ids: list[str] | None, parents: list[str] | None) -> pa.Array | None:
    """Return the row of the turn before for each request, null for none; None if no request has one.

    A turn that several follow has its first as successor; the others wait for none, as the trace's clock says.
    """
    import pyarrow as pa

    if ids is None or parents is None:
        return None
    row_of = {name: row for row, name in reversed(list(enumerate(ids)))}
    followed: set[int] = set()
    follows: list[int | None] = []
    for row, parent in enumerate(parents):
        before = row_of.get(parent)
        if before is None or before >= row or before in followed:
            follows.append(None)
        else:
            followed.add(before)
            follows.append(before)
    return pa.array(follows, pa.int64()) if followed else None
