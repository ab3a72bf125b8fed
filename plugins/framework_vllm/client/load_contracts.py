"""What the load client is given and what it returns.

All times named `_s` count from t = 0 of the load, the first arrival of the workload, except
`LoadOutcome.t0_monotonic_s`, which says when that was on this machine's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from framework.contracts import Json, Metric
from framework.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

Routing = Literal["round_robin", "least_load"]
Dialect = Literal["auto", "vllm", "openai", "minimal"]

Progress = Callable[[float, str], None]
"""Called with (fraction 0–1, short text), a few times a second."""

ShouldStop = Callable[[], str | None]
"""Polled about ten times a second; a text ends the load at once, with that text as the error of what is open."""


class LoadError(UserError):
    """The load could not start or be carried through: no server there, a request it refuses, a lost process."""


@dataclass(frozen=True)
class Target:
    """One server (one replica) that speaks the OpenAI completions protocol.

    Attributes:
        url: `http://host:port`, with a path prefix if the server has one; `/v1/completions` is added.
        model: name under which it serves the base model.
        headers: further HTTP headers, e.g. `{"Authorization": "Bearer …"}`.
    """

    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SaturationRule:
    """When a load counts as more than the servers can take (`framework_vllm.client.saturation`).

    Attributes:
        window_s: length of the moving window that is judged.
        warmup_s: start of the load that is never judged: queues fill up there at any rate.
        bins: equal parts of the window, each reduced to one mean; their order carries the trend.
        confidence: one-sided confidence of both slopes.
        ttft_slope_min: seconds of TTFT gained a second; 0.02 is an offered load 2 % above what is served.
    """

    window_s: float = 30.0
    warmup_s: float = 10.0
    bins: int = 12
    confidence: float = 0.99
    ttft_slope_min: float = 0.02


@dataclass(frozen=True)
class LoadPlan:
    """A load: which requests, to which servers, how.

    Attributes:
        requests: `framework_serving.tables.requests_in`, with `prefix_block_hashes` where prompts share prefixes,
            `follows` and `think_s` where requests wait for others.
        targets: at least one; requests are distributed by `routing`.
        vocabulary: token ids that prompts are made of (special tokens left out).
        seed: prompts are a function of it and of a request's id or block hash alone.
        adapter_names: adapter_id → name under which it is served.
        routing: request i to server i mod n, or to the one with the fewest open requests of this client.
        concurrency: None sends each request at its `arrival_s` (open loop); n keeps at most n requests open, in order
            of their ids (closed loop), and a request then arrives when it is sent.
        horizon_s: the load is cut then, and what is open cancelled; None serves every request to its end.
        warmup_requests: sent before t = 0 and left out of every result; with adapters, one each and target at
            least. 0 sends none at all, not even the request that finds out the dialect.
        processes: None chooses (`framework_vllm.client.workers.shares.process_count`).
        request_timeout_s: from sending to the last token; what takes longer has failed.
        retries: new attempts after a refused connection, 429 or 503, before any token came.
        prefix_block_tokens: tokens in a block of `prefix_block_hashes`.
        saturation: ends the load early once it is clearly more than the servers can take; None never does.
        extra_body: further keys of every request's body (`temperature`, `detokenize` …); they win over ours.
        dialect: body keys that the server knows; `auto` finds out in the warm-up, and is `vllm` without one.
    """

    requests: pa.Table
    targets: tuple[Target, ...]
    vocabulary: range
    seed: int
    adapter_names: Mapping[int, str] = field(default_factory=dict)
    routing: Routing = "round_robin"
    concurrency: int | None = None
    horizon_s: float | None = None
    warmup_requests: int = 0
    processes: int | None = None
    request_timeout_s: float = 3600.0
    retries: int = 0
    prefix_block_tokens: int | None = None
    saturation: SaturationRule | None = None
    extra_body: Mapping[str, Json] = field(default_factory=dict)
    dialect: Dialect = "auto"

    @property
    def has_sessions(self) -> bool:
        """Whether a request comes after the answer to another one."""
        return "follows" in self.requests.column_names

    @property
    def linked(self) -> bool:
        """Whether a request may have to wait for the end of another before it comes."""
        return self.concurrency is not None or self.has_sessions


@dataclass(frozen=True)
class LoadOutcome:
    """What happened to every request of a plan.

    Attributes:
        requests: `framework_serving.tables.requests_out`. `scheduled_s` is `first_token_s` less the engine's own time
            from there, null where the server does not report it; `preemptions` is null.
        client_requests: `client_requests_schema`, one row a request that was due, in the same order.
        t0_monotonic_s: `time.monotonic()` of t = 0, the same clock in every process of this machine.
        duration_s: from t = 0 to the last token, or to when the load was cut.
        metrics: `itl_{mean,p50,p90,p99}_ms` over the pooled gaps of finished requests.
        facts: `client_lag_p99_ms`, `client_processes`, the saturation verdict … (docs/load_client.md).
    """

    requests: pa.Table
    client_requests: pa.Table
    t0_monotonic_s: float
    duration_s: float
    metrics: list[Metric]
    facts: dict[str, Json]


def client_requests_schema() -> pa.Schema:
    """Schema of `client_requests`: how each request went, as the client saw it.

    `target` counts from 0 in the order of the plan. `sent_s` is when the kernel had taken the last byte of the
    last attempt; `lag_s` how late the first attempt was sent. `http_status` and `finish_reason` are the last
    answer's. `prompt_tokens` and `completion_tokens` are the server's own count (its usage), null where it
    gave none. `engine_queue_s`, `engine_prefill_s` (from being scheduled to the first token) and `engine_decode_s`
    (from there to the last) are the engine's own times, where it reports them (vLLM's
    `--enable-per-request-metrics`). `token_times_s` holds one offset from the first token for each token (tokens of
    one event share it), null where the server does not report how many tokens an event held.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("request_id", pa.int64(), nullable=False),
            pa.field("target", pa.int32()),
            pa.field("due_s", pa.float64()),
            pa.field("sent_s", pa.float64()),
            pa.field("lag_s", pa.float64()),
            pa.field("http_status", pa.int32()),
            pa.field("attempts", pa.int32(), nullable=False),
            pa.field("finish_reason", pa.string()),
            pa.field("prompt_tokens", pa.int64()),
            pa.field("completion_tokens", pa.int64()),
            pa.field("events", pa.int64(), nullable=False),
            pa.field("engine_queue_s", pa.float64()),
            pa.field("engine_prefill_s", pa.float64()),
            pa.field("engine_decode_s", pa.float64()),
            pa.field("token_times_s", pa.list_(pa.float32())),
        ]
    )
