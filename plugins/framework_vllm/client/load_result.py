"""From the board to tables, metrics and facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.contracts import Json, Metric
from framework_serving.metrics.metric_definitions import PERCENTILES
from framework_serving.tables import requests_out
from framework_vllm.client.load_contracts import LoadOutcome, LoadPlan, client_requests_schema
from framework_vllm.client.request_ledger import LoopReport
from framework_vllm.client.saturation import Saturation
from framework_vllm.client.workers.board import (
    COLUMNS,
    FAILED,
    FINISHED,
    OPEN,
    PENDING,
    REFUSED,
    STREAMING,
    Board,
)
from framework_vllm.client.workers.shares import holder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    FloatArray = npt.NDArray[np.float64]

_LOST = "the client process of this request ended: {}"
_MS = 1e3


@dataclass(frozen=True)
class Ending:
    """How a load ended.

    Attributes:
        cut_s: when it was cut, if it was not over by then; None for a load that served all.
        cause: why it had to be given up (a server died); None for a planned cut.
        saturation: the last verdict, where there is a rule.
    """

    cut_s: float | None
    cause: str | None
    saturation: Saturation | None


def outcome(
    plan: LoadPlan,
    board: Board,
    t0_s: float,
    ending: Ending,
    reports: Sequence[LoopReport | str],
    id_prefix: str,
) -> LoadOutcome:
    """Return a load's outcome from what its processes wrote down."""
    import numpy as np

    seen = {name: np.array(board.array(name)) for name in COLUMNS}
    arrival_s = plan.requests["arrival_s"].to_numpy()
    if plan.linked:
        arrival_s = np.where(np.isnan(seen["due_s"]), np.inf, seen["due_s"])
    state = seen["state"]
    last_s = np.nanmax(seen["last_s"]) if np.isfinite(seen["last_s"]).any() else 0.0
    cut_s = np.inf if ending.cut_s is None else ending.cut_s
    open_at_end = bool(((state < FINISHED) & (arrival_s <= cut_s)).any())
    duration_s = float(cut_s) if np.isfinite(cut_s) and open_at_end else float(last_s)
    statuses, errors = _statuses(seen, arrival_s, cut_s, ending.cause, reports, board.targets)
    tokens = _token_counts(seen)
    if plan.linked:
        arrival_s = np.where(np.isfinite(arrival_s), arrival_s, duration_s)
    requests = _requests_table(plan, seen, arrival_s, tokens, statuses, errors)
    client_requests = _client_table(plan, board, seen, reports)
    facts = _facts(plan, seen, board, reports, ending, id_prefix)
    return LoadOutcome(requests, client_requests, t0_s, duration_s, _itl(board, seen), facts)


def _token_counts(seen: dict[str, Any]) -> npt.NDArray[np.int64]:
    """Return tokens per request: as counted, or the server's usage where its events don't report."""
    import numpy as np

    told = (seen["counted"] == 0) & (seen["completion_tokens"] >= 0)
    counts: npt.NDArray[np.int64] = np.where(told, seen["completion_tokens"], seen["tokens"]).astype(np.int64)
    return counts


def _statuses(
    seen: dict[str, Any],
    arrival_s: FloatArray,
    cut_s: float,
    cause: str | None,
    reports: Sequence[LoopReport | str],
    targets: int,
) -> tuple[list[str], list[str | None]]:
    """Return status and error of every request."""
    import numpy as np

    known: dict[int, str] = {}
    for report in reports:
        if isinstance(report, LoopReport):
            known.update(report.errors)
    names = {
        FINISHED: "finished",
        FAILED: "failed",
        REFUSED: "refused",
        STREAMING: "running",
        OPEN: "waiting",
        PENDING: "waiting",
    }
    statuses: list[str] = []
    errors: list[str | None] = []
    arrived = arrival_s <= cut_s
    holders = holder(np.arange(len(arrival_s)), targets, len(reports))
    for row, state in enumerate(seen["state"].tolist()):
        status, error = names[state], known.get(row)
        if state < FINISHED:
            report = reports[holders[row]]
            if isinstance(report, str):
                status, error = "failed", cause or _LOST.format(report)
            elif state == PENDING and not arrived[row]:
                status = "not_arrived"
            elif cause is not None:
                status, error = "failed", cause
        statuses.append(status)
        errors.append(error if status in ("failed", "refused") else None)
    return statuses, errors


def _requests_table(
    plan: LoadPlan,
    seen: dict[str, Any],
    arrival_s: FloatArray,
    tokens: npt.NDArray[np.int64],
    statuses: list[str],
    errors: list[str | None],
) -> pa.Table:
    import pyarrow as pa

    asked, rows = plan.requests, plan.requests.num_rows
    columns = [
        asked["request_id"].combine_chunks(),
        pa.array(arrival_s, pa.float64()),
        _times(_scheduled(seen, arrival_s)),
        _times(seen["first_s"]),
        _times(seen["last_s"]),
        asked["input_tokens"].combine_chunks(),
        pa.array(tokens, pa.int64()),
        asked["adapter_id"].combine_chunks(),
        pa.nulls(rows, pa.int64()),
        pa.array(statuses),
        pa.array(errors, pa.string()),
    ]
    return pa.table(columns, schema=requests_out())


