"""Typed configuration of the serving workloads.

The dataclasses are the Hydra schemas of `conf/workload/*.yaml` and the arguments of the classes in
`workloads.py`, `trace.py` and `adapter_mix.py`, so a key is declared once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from framework.configuration.plain_values import number


@dataclass
class LengthSettings:
    """Tokens per request.

    Attributes:
        kind: `fixed`, `gamma`, `lognormal` or `histogram`.
        input_tokens, output_tokens: mean (exact number for `fixed`); null with `histogram`: the histogram's.
        input_std, output_std: standard deviation for `gamma` and `lognormal`.
        input_min, input_max, output_min, output_max: allowed range; a null maximum follows from the law.
        total_max: largest input + output of one request; null: no such rule.
        input_histogram, output_histogram: bins as [first token count, last token count, weight].
    """

    kind: str = "gamma"
    input_tokens: float | None = None
    input_std: float = 0.0
    input_min: int = 1
    input_max: int | None = None
    output_tokens: float | None = None
    output_std: float = 0.0
    output_min: int = 1
    output_max: int | None = None
    total_max: int | None = None
    input_histogram: list[Any] | None = None
    output_histogram: list[Any] | None = None


@dataclass
class ArrivalSettings:
    """When requests arrive.

    Attributes:
        kind: `burst` (all at once), `constant`, `poisson`, `gamma` (independent gaps), or `concurrency` (a closed
            loop: each of `concurrency` users sends a request when the one before is served).
        rate_rps: mean requests per second; not for a burst. `inf` is a burst.
        rate_points: a rate that changes: [seconds, requests per second] in order of time, instead of `rate_rps`; the
            last rate stays.
        rate_shape: how it gets from one point to the next: `step`, `linear` or `exponential`.
        cv: coefficient of variation of the gaps of `gamma` (1 is Poisson).
        burstiness: vLLM's word for the same: the shape of the gamma law, 1 / cv².
        ramp_s: seconds a client needs to inject a burst, or to start its users, at a steady pace.
        concurrency: users; with another kind, the most requests that a client keeps open, as `vllm bench serve
            --max-concurrency`: what arrives beyond it is sent when one has been served.
        think_s: mean pause of a user between an answer and its next request.
        think_cv: coefficient of variation of this pause: 0 is always the same, 1 exponential.
    """

    kind: str = "burst"
    rate_rps: float | None = None
    rate_points: list[Any] | None = None
    rate_shape: str = "step"
    cv: float = 1.0
    burstiness: float | None = None
    ramp_s: float = 0.0
    concurrency: int | None = None
    think_s: float = 0.0
    think_cv: float = 0.0


@dataclass
class SessionSettings:
    """Requests that belong together: every turn of a session comes after the answer to the one before.

    A turn's prompt is the one before, its answer, and `lengths.input_tokens` of new tokens. `arrivals` are those of
    sessions, and `num_requests` counts all turns.

    Attributes:
        turns: requests of a session.
        shared_tokens: tokens that all prompts begin with (a system prompt), in addition to the others.
    """

    turns: int = 1
    shared_tokens: int = 0


@dataclass
class SloSettings:
    """Objectives of a request; null: none. TPOT and ITL are its mean time per output token after the first."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    itl_ms: float | None = None
    e2e_ms: float | None = None

    def __post_init__(self) -> None:
        """Raise `ConfigError` for a time that no request can meet."""
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None:
                number(value, f"workload.slo.{item.name}", above=0)


@dataclass
class SyntheticSettings:
    """Lengths × arrivals (`workload=fixed`, `workload=sharegpt`).

    Attributes:
        num_requests: stop after so many; null: `duration_s` decides.
        duration_s: requests arrive within this window; null: `num_requests` decides.
        drain: serve every request to its end; false cuts the run at `duration_s`.
        max_requests, max_tokens: caps of `scale`, for a smaller run of the same kind.
    """

    _target_: str = "framework_serving.workloads.synthetic.SyntheticWorkload"
    name: str = "synthetic"
    seed: int = 0
    num_requests: int | None = None
    duration_s: float | None = None
    drain: bool = True
    lengths: LengthSettings = field(default_factory=LengthSettings)
    arrivals: ArrivalSettings = field(default_factory=ArrivalSettings)
    sessions: SessionSettings = field(default_factory=SessionSettings)
    slo: SloSettings = field(default_factory=SloSettings)
    max_requests: int | None = None
    max_tokens: int | None = None


@dataclass
class PopularitySettings:
    """How unequal the rates of adapters are.

    Attributes:
        kind: `list` (`rates_rps`, assigned in turn), `zipf` (the k-th adapter's rate is proportional to
            1 / k^exponent) or `uniform` (evenly spaced between (1 - spread) and (1 + spread) of the mean).
        mean_rps: mean rate of an adapter, for `zipf` and `uniform`.
        exponent: of `zipf`; null: 1.
        spread: of `uniform`; null: 0.5.
        drift_s: after every so many seconds the rates are assigned to the adapters again; null: never.
    """

    kind: str = "list"
    mean_rps: float | None = None
    exponent: float | None = None
    spread: float | None = None
    drift_s: float | None = None


