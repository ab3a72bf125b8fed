"""`backend=vllm_offline` as users type it: the engine's settings and the grid to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from framework.errors import ConfigError
from framework_vllm.settings import EngineSettings


@dataclass
class OfflineSettings(EngineSettings):
    """The engine in lock step. One run starts one engine and measures the whole grid batches × prompts × adapters.

    Attributes:
        batches: numbers of requests in lock step.
        prompt_tokens: lengths of prompts; null: the mean of the workload's.
        distinct_adapters: numbers of the workload's LoRA adapters that a batch is assigned to; 0 is the base model.
        decode_steps: steps that are timed at each point; null: the mean of the workload's outputs, less one.
        repeats: rounds over the grid.
        timeout_s: time the measurements may take once the engine is ready.
    """

    _target_: str = "framework_vllm.offline.backend.OfflineBackend"
    name: str = "vllm_offline"
    batches: list[int] = field(default_factory=lambda: [1, 2, 4, 8, 16, 32])
    prompt_tokens: list[int] | None = None
    distinct_adapters: list[int] = field(default_factory=lambda: [0])
    decode_steps: int | None = None
    repeats: int = 3
    timeout_s: float = 3600.0

    def check(self) -> None:
        """Raise `ConfigError`, one line that names the key, for a value that can't be."""
        super().check()
        _whole_numbers("batches", self.batches, 1)
        _whole_numbers("distinct_adapters", self.distinct_adapters, 0)
        if self.prompt_tokens is not None:
            _whole_numbers("prompt_tokens", self.prompt_tokens, 1)
        if self.decode_steps is not None:
            _whole_numbers("decode_steps", [self.decode_steps], 1)
        _whole_numbers("repeats", [self.repeats], 1)
        if not self.timeout_s > 0:
            raise ConfigError(f"backend.timeout_s: {self.timeout_s} is not above 0")
        if max(self.batches) > self.most_seqs:
            raise ConfigError(
                f"backend.batches: {max(self.batches)} exceeds backend.max_num_seqs, {self.max_num_seqs}"
            )


def _whole_numbers(key: str, values: Sequence[int], least: int) -> None:
    if not values:
        raise ConfigError(f"backend.{key}: at least one value is needed")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"backend.{key}: {value!r} is not a whole number of at least {least}")
