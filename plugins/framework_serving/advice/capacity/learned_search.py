"""The learned answer, then simulated again: a few candidates near it, instead of the whole search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from framework.contracts import BatchBackend, Json, WorkloadTables
from framework_serving.advice.adapter_search import AdapterChoice, AdapterSearch
from framework_serving.advice.capacity.adapter_sums import Adapters
from framework_serving.advice.capacity.capacity_model import CapacityModel
from framework_serving.advice.capacity.engine_probes import EngineProbe
from framework_serving.advice.capacity.learned_choice import LearnedAnswer, learned_answer

_CANDIDATES = 3
_WITHIN = 0.85
_GROWTH = 1.05


@dataclass(frozen=True)
class CheckedAnswer:
    """A learned answer and what simulations made of it.

    Attributes:
        learned: the answer as learned.
        choice: the best of the candidates, simulated; None where nothing was learned to be served.
        loss: share of the simulated throughput that the learned choice itself loses; 1: it starves; None: unknown.
    """

    learned: LearnedAnswer
    choice: AdapterChoice | None
    loss: float | None


def checked_answer(
    model: CapacityModel,
    engine: EngineProbe,
    population: Callable[[int], Adapters],
    backend: BatchBackend,
    settings: Mapping[str, Json],
    workload: Callable[[int, int], WorkloadTables],
    limits: Mapping[str, float] | None = None,
    slots: Sequence[int] | None = None,
    most: int = 4096,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    allowed_share: float = 0.0,
    resolution: float = 0.01,
) -> CheckedAnswer:
    """Return the learned answer with its best numbers of slots searched by simulation, from the learned adapters on.

    Args:
        model, engine, population: see `learned_answer`.
        backend, settings, workload, limits, slots, most, seeds, allowed_share, resolution: see `AdapterSearch`.
    """
    answer = learned_answer(model, engine, population, slots, most)
    best = answer.best
    if best is None:
        return CheckedAnswer(answer, None, None)
    near = [item.slots for item in answer.choices if item.tok_s >= _WITHIN * best.tok_s][:_CANDIDATES]
    search = AdapterSearch(
        backend,
        settings,
        workload,
        limits or {},
        near,
        most,
        seeds,
        allowed_share,
        resolution,
        _GROWTH,
    )
    choice = search.find(best.adapters)
    own = search.serve(best.adapters, best.slots)
    loss: float | None = 1.0
    if not own.broken_limits(limits or {}) and choice.best is not None:
        reached = choice.best.mean("total_tok_s") or 0.0
        loss = max(0.0, 1.0 - own.metrics["total_tok_s"] / reached) if reached else None
    return CheckedAnswer(answer, choice, loss)
