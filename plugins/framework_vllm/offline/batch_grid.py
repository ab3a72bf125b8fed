"""The points to measure: batches × prompt lengths × numbers of adapters, within what the engine can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING

from framework.errors import ConfigError
from framework_vllm.offline.settings import OfflineSettings

if TYPE_CHECKING:
    from framework.contracts import WorkloadTables


@dataclass(frozen=True)
class GridPoint:
    """`batch` requests with prompts of `input_tokens` tokens, for `adapters` LoRA adapters (0: base model)."""

    batch: int
    input_tokens: int
    adapters: int

    def as_plan(self) -> Mapping[str, int]:
        """Return the point as the driver's plan holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Grid:
    """What a run measures: the points in order of adapters, prompts, batches, and the steps of each."""

    points: tuple[GridPoint, ...]
    decode_steps: int


def grid_of(settings: OfflineSettings, workload: WorkloadTables) -> Grid:
    """Return the grid of a run.

    A batch smaller than a number of adapters is left out of that number.

    Raises:
        ConfigError: the workload has no requests or too few adapters, or a point exceeds the longest request.
    """
    import pyarrow.compute as pc

    requests = workload.tables.get("requests")
    if requests is None or "input_tokens" not in requests.column_names:
        raise ConfigError(
            "backend=vllm_offline: the workload has no table of requests; use a serving workload"
        )
    prompts = settings.prompt_tokens or [max(1, round(pc.mean(requests["input_tokens"]).as_py()))]
    steps = settings.decode_steps or max(1, round(pc.mean(requests["output_tokens"]).as_py()) - 1)
    adapters = workload.tables["adapters"].num_rows
    if max(settings.distinct_adapters) > adapters:
        raise ConfigError(
            f"backend.distinct_adapters: {max(settings.distinct_adapters)} exceeds the workload's {adapters} adapters"
        )
    slots = settings.max_loras if settings.max_loras is not None else adapters
    if max(settings.distinct_adapters) > slots:
        raise ConfigError(
            f"backend.distinct_adapters: {max(settings.distinct_adapters)} exceeds backend.max_loras, {slots}"
        )
    points = tuple(
        GridPoint(batch, tokens, used)
        for used, tokens, batch in product(
            sorted(set(settings.distinct_adapters)), sorted(set(prompts)), sorted(set(settings.batches))
        )
        if batch >= used
    )
    return Grid(points, steps)
