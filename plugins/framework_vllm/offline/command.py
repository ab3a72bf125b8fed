"""Command and settings of the driver: the engine's flags, the adapters, the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from framework.contracts import Json
from framework_vllm.engine.command_line import engine_arguments, plan_lora
from framework_vllm.engine.environment import engine_environment
from framework_vllm.engine.interpreter import find_engine, interpreter_words
from framework_vllm.models.model_source import check_model, model_shape, resolve_model
from framework_vllm.models.served_adapters import adapter_folders, adapter_ranks, check_adapters
from framework_vllm.offline.batch_grid import Grid
from framework_vllm.offline.settings import OfflineSettings

if TYPE_CHECKING:
    from framework.contracts import WorkloadTables

DRIVER = Path(__file__).with_name("engine_script.py")

_FIRST_WORD = 3
"""Token ids below it are special in generated models and in most tokenizers."""
_WORDS = 1000
"""Prompts are drawn from so many words where the model's vocabulary is not known."""


@dataclass(frozen=True)
class OfflineCommand:
    """How to start the driver, all flags checked.

    Attributes:
        engine_words: how to run the engine's interpreter.
        arguments: the engine's flags, the model left out.
        environment: added to ours; None takes a variable out.
        ranks: adapter id to rank of the adapters that the grid uses.
    """

    engine_words: Sequence[str]
    arguments: Sequence[str]
    environment: Mapping[str, str | None]
    ranks: Mapping[int, int]

    def plan(self, grid: Grid, settings: OfflineSettings, seed: int) -> dict[str, Json]:
        """Return the driver's plan; a generated model and random adapters are written if they are not there yet."""
        model, shape = resolve_model(settings), model_shape(settings)
        return {
            "arguments": ["--model", model, *self.arguments],
            "adapters": [str(path) for path in adapter_folders(settings, model, self.ranks).values()],
            "seed": seed,
            "vocabulary": [_FIRST_WORD, shape.vocab - 1 if shape else _FIRST_WORD + _WORDS],
            "decode_steps": grid.decode_steps,
            "repeats": settings.repeats,
            "points": [point.as_plan() for point in grid.points],
        }


def offline_command(settings: OfflineSettings, workload: WorkloadTables) -> OfflineCommand:
    """Return how to start the driver.

    Raises:
        ConfigError: no interpreter with vLLM, no such model or adapter, or a flag that this engine doesn't take.
    """
    check_model(settings)
    most = max(settings.distinct_adapters)
    ranks = dict(list(adapter_ranks(workload).items())[:most])
    check_adapters(settings, ranks)
    engine = find_engine(interpreter_words(settings.python, settings.command))
    lora = plan_lora(settings, engine, ranks)
    arguments = engine_arguments(
        settings, engine, lora, memory_share=settings.gpu_memory_utilization, replicas=1
    )
    return OfflineCommand(engine.words, arguments, engine_environment(settings, engine), ranks)