@dataclass
class ActivitySettings:
    """Tenants that pause, each by itself; their mean rate stays the same.

    Attributes:
        on_s, off_s: mean seconds of activity and of a pause, exponential; null: no pauses.
    """

    on_s: float | None = None
    off_s: float | None = None


@dataclass
class BurstSettings:
    """Times at which all adapters are busier together; their mean rate stays the same.

    Attributes:
        every_s: mean seconds from one burst to the next; null: no bursts.
        length_s: mean seconds of a burst.
        factor: rate within a burst, relative to the rate between bursts.
    """

    every_s: float | None = None
    length_s: float | None = None
    factor: float | None = None


@dataclass
class AdapterMixSettings:
    """Many LoRA adapters, each with its own stream (`workload=adapters`).

    Attributes:
        n_adapters: adapters that receive requests.
        ranks: LoRA ranks, assigned round-robin to adapters 0, 1, 2 …
        rates_rps: request rates, assigned round-robin and then shuffled with the seed, so that rate and rank
            are independent.
        popularity, activity, bursts: rates by a law instead of a list; rates that change.
        adapter_lengths: keys of `lengths` that differ from adapter to adapter, assigned round-robin; null: all
            adapters have `lengths`.
        duration_s, drain, num_requests: as in `SyntheticSettings`; `arrivals.rate_rps` does not apply.
    """

    _target_: str = "framework_serving.workloads.adapter_mix.AdapterMixWorkload"
    name: str = "adapters"
    seed: int = 0
    n_adapters: int = 8
    ranks: list[int] = field(default_factory=lambda: [8])
    rates_rps: list[float] = field(default_factory=lambda: [0.1])
    popularity: PopularitySettings = field(default_factory=PopularitySettings)
    activity: ActivitySettings = field(default_factory=ActivitySettings)
    bursts: BurstSettings = field(default_factory=BurstSettings)
    num_requests: int | None = None
    duration_s: float | None = 3600.0
    drain: bool = False
    lengths: LengthSettings = field(default_factory=LengthSettings)
    adapter_lengths: list[Any] | None = None
    arrivals: ArrivalSettings = field(default_factory=lambda: ArrivalSettings(kind="poisson"))
    slo: SloSettings = field(default_factory=SloSettings)
    max_requests: int | None = None
    max_tokens: int | None = None


@dataclass
class TraceColumns:
    """Names of a trace's columns (CSV header or JSON keys); null: the trace has no such column."""

    arrival: str | None = "arrival_s"
    input: str = "input_tokens"
    output: str = "output_tokens"
    adapter: str | None = None
    hash_ids: str | None = None
    id: str | None = None
    parent: str | None = None


@dataclass
class TraceSettings:
    """Recorded requests from a CSV or JSON file, compressed or not (`workload=trace`).

    Attributes:
        file: path of the trace.
        preset: `auto` (the columns named below, or the published format that the file's names show), `columns` (those
            only), or a published format, which the file must have: `azure`, `vidur`, `burstgpt`, `mooncake`, `qwen`,
            `servingsim`, `sharegpt`, `custom`.
        format: `csv`, `jsonl`, `json` or `auto` (by content).
        time_unit: unit of the arrival column: `s`, `ms`, `us` or `ns`; null: the format's, else `s`. Dates need none.
        tokenizer: tokenizer.json of the model, for traces of texts.
        window_start_s, window_end_s: keep arrivals in [start, end) of the trace's own clock.
        limit: keep the first so many of those.
        rate_scale: multiply the request rate (2: arrivals come twice as fast).
        sort: sort rows by arrival; otherwise a row out of order is an error.
        skip_bad_rows: leave out rows that can't be read, and count them, instead of stopping.
        hash_block_tokens: tokens in a block of the hash_ids column; null: the format's, else 512.
        ranks: LoRA ranks assigned round-robin to the trace's adapters, in order of their names.
        arrivals: used when the trace has no arrival column.
    """

    _target_: str = "framework_serving.workloads.trace.TraceWorkload"
    name: str = "trace"
    seed: int = 0
    file: str = "???"
    preset: str = "auto"
    format: str = "auto"
    columns: TraceColumns = field(default_factory=TraceColumns)
    time_unit: str | None = None
    tokenizer: str | None = None
    window_start_s: float = 0.0
    window_end_s: float | None = None
    limit: int | None = None
    rate_scale: float = 1.0
    sort: bool = False
    skip_bad_rows: bool = False
    hash_block_tokens: int | None = None
    ranks: list[int] = field(default_factory=lambda: [8])
    drain: bool = True
    arrivals: ArrivalSettings = field(default_factory=ArrivalSettings)
    slo: SloSettings = field(default_factory=SloSettings)
    max_requests: int | None = None
    max_tokens: int | None = None
