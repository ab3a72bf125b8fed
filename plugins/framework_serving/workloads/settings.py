"""Typed configuration of the serving workloads, and how plain values become it.

The dataclasses are the Hydra schemas of `conf/workload/*.yaml` and the arguments of the classes in
`workloads.py`, `trace.py` and `adapter_mix.py` alike, so a key is declared once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from framework.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_T = TypeVar("_T", bound="DataclassInstance")


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
        kind: `burst` (all at once), `constant`, `poisson` or `gamma` (independent gaps).
        rate_rps: mean requests per second; not for a burst.
        cv: coefficient of variation of the gaps of `gamma` (1 is Poisson).
        ramp_s: seconds a client needs to inject a burst, at a steady pace.
    """

    kind: str = "burst"
    rate_rps: float | None = None
    cv: float = 1.0
    ramp_s: float = 0.0


@dataclass
class SloSettings:
    """Service-level objectives for goodput; null: none. TPOT is a request's time per output token."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None


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
    slo: SloSettings = field(default_factory=SloSettings)
    max_requests: int | None = None
    max_tokens: int | None = None


@dataclass
class AdapterMixSettings:
    """Many LoRA adapters, each with its own stream (`workload=adapters`).

    Attributes:
        n_adapters: adapters that receive requests.
        ranks: LoRA ranks, dealt round-robin to adapters 0, 1, 2 …
        rates_rps: request rates, dealt round-robin and then shuffled with the seed, so that rate and rank
            are independent.
        duration_s, drain, num_requests: as in `SyntheticSettings`; `arrivals.rate_rps` does not apply.
    """

    _target_: str = "framework_serving.workloads.adapter_mix.AdapterMixWorkload"
    name: str = "adapters"
    seed: int = 0
    n_adapters: int = 8
    ranks: list[int] = field(default_factory=lambda: [8])
    rates_rps: list[float] = field(default_factory=lambda: [0.1])
    num_requests: int | None = None
    duration_s: float | None = 3600.0
    drain: bool = False
    lengths: LengthSettings = field(default_factory=LengthSettings)
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


@dataclass
class TraceSettings:
    """Recorded requests from a CSV or JSONL file, `.gz` or not (`workload=trace`).

    Attributes:
        file: path of the trace.
        format: `csv`, `jsonl` or `auto` (by the file's name).
        time_unit: unit of the arrival column: `s`, `ms`, `us` or `ns`.
        window_start_s, window_end_s: keep arrivals in [start, end) of the trace's own clock.
        limit: keep the first so many of those.
        rate_scale: multiply the request rate (2: arrivals come twice as fast).
        sort: sort rows by arrival; otherwise a row out of order is an error.
        skip_bad_rows: leave out rows that can't be read, and count them, instead of stopping.
        hash_block_tokens: tokens in a block of the hash_ids column.
        ranks: LoRA ranks dealt round-robin to the trace's adapters, in order of their names.
        arrivals: used when the trace has no arrival column.
    """

    _target_: str = "framework_serving.workloads.trace.TraceWorkload"
    name: str = "trace"
    seed: int = 0
    file: str = "???"
    format: str = "auto"
    columns: TraceColumns = field(default_factory=TraceColumns)
    time_unit: str = "s"
    window_start_s: float = 0.0
    window_end_s: float | None = None
    limit: int | None = None
    rate_scale: float = 1.0
    sort: bool = False
    skip_bad_rows: bool = False
    hash_block_tokens: int = 512
    ranks: list[int] = field(default_factory=lambda: [8])
    drain: bool = True
    arrivals: ArrivalSettings = field(default_factory=ArrivalSettings)
    slo: SloSettings = field(default_factory=SloSettings)
    max_requests: int | None = None
    max_tokens: int | None = None


def from_plain(kind: type[_T], values: Mapping[str, Any] | None, where: str) -> _T:
    """Return the settings that plain values (as Hydra hands them over) describe.

    Raises:
        ConfigError: an unknown key, with the nearest known one; or not a mapping. Names `where.key`.
    """
    if isinstance(values, kind):
        return values
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a mapping of keys to values, got {values!r}")
    hints: dict[str, Any] = get_type_hints(kind)
    known = {item.name for item in fields(kind) if item.name != "_target_"}
    plain: dict[str, Any] = {}
    for key, value in values.items():
        if key == "_target_":
            continue
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown key{did_you_mean(str(key), known)}")
        plain[key] = from_plain(hints[key], value, f"{where}.{key}") if is_dataclass(hints[key]) else value
    return kind(**plain)


def number(value: Any, key: str, *, above: float | None = None, least: float | None = None) -> float:
    """Return a finite number within bounds. Raises `ConfigError` naming the key."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ConfigError(f"{key}: expected a number, got {value!r}")
    if abs(value) == float("inf"):
        raise ConfigError(f"{key}: must be finite, got {value}")
    if above is not None and value <= above:
        raise ConfigError(f"{key}: must be greater than {above:g}, got {value:g}")
    if least is not None and value < least:
        raise ConfigError(f"{key}: must be at least {least:g}, got {value:g}")
    return float(value)


def whole(value: Any, key: str, *, least: int) -> int:
    """Return a whole number of at least `least`. Raises `ConfigError` naming the key."""
    found = number(value, key, least=least)
    if found != int(found):
        raise ConfigError(f"{key}: must be a whole number, got {value:g}")
    return int(found)


def one_of(value: Any, key: str, allowed: tuple[str, ...]) -> str:
    """Return a word that is allowed. Raises `ConfigError` naming the key and the nearest word."""
    if value not in allowed:
        raise ConfigError(f"{key}: unknown value {value!r}{did_you_mean(str(value), allowed)}")
    return str(value)
