"""What a simulation needs to know: the engine, the requests, the adapters. Checked before anything runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError, InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

V0_WATERMARK = 0.01
"""Share of the KV blocks that V0 keeps free when it admits a prompt."""


@dataclass(frozen=True)
class EngineConfig:
    """One engine's settings, named as vLLM's; every replica has the same.

    Attributes:
        generation: "v0" (prefill first, or chunked prefill with decodes first) or "v1" (one token budget).
        kv_blocks: KV cache capacity in blocks, per replica.
        max_num_seqs: most requests in the running batch.
        max_num_batched_tokens: tokens a step may compute.
        chunked_prefill: whether V0 mixes prompt chunks into decode steps; V1 always does.
        max_model_len: a request of more tokens (prompt and output) is refused.
        state_blocks: blocks that a running request holds beside its tokens', for the state of recurrent layers.
        window_tokens, window_blocks: blocks that a running request of at least `window_tokens` holds beside its
            tokens', for layers that keep a window of them; a shorter one holds a share (`blocks_held`). 0: none.
        max_loras: adapter slots in GPU memory; 0 without LoRA.
        max_cpu_loras: adapters held in host memory; None means as many as there are.
        max_lora_rank: rank the slots are sized for.
        touches_first: whether a step marks all adapters that it finds in slots as used before it loads any; vLLM
            does not, and so evicts some that the same step needs (`kernel.structures.adapter_slots`).
        adapters_preloaded: whether host memory contains the first `max_cpu_loras` adapters at the start.
        horizon_s: requests still open at this time are left unfinished; None runs to the last token.
        sample_period_s: period of the time series; None records none.
        replicas: engines behind one router.
        router: "round_robin" (assigned in turn) or "least_load" (fewest running and waiting).
        replicas_on_gpu: replicas that share one GPU, for the step-time law.
        ranks: replicas that step together (data parallelism with shared experts): each waits while another computes
            prompts. The others are taken to have as many prompts as the replica itself.
    """

    generation: Literal["v0", "v1"] = "v1"
    kv_blocks: int = 0
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    chunked_prefill: bool = True
    max_model_len: int = 2**31 - 1
    block_size: int = 16
    state_blocks: int = 0
    window_tokens: int = 0
    window_blocks: int = 0
    enable_prefix_caching: bool = False
    max_loras: int = 0
    max_cpu_loras: int | None = None
    max_lora_rank: int = 0
    touches_first: bool = False
    adapters_preloaded: bool = True
    horizon_s: float | None = None
    sample_period_s: float | None = None
    replicas: int = 1
    router: Literal["round_robin", "least_load"] = "round_robin"
    replicas_on_gpu: int = 1
    ranks: int = 1

    @property
    def prefill_first(self) -> bool:
        """Whether a step is either all prompts or all decodes (V0 without chunked prefill)."""
        return self.generation == "v0" and not self.chunked_prefill

    @property
    def watermark_blocks(self) -> int:
        """Blocks that admission leaves free."""
        return int(V0_WATERMARK * self.kv_blocks) if self.generation == "v0" else 0

    @property
    def longest_request(self) -> int:
        """Most tokens (prompt and output) of a request that can run; the last token is never written to the cache."""
        blocks = self.kv_blocks - self.watermark_blocks - self.state_blocks - self.window_blocks
        return min(self.max_model_len, blocks * self.block_size + 1)

    def check(self) -> None:
        """Raise ConfigError, one line that names the key, unless the settings can work together."""
        _check_choice("generation", self.generation, ("v0", "v1"))
        _check_choice("router", self.router, ("round_robin", "least_load"))
        for key, least in _LEAST.items():
            value = getattr(self, key)
            if value is not None and not (isinstance(value, int | np.integer) and value >= least):
                raise ConfigError(f"{key}: {value!r} is not a whole number of at least {least}")
        for key in ("horizon_s", "sample_period_s"):
            seconds = getattr(self, key)
            if seconds is not None and not 0.0 < seconds < math.inf:
                raise ConfigError(f"{key}: {seconds!r} is not a positive number of seconds")
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise ConfigError(
                f"max_num_batched_tokens: {self.max_num_batched_tokens} is below max_num_seqs ({self.max_num_seqs})"
            )
        if self.prefill_first and self.max_num_batched_tokens < min(self.max_model_len, self.longest_request):
            raise ConfigError(
                f"max_num_batched_tokens: {self.max_num_batched_tokens} is below max_model_len "
                f"({self.max_model_len}); V0 without chunked prefill computes a prompt in one step"
            )
        if self.enable_prefix_caching and self.generation != "v1":
            raise ConfigError("enable_prefix_caching: modelled for generation v1 only")
        if self.max_cpu_loras is not None and self.max_cpu_loras < self.max_loras:
            raise ConfigError(f"max_cpu_loras: {self.max_cpu_loras} is below max_loras ({self.max_loras})")


@dataclass(frozen=True)
class Requests:
    """The requests, in order of arrival.

    Attributes:
        arrival_s: seconds, ascending from any origin ≥ 0.
        input_tokens: prompt tokens, at least 1.
        output_tokens: tokens to generate, at least 1.
        adapter: index into the adapter table, -1 for the base model; None means all base.
        prefix_blocks: names (hashes) of the leading full blocks of all requests, one after another. Equal names mean
            equal content up to and with that block. Names beyond the prompt represent blocks of generated tokens.
        prefix_start: where each request's names begin, and the end: one more entry than requests.
        follows: the request whose end a request waits for, -1 for none: the next turn of a session; None means none.
        users: clients of a closed loop. Each has one request open: the next turn of its session, or else the first
            request of the next session. None means that requests come whatever became of earlier ones.
        think_s: pause of its user after the end of a request, before the next one.
        turnaround_s: time from the end of a request in the engine until its user knows.

    With `follows` or `users`, `arrival_s` is the earliest time that a request may come.
    """

    arrival_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    adapter: Ints | None = None
    prefix_blocks: npt.NDArray[np.int64] | None = None
    prefix_start: npt.NDArray[np.int64] | None = None
    follows: npt.NDArray[np.int64] | None = None
    users: int | None = None
    think_s: Floats | None = None
    turnaround_s: float = 0.0

    @property
    def linked(self) -> bool:
        """Whether a request may have to wait for the end of another before it comes."""
        return self.users is not None or self.follows is not None

    def __len__(self) -> int:
        return len(self.arrival_s)

    def check(self, n_adapters: int) -> None:
        """Raise InputError, one line that names the row, unless the requests are well formed."""
        for name in ("input_tokens", "output_tokens", "adapter"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self):
                raise InputError(f"requests: {name} has {len(column)} rows, arrival_s has {len(self)}")
        _refuse_rows(
            "arrival_s", self.arrival_s, ~np.isfinite(self.arrival_s), "is not a finite number of seconds"
        )
        _refuse_rows("arrival_s", self.arrival_s, np.asarray(self.arrival_s) < 0, "is negative")
        earlier = np.r_[False, np.diff(self.arrival_s) < 0]
        _refuse_rows(
            "arrival_s",
            self.arrival_s,
            earlier,
            "is earlier than the row before it; sort requests by arrival",
        )
        for name in ("input_tokens", "output_tokens"):
            _check_tokens(name, np.asarray(getattr(self, name)))
        if self.adapter is not None:
            unknown = (self.adapter < -1) | (self.adapter >= n_adapters)
            _refuse_rows("adapter", self.adapter, unknown, f"is not one of the {n_adapters} adapters")
        self._check_prefixes()
        self._check_links()

    def _check_links(self) -> None:
        if self.users is not None and self.users < 1:
            raise InputError(f"requests: {self.users} users can't send them; at least 1 is needed")
        if self.think_s is not None:
            bad = ~(np.isfinite(self.think_s) & (np.asarray(self.think_s) >= 0))
            _refuse_rows("think_s", self.think_s, bad, "is not a number of seconds of at least 0")
        if self.follows is None:
            return
        follows = np.asarray(self.follows)
        late = (follows < -1) | (follows >= np.arange(len(self)))
        _refuse_rows("follows", follows, late, "is not an earlier request")
        followed, times = np.unique(follows[follows >= 0], return_counts=True)
        if (times > 1).any():
            raise InputError(
                f"requests: {times.max()} requests follow request {followed[times.argmax()]}, not one"
            )

    def _check_prefixes(self) -> None:
        if (self.prefix_blocks is None) != (self.prefix_start is None):
            raise InputError("requests: prefix_blocks and prefix_start must be given together")
        if self.prefix_blocks is None or self.prefix_start is None:
            return
        starts = np.asarray(self.prefix_start)
        ends = (starts[0], starts[-1]) if len(starts) == len(self) + 1 else (-1, -1)
        if ends != (0, len(self.prefix_blocks)) or (np.diff(starts) < 0).any():
            raise InputError(
                f"requests: prefix_start must rise from 0 to {len(self.prefix_blocks)} in {len(self) + 1} entries"
            )


@dataclass(frozen=True)
class AdapterTable:
    """The LoRA adapters that may be asked for.

    Attributes:
        rank: rank of each adapter.
        cpu_to_gpu_s: seconds to copy each from host memory into a slot.
        disk_to_cpu_s: seconds to read each from disk into host memory; None if that never happens.
    """

    rank: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    cpu_to_gpu_s: Floats = field(default_factory=lambda: np.zeros(0))
    disk_to_cpu_s: Floats | None = None

    def __len__(self) -> int:
        return len(self.rank)

    def check(self, engine: EngineConfig) -> None:
        """Raise, one line that names the key or adapter, unless the engine can serve the adapters."""
        ranks = np.asarray(self.rank, dtype=np.float64)
        bad = np.flatnonzero(~(ranks >= 1))
        if bad.size:
            raise InputError(f"adapters: adapter {bad[0]} has no rank (got {self.rank[bad[0]]!r})")
        for name in ("cpu_to_gpu_s", "disk_to_cpu_s"):
            seconds = getattr(self, name)
            if seconds is None:
                continue
            if len(seconds) != len(self):
                raise InputError(f"adapters: {name} has {len(seconds)} rows, rank has {len(self)}")
            bad = np.flatnonzero(~(np.isfinite(seconds) & (np.asarray(seconds) >= 0)))
            if bad.size:
                raise InputError(
                    f"adapters: {name} of adapter {bad[0]} is {seconds[bad[0]]}, not seconds ≥ 0"
                )
        if len(self) == 0:
            return
        if engine.max_loras < 1:
            raise ConfigError(
                f"max_loras: {engine.max_loras} slots for {len(self)} adapters; at least 1 is needed"
            )
        if ranks.max() > engine.max_lora_rank:
            worst = int(ranks.argmax())
            raise ConfigError(
                f"max_lora_rank: {engine.max_lora_rank} is below the rank of adapter {worst} ({int(ranks[worst])})"
            )
        cached = engine.max_cpu_loras
        if cached is not None and len(self) > cached and self.disk_to_cpu_s is None:
            raise ConfigError(
                f"max_cpu_loras: {cached} is below the {len(self)} adapters, and their load times from disk are not "
                "known; raise max_cpu_loras or give the adapters disk_to_cpu_s"
            )


def check_inputs(engine: EngineConfig, requests: Requests, adapters: AdapterTable) -> None:
    """Raise one clear line unless the simulation can run."""
    engine.check()
    adapters.check(engine)
    requests.check(len(adapters))
    if len(requests) == 0:
        raise InputError("requests: the workload has no requests")
    tokens = np.asarray(requests.input_tokens, dtype=np.int64) + requests.output_tokens
    shortest = int(tokens.min())
    if shortest > engine.max_model_len:
        raise ConfigError(
            f"max_model_len: {engine.max_model_len} is below the shortest request ({shortest} tokens)"
        )
    if shortest > engine.longest_request:
        raise ConfigError(
            f"kv_blocks: the KV cache can't hold one request: {engine.kv_blocks} blocks of {engine.block_size} "
            f"tokens, the shortest request has {shortest} tokens"
        )


_LEAST = {
    "kv_blocks": 1,
    "max_num_seqs": 1,
    "max_num_batched_tokens": 1,
    "max_model_len": 1,
    "block_size": 1,
    "state_blocks": 0,
    "window_tokens": 0,
    "window_blocks": 0,
    "max_loras": 0,
    "max_cpu_loras": 0,
    "max_lora_rank": 0,
    "replicas": 1,
    "replicas_on_gpu": 1,
    "ranks": 1,
}


def _check_choice(key: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{key}: {value!r} is not one of {', '.join(known)}")


def _check_tokens(name: str, column: npt.NDArray[Any]) -> None:
    whole = np.isfinite(column) & (column == np.floor(column))
    _refuse_rows(name, column, ~whole, "is not a whole number of tokens")
    _refuse_rows(name, column, column < 1, "is below 1")
    _refuse_rows(name, column, column >= 2**30, "is longer than any model supports")


def _refuse_rows(name: str, column: npt.NDArray[Any], bad: npt.NDArray[np.bool_], what: str) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        others = f" (and {rows.size - 1} more rows)" if rows.size > 1 else ""
        raise InputError(f"requests: {name} of row {rows[0]} is {column[rows[0]]}, which {what}{others}")


def slot_order(n_adapters: int) -> Ints:
    """Return the order in which every step goes through its adapters: any, but always the same.

    The engine holds them in a set of names, whose order has nothing to do with their numbers.
    """
    order: Ints = np.random.default_rng(n_adapters).permutation(n_adapters).astype(np.int64)
    return order