def _client_table(
    plan: LoadPlan, board: Board, seen: dict[str, Any], reports: Sequence[LoopReport | str]
) -> pa.Table:
    import pyarrow as pa

    reasons: dict[int, str] = {}
    for report in reports:
        if isinstance(report, LoopReport):
            reasons.update(report.finish_reasons)
    ended = [
        reasons.get(row, "length") if state == FINISHED else None
        for row, state in enumerate(seen["state"].tolist())
    ]
    columns = [
        plan.requests["request_id"].combine_chunks(),
        _counts(seen["target"], pa.int32()),
        _times(seen["due_s"]),
        _times(seen["sent_s"]),
        _times(seen["lag_s"]),
        pa.array(seen["http_status"], pa.int32(), mask=seen["http_status"] <= 0),
        pa.array(seen["attempts"], pa.int32()),
        pa.array(ended, pa.string()),
        _counts(seen["prompt_tokens"], pa.int64()),
        _counts(seen["completion_tokens"], pa.int64()),
        pa.array(seen["events"], pa.int64()),
        _times(seen["engine_queue_s"]),
        _times(seen["engine_prefill_s"]),
        _times(seen["engine_decode_s"]),
        _token_times(board, seen),
    ]
    return pa.table(columns, schema=client_requests_schema())


def _scheduled(seen: dict[str, Any], arrival_s: FloatArray) -> FloatArray:
    """Return when the engine began: as long before the first token as it says; NaN where it does not."""
    import numpy as np

    scheduled_s: FloatArray = np.maximum(seen["first_s"] - seen["engine_prefill_s"], arrival_s)
    return scheduled_s


def _times(values: FloatArray) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _counts(values: Any, kind: Any) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, kind, mask=values < 0)


def _kept(board: Board, seen: dict[str, Any]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the token times of all requests that have them, one after another, and their number by request."""
    import numpy as np

    room = np.diff(seen["token_at"], append=board.tokens)
    lengths = np.where(seen["counted"] > 0, np.minimum(seen["tokens"], room), 0).astype(np.int64)
    times = board.array("token_times_s")
    parts = [times[at : at + length] for at, length in zip(seen["token_at"], lengths, strict=True)]
    return np.concatenate(parts), lengths


def _token_times(board: Board, seen: dict[str, Any]) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    values, lengths = _kept(board, seen)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(values, pa.float32()), mask=pa.array(lengths == 0)
    )


def _itl(board: Board, seen: dict[str, Any]) -> list[Metric]:
    """Return inter-token latency over the pooled gaps of finished requests.

    Tokens that come in one event have no time between them: their gap is 0, and the mean stays right.
    """
    import numpy as np

    names = {"itl_mean_ms": None, **{f"itl_{key}_ms": percent for key, percent in PERCENTILES.items()}}
    finished = seen["state"] == FINISHED
    if not finished.any():
        return [Metric.absent(name, "no request finished", "ms") for name in names]
    if not seen["counted"][finished].all():
        reason = "the server does not report the number of tokens in an event"
        return [Metric.absent(name, reason, "ms") for name in names if name != "itl_mean_ms"]
    values, lengths = _kept(board, seen)
    own = np.repeat(finished, lengths)
    starts = np.cumsum(lengths) - lengths
    own[starts[starts < len(own)]] = False  # a request's first token has no gap before it
    gaps_ms = _MS * np.diff(values, prepend=np.float32(0)).astype(np.float64)[own]
    if not gaps_ms.size:
        reason = "no finished request with more than one token"
        return [Metric.absent(name, reason, "ms") for name in names]
    return [
        Metric(
            name, float(gaps_ms.mean() if part is None else np.percentile(gaps_ms, part)), "ms", "token gaps"
        )
        for name, part in names.items()
    ]


def _facts(
    plan: LoadPlan,
    seen: dict[str, Any],
    board: Board,
    reports: Sequence[LoopReport | str],
    ending: Ending,
    id_prefix: str,
) -> dict[str, Json]:
    import numpy as np

    lag_ms = _MS * seen["lag_s"][np.isfinite(seen["lag_s"])]
    known = [report for report in reports if isinstance(report, LoopReport)]
    finished = seen["state"] == FINISHED
    events = int(seen["events"][finished].sum())
    facts: dict[str, Json] = {
        "client_processes": board.processes,
        "client_dialect": plan.dialect,
        "client_id_prefix": id_prefix,
        "client_connections": sum(report.connections for report in known),
        "client_retries": sum(report.retried for report in known),
        "client_resent": sum(report.resent for report in known),
        "client_busy_max_ms": _MS * max((report.busy_max_s for report in known), default=0.0),
        "client_cpu_share_max": max((r.cpu_s / r.wall_s for r in known if r.wall_s > 0), default=0.0),
    }
    if events:
        facts["tokens_per_event"] = int(_token_counts(seen)[finished].sum()) / events
    if lag_ms.size:
        facts["client_lag_p50_ms"] = float(np.percentile(lag_ms, 50))
        facts["client_lag_p99_ms"] = float(np.percentile(lag_ms, 99))
        facts["client_lag_max_ms"] = float(lag_ms.max())
    verdict = ending.saturation
    if verdict is not None:
        facts["saturated"] = verdict.saturated
        for name in ("ttft_s_per_s", "queue_per_s"):
            found = getattr(verdict, name)
            facts[f"saturation_{name}"] = None if found is None else found.value
            facts[f"saturation_{name}_low"] = None if found is None else found.low
    if verdict is not None and verdict.saturated:
        facts["saturated_at_s"] = ending.cut_s
    return facts
