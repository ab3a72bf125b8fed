"""Measured serving runs: one row a run, in the schema of `serving_runs_calibration.csv.gz`.

A `RunSetup` holds only what a run was configured with; what was measured is kept apart, so that a
prediction cannot read it.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from framework.contracts import WorkloadTables
from framework.errors import InputError

UNKNOWN = math.nan
"""A number that the table does not give."""


SHARED_SERVER = "series_mismatch"
"""Remark on a run whose server held more requests than the run sent: those of another client were among them."""

OWN_ON_SHARED_SERVER = ("completed", "itl_mean_ms", "itl_median_ms", "itl_p99_ms", "tpot_mean_ms")
"""What is a run's own on such a server: the pace of a batch that is full all the same. How long its requests waited,
and so their rate, depends on the load of the other client, which is not recorded."""


@dataclass(frozen=True)
class RunSetup:
    """Configuration of one run; counts are per replica where the engine has several.

    Attributes:
        row: place in the file, counting from 0.
        arrival: `burst` (all at time 0), `poisson` (one stream per adapter) or `concurrency` (a closed loop).
        duration_limit_s: length of a time-window run; None runs to the last token.
        num_prompts: prompts of a run without a time window; for offline runs the batch.
        input_std, output_std: NaN where unknown.
        adapter_rates_rps, adapter_ranks: one entry an adapter.
        kv_cache_tokens: KV capacity where it is known, else None.
        max_loras: adapter slots; 0 where adapters are off.
        adapters_preloaded: whether host memory held them when the run began.
        concurrency: requests that the client keeps open in a closed loop.
    """

    run_id: str
    row: int
    source: str
    family: str
    model: str
    gpu: str
    generation: str
    engine: str
    attention_backend: str
    enforce_eager: bool
    arrival: str
    duration_limit_s: float | None
    num_prompts: int | None
    input_mean: float
    input_std: float
    output_mean: float
    output_std: float
    length_distribution: str
    n_adapters: int
    adapter_rates_rps: tuple[float, ...]
    adapter_ranks: tuple[int, ...]
    max_num_seqs: int
    max_num_batched_tokens: int
    chunked_prefill: bool
    max_model_len: int
    gpu_memory_utilization: float
    kv_cache_tokens: int | None
    replicas: int
    mps: bool
    max_loras: int
    max_cpu_loras: int
    max_lora_rank: int
    adapters_preloaded: bool = False
    concurrency: int | None = None

    @property
    def offline(self) -> bool:
        """Whether the run had no server: all prompts are prefilled, then decoded in lock step."""
        return self.family == "offline_steps"

    @property
    def offered_rps(self) -> float:
        """Requests per second that clients send; infinite for a burst."""
        return sum(self.adapter_rates_rps) if self.arrival == "poisson" else math.inf

    @property
    def offered_tok_s(self) -> float:
        """Tokens (input and output) per second that clients ask for; infinite for a burst."""
        return self.offered_rps * (self.input_mean + self.output_mean)


@dataclass(frozen=True)
class MeasuredRun:
    """A run's setup next to what was measured.

    Attributes:
        setup: the configuration, all that a prediction may see.
        measured: column (`measured_itl_mean_ms`, `decode_step_mean_ms` …) to value; absent if empty.
        starved: measured throughput below 0.9 of what was offered; None where nothing was offered.
        quality_flags: the source's remarks; `clean` among them means no known defect.
        workload: what was sent, where that is known to the single request; None: moments of it alone.
    """

    setup: RunSetup
    measured: Mapping[str, float]
    starved: bool | None
    quality_flags: tuple[str, ...]
    workload: WorkloadTables | None = None

    @property
    def clean(self) -> bool:
        """Whether the source knows of no defect."""
        return "clean" in self.quality_flags


@dataclass(frozen=True)
class BadRow:
    """A row that could not be understood, and why."""

    row: int
    run_id: str
    reason: str


def read_measured_runs(path: Path) -> tuple[list[MeasuredRun], list[BadRow]]:
    """Read a table of runs (CSV, gzip allowed). Rows that break the schema are returned apart.

    Raises `InputError` if the file can't be read or lacks a required column.
    """
    runs: list[MeasuredRun] = []
    bad: list[BadRow] = []
    for number, record in enumerate(_records(path)):
        try:
            runs.append(measured_run(record, number))
        except ValueError as error:
            bad.append(BadRow(number, record.get("run_id") or f"row {number}", str(error)))
    if not runs and not bad:
        raise InputError(f"{path}: no rows")
    return runs, bad


def measured_run(record: Mapping[str, str | None], row: int) -> MeasuredRun:
    """Build a run from one record of text cells. Raises `ValueError` naming the column that is wrong."""
    cells = _Cells(record)
    window = cells.optional_number("duration_limit_s")
    prompts = cells.optional_number("num_prompts")
    kv_tokens = cells.optional_number("kv_cache_tokens")
    users = cells.optional_number("concurrency")
    slots = int(cells.optional_number("max_loras") or 0)
    adapters = int(cells.optional_number("n_adapters") or 0)
    rates = _dealt(cells.text("adapter_rates_rps"), "adapter_rates_rps")
    ranks = tuple(int(rank) for rank in _dealt(cells.text("adapter_ranks"), "adapter_ranks"))
    arrival = cells.text("arrival") or "burst"
    if arrival == "poisson" and not rates:
        rates = _even_rates(cells.optional_number("request_rate_rps"), adapters)
    setup = RunSetup(
        run_id=cells.text("run_id") or f"row-{row}",
        row=row,
        source=cells.text("source"),
        family=cells.text("family"),
        model=cells.required_text("model"),
        gpu=cells.required_text("gpu"),
        generation=cells.choice("engine_generation", ("v0", "v1")),
        engine=cells.text("engine"),
        attention_backend=cells.text("attention_backend") or "FLASH_ATTN",
        enforce_eager=cells.flag("enforce_eager"),
        arrival=cells.checked("arrival", arrival, ("burst", "poisson", "concurrency")),
        duration_limit_s=window,
        num_prompts=None if prompts is None else int(prompts),
        input_mean=cells.number("input_tokens_mean", least=1),
        input_std=_or_nan(cells.optional_number("input_tokens_std")),
        output_mean=cells.number("output_tokens_mean", least=1),
        output_std=_or_nan(cells.optional_number("output_tokens_std")),
        length_distribution=cells.choice("length_distribution", ("fixed", "sharegpt")),
        n_adapters=adapters,
        adapter_rates_rps=rates,
        adapter_ranks=ranks,
        max_num_seqs=int(cells.number("max_num_seqs", least=1)),
        max_num_batched_tokens=int(cells.number("max_num_batched_tokens", least=1)),
        chunked_prefill=cells.flag("chunked_prefill"),
        max_model_len=int(cells.number("max_model_len", least=1)),
        gpu_memory_utilization=cells.optional_number("gpu_memory_utilization") or 0.9,
        kv_cache_tokens=None if kv_tokens is None else int(kv_tokens),
        replicas=int(cells.optional_number("replicas") or 1),
        mps=cells.flag("mps"),
        max_loras=slots,
        max_cpu_loras=int(cells.optional_number("max_cpu_loras") or max(slots, adapters)),
        max_lora_rank=int(cells.optional_number("max_lora_rank") or max(ranks, default=0)),
        adapters_preloaded=cells.flag("adapters_preloaded"),
        concurrency=None if users is None else int(users),
    )
    _check(setup)
    measured = {name: cells.number(name) for name in record if _is_measurement(name) and cells.text(name)}
    starved = {"true": True, "false": False}.get(cells.text("starved").lower())
    flags = tuple(flag for flag in cells.text("quality_flags").split(";") if flag)
    return MeasuredRun(setup, measured, starved, flags)


def _check(setup: RunSetup) -> None:
    if setup.arrival == "poisson" and not (setup.duration_limit_s or setup.num_prompts):
        raise ValueError(
            "duration_limit_s: a poisson run needs a time window, or num_prompts a number of prompts"
        )
    if setup.arrival != "poisson" and not setup.num_prompts:
        raise ValueError(f"num_prompts: arrival '{setup.arrival}' needs a number of prompts")
    if (setup.arrival == "concurrency") != ((setup.concurrency or 0) >= 1):
        raise ValueError(
            "concurrency: arrival 'concurrency' needs the number of open requests, no other has one"
        )
    if setup.adapter_ranks and max(setup.adapter_ranks) > setup.max_lora_rank:
        raise ValueError(f"max_lora_rank: {setup.max_lora_rank} is below rank {max(setup.adapter_ranks)}")
    if setup.n_adapters and not setup.max_loras:
        raise ValueError(f"max_loras: no adapter slots for {setup.n_adapters} adapters")


def _is_measurement(name: str) -> bool:
    return name.startswith("measured_") or name in {"prefill_time_s", "decode_step_mean_ms"}


class _Cells:
    """Typed access to the cells of one record."""

    def __init__(self, record: Mapping[str, str | None]) -> None:
        self._record = record

    def text(self, name: str) -> str:
        return (self._record.get(name) or "").strip()

    def required_text(self, name: str) -> str:
        if not self.text(name):
            raise ValueError(f"{name}: is empty")
        return self.text(name)

    def optional_number(self, name: str) -> float | None:
        return self.number(name) if self.text(name) else None

    def number(self, name: str, least: float = 0.0) -> float:
        text = self.text(name)
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{name}: '{text}' is not a number") from None
        if math.isnan(value) or value < least:
            raise ValueError(f"{name}: {text} is below {least:g}")
        return value

    def flag(self, name: str) -> bool:
        text = self.text(name).lower()
        return self.checked(name, text or "false", ("true", "false")) == "true"

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        return self.checked(name, self.required_text(name), known)

    @staticmethod
    def checked(name: str, value: str, known: tuple[str, ...]) -> str:
        if value not in known:
            raise ValueError(f"{name}: '{value}' is not one of {', '.join(known)}")
        return value


def _dealt(text: str, name: str) -> tuple[float, ...]:
    """Expand `0.1x43;0.05x42` to one number an adapter."""
    values: list[float] = []
    for part in filter(None, text.split(";")):
        value, _, count = part.partition("x")
        try:
            values += [float(value)] * (int(count) if count else 1)
        except ValueError:
            raise ValueError(f"{name}: '{part}' is not value x count") from None
    return tuple(values)


def _even_rates(total: float | None, adapters: int) -> tuple[float, ...]:
    """Split a total rate evenly over the adapters, or give it to the base model if there are none."""
    if not total or math.isinf(total):
        raise ValueError("request_rate_rps: a poisson run needs a finite rate")
    return (total / max(1, adapters),) * max(1, adapters)


def _or_nan(value: float | None) -> float:
    return UNKNOWN if value is None else value


_REQUIRED = (
    "model",
    "gpu",
    "engine_generation",
    "input_tokens_mean",
    "output_tokens_mean",
    "length_distribution",
    "max_num_seqs",
    "max_num_batched_tokens",
    "max_model_len",
)


def _records(path: Path) -> Iterator[dict[str, str | None]]:
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: column {missing[0]} is missing; is this a table of serving runs?")
            yield from reader
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: can't be read as a table of runs: {error}") from error
