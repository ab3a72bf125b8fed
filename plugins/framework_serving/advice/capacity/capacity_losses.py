"""Throughput that the learned answer loses against the exact search, on populations held out whole; all simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from framework.contracts import BatchBackend, Json, TableBlock, WorkloadTables
from framework.report.terminal.progress_bars import progress_over
from framework_serving.advice.adapter_search import AdapterSearch
from framework_serving.advice.capacity.capacity_data import MOST, CapacityData, Example
from framework_serving.advice.capacity.capacity_learning import FOLDS, LearningRows, fit
from framework_serving.advice.capacity.capacity_model import CapacityModel
from framework_serving.advice.capacity.capacity_scores import is_poisson
from framework_serving.advice.capacity.engine_probes import EngineProbe, engine_id
from framework_serving.advice.capacity.learned_search import checked_answer
from framework_serving.advice.capacity.workload_adapters import WorkloadPopulation
from framework_serving.workloads.adapter_mix import AdapterMixWorkload


@dataclass(frozen=True)
class Loss:
    """One population.

    Attributes:
        checked: share of the exact search's throughput that the answer with its candidates simulated loses; starving
            is a total loss. At least 0.
        alone: the same of what was learned, without simulation.
        simulations, exact_simulations: that both took.
    """

    name: str
    poisson: bool
    checked: float
    alone: float
    simulations: int
    exact_simulations: int


@dataclass(frozen=True)
class Losses:
    """All populations that were compared."""

    found: tuple[Loss, ...]

    def summary(self) -> dict[str, float]:
        """Return median and 95th percentile in percent; nothing where nothing was compared."""
        if not self.found:
            return {}
        lost = [100 * item.checked for item in self.found]
        return {
            "regret_median_percent": float(np.median(lost)),
            "regret_p95_percent": float(np.quantile(lost, 0.95)),
        }


def losses(
    data: CapacityData, learned: LearningRows, backend: BatchBackend, settings: Mapping[str, Json], check: int
) -> Losses:
    """Compare the first `check` populations of an engine, each with a model that saw nothing of its fold."""
    engine = engine_id(settings)
    mine = [example for example in data.examples if example.engine == engine][:check]
    models: dict[int, CapacityModel] = {}
    found = []
    for example in progress_over(mine, "comparing with the exact search") if mine else ():
        fold = example.index % FOLDS
        if fold not in models:
            models[fold] = fit(data, learned, fold)
        found.append(_loss(models[fold], data.probes[engine], example, backend, settings))
    return Losses(tuple(found))


def _loss(
    model: CapacityModel,
    engine: EngineProbe,
    example: Example,
    backend: BatchBackend,
    settings: Mapping[str, Json],
) -> Loss:
    own_seed = int(example.workload["seed"])

    @lru_cache(maxsize=4)
    def workload(n: int, seed: int) -> WorkloadTables:
        return AdapterMixWorkload(**example.workload, n_adapters=n).build(seed)

    population = WorkloadPopulation(example.workload)
    answer = checked_answer(
        model, engine, population.adapters, backend, settings, workload, most=MOST, seeds=(own_seed,)
    )
    exact = AdapterSearch(backend, settings, workload, most=MOST, seeds=(own_seed,))
    optimum = exact.find(answer.learned.best.adapters if answer.learned.best else 16)
    best = (optimum.best.mean("total_tok_s") if optimum.best else 0.0) or 0.0
    reached = 0.0
    if answer.choice is not None and answer.choice.best is not None:
        reached = answer.choice.best.mean("total_tok_s") or 0.0
    alone = 0.0
    if answer.learned.best is not None:
        run = exact.serve(answer.learned.best.adapters, answer.learned.best.slots)
        alone = 0.0 if run.broken_limits({}) else run.metrics["total_tok_s"]
    checked, by_itself = (max(1.0 - value / best, 0.0) if best else 0.0 for value in (reached, alone))
    return Loss(
        str(example.workload["name"]),
        is_poisson(example.workload),
        checked,
        by_itself,
        answer.choice.simulations if answer.choice else 0,
        optimum.simulations,
    )


def loss_table(measured: Losses) -> TableBlock:
    """Return the losses, apart for populations that arrive by Poisson's law or not."""
    rows = []
    groups = (("all", (True, False)), ("Poisson", (True,)), ("not Poisson", (False,)))
    for name, kinds in groups:
        mine = [item for item in measured.found if item.poisson in kinds]
        if not mine:
            continue
        checked = [100 * item.checked for item in mine]
        alone = [100 * item.alone for item in mine]
        cells = [float(np.median(checked)), float(np.quantile(checked, 0.95)), float(np.median(alone))]
        counts = [float(np.median([item.simulations for item in mine]))]
        counts.append(float(np.median([item.exact_simulations for item in mine])))
        rows.append([name, len(mine), *(round(value, 2) for value in cells + counts)])
    return TableBlock(
        "Throughput lost against the exact search, populations held out whole (%)",
        [
            *("population", "number", "median", "95th percentile", "median, learned alone"),
            *("simulations", "of the exact search"),
        ],
        rows,
    )
