"""What the advisor `adapter_caching` says with `method=learned`: the learned answer, simulated again near by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.contracts import BatchBackend, Json, WorkloadTables
from framework.errors import UserError
from framework_serving.advice.adapter_search import AdapterChoice
from framework_serving.advice.capacity.capacity_features import WINDOW_S
from framework_serving.advice.capacity.capacity_model import CapacityModel
from framework_serving.advice.capacity.engine_probes import EngineProbe, engine_id, probe
from framework_serving.advice.capacity.learned_search import CheckedAnswer, checked_answer
from framework_serving.advice.capacity.workload_adapters import WorkloadPopulation

NOT_MODELLED = (*("replicas", "tensor_parallel", "pipeline_parallel", "data_parallel", "gpus"),)
"""Settings that a model of one engine on one GPU says nothing of, where they are above 1."""


@dataclass(frozen=True)
class LearnedFinding:
    """What is to be said of one population.

    Attributes:
        choice: simulated; None where nothing is served.
        reason: a sentence on where the answer comes from.
        facts: named numbers for the advice.
    """

    choice: AdapterChoice | None
    reason: str
    facts: Mapping[str, Json]


def learned_finding(
    file: Path,
    config: Mapping[str, Any],
    settings: Mapping[str, Json],
    backend: BatchBackend,
    workload: Callable[[int, int], WorkloadTables],
    **search: Any,
) -> LearnedFinding:
    """Return what the model in a file says of a run's population, with its best candidates simulated.

    Args:
        file: of the model.
        config: the run's configuration; `workload` is read.
        settings: of the engine.
        backend, workload, search: see `checked_answer`.

    Raises:
        UserError: no model, a population that it can't describe, an engine that it says nothing of; one line.
    """
    if not file.exists():
        raise UserError(
            f"advisor.adapter_caching.model: no file {file}; make it: python -m framework learn-adapters"
        )
    for key in NOT_MODELLED:
        if int(settings.get(key) or 1) > 1:
            raise UserError(
                f"backend.{key}: the learned answer is for one engine on one GPU; use method=exact"
            )
    model = CapacityModel.load(file)
    population = WorkloadPopulation(config.get("workload") or {})
    engine = engine_of(model, backend, settings)
    found = checked_answer(model, engine, population.adapters, backend, settings, workload, **search)
    notes = list(found.learned.outside)
    if engine.engine not in model.engines:
        notes.insert(0, "no population of this engine was learned from")
    window = population.settings.duration_s
    if window is not None and abs(window / WINDOW_S - 1) > 0.2:
        notes.insert(0, f"learned from windows of {WINDOW_S:g} s, this one has {window:g} s")
    return LearnedFinding(found.choice, _reason(model, found, notes), _facts(model, found, notes))


def engine_of(model: CapacityModel, backend: BatchBackend, settings: Mapping[str, Json]) -> EngineProbe:
    """Return what a model knows of an engine, or what a few simulations say of one that it has not seen."""
    known = model.engines.get(engine_id(settings))
    return probe(backend, settings) if known is None else known


def _reason(model: CapacityModel, found: CheckedAnswer, notes: list[str]) -> str:
    best = found.learned.best
    if best is None:
        return "learned: not even one adapter is served" + (
            "" if found.learned.choices else ", the engine does not start with adapters of this rank"
        )
    text = (
        f"learned from {model.populations} simulated populations: {best.adapters} adapters "
        f"({best.low} to {best.high}) on {best.slots} slots"
    )
    if found.loss is not None:
        loses = (
            "starve when simulated"
            if found.loss >= 1
            else f"lose {100 * found.loss:.1f} % of the best simulated"
        )
        text += f"; these {loses}"
    if notes:
        text += f"; outside of what was learned: {'; '.join(notes)}"
    return text


def _facts(model: CapacityModel, found: CheckedAnswer, notes: list[str]) -> dict[str, Json]:
    facts: dict[str, Json] = {
        "method": "learned",
        "model_data": model.data_hash,
        "model_populations": model.populations,
        **{f"model_{name}": round(value, 3) for name, value in model.errors.items()},
        "learned_loss": found.loss,
        "outside_learned": "; ".join(notes) or None,
    }
    for item in found.learned.choices:
        facts[f"learned_slots_{item.slots}"] = (
            f"{item.adapters} adapters ({item.low} to {item.high}), {item.tok_s:,.0f} tok/s"
        )
    return facts
