"""What the learned answer loses on populations that were held out whole."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framework.analysis.error_measures import smape_halved
from framework.contracts import TableBlock
from framework_serving.advice.capacity.boundary import Boundary
from framework_serving.advice.capacity.capacity_data import LABEL_SLOTS, MOST, CapacityData, Example
from framework_serving.advice.capacity.capacity_features import rows_of
from framework_serving.advice.capacity.capacity_learning import (
    LEARNERS,
    LearningRows,
    boundary_tok_s,
    enclosed,
    fit,
    fold_of,
    held_out,
    learning_rows,
)
from framework_serving.advice.capacity.capacity_model import CapacityModel, by_limit
from framework_serving.advice.capacity.engine_probes import EngineProbe
from framework_serving.advice.capacity.learned_choice import learned_answer
from framework_serving.advice.capacity.workload_adapters import WorkloadPopulation

PUBLISHED_COUNTS = (16, 32, 64, 96, 128, 160, 192, 256, 320, 384)
GRID = (1, 2, 4, 8, *PUBLISHED_COUNTS, 448, 512, 640, 768, 896, 1024, 1280, 1536)
"""Numbers of adapters of arXiv 2508.08343, and steps of the same kind below and above."""


@dataclass(frozen=True)
class HeldOut:
    """The learned answer for one population that its model had not seen, beside the simulated one.

    Attributes:
        poisson: whether its requests arrive by Poisson's law at constant rates.
        served, true_served: most adapters.
        tok_s, true_tok_s: throughput at the best of them.
        points: (adapters, slots, starves as predicted, starves) on the published grid.
        inside: for each number of slots, whether its capacity lies in the band.
    """

    example: Example
    poisson: bool
    served: int
    true_served: int
    tok_s: float
    true_tok_s: float
    points: tuple[tuple[int, int, bool, bool], ...]
    inside: tuple[bool, ...]

    @property
    def within_a_step(self) -> bool:
        """Whether both numbers of adapters are in the same or in neighbouring steps of the grid."""
        return abs(bisect_right(GRID, self.served) - bisect_right(GRID, self.true_served)) <= 1


def held_out_answers(data: CapacityData, learned: LearningRows | None = None) -> list[HeldOut]:
    """Return the answers for all populations, each from a model that saw nothing of its fold."""
    learned = learning_rows(data) if learned is None else learned
    found = []
    for fold in np.unique(fold_of(data)):
        model = fit(data, learned, int(fold))
        for example, own in zip(data.examples, fold_of(data), strict=True):
            if own == fold:
                found.append(_answered(model, data.probes[example.engine], example))
    return found


def _answered(model: CapacityModel, engine: EngineProbe, example: Example) -> HeldOut:
    population = WorkloadPopulation(example.workload)
    answer = learned_answer(model, engine, population.adapters, LABEL_SLOTS, MOST)
    best = answer.best
    serving = [point for item in example.boundaries if (point := item.best()) is not None]
    points = []
    for boundary in example.boundaries:
        for count in PUBLISHED_COUNTS:
            truth = starves(boundary, count)
            if boundary.slots <= count and truth is not None:
                rows = rows_of(population.adapters(count), np.array([float(boundary.slots)]), engine)
                said = bool(rows.load_tok_s[0] > model.capacity_tok_s(rows)[0])
                points.append((count, boundary.slots, said, truth))
    return HeldOut(
        example,
        is_poisson(example.workload),
        best.adapters if best else 0,
        max((point.adapters for point in serving), default=0),
        best.tok_s if best else 0.0,
        max((point.tok_s or 0.0 for point in serving), default=0.0),
        tuple(points),
        tuple(_inside(model, engine, population, item) for item in example.boundaries if enclosed(item)),
    )


def _inside(
    model: CapacityModel, engine: EngineProbe, population: WorkloadPopulation, boundary: Boundary
) -> bool:
    """Return whether the load at which so many slots begin to starve lies in the band."""
    loads = {
        point.adapters: float(population.adapters(point.adapters).load_tok_s.sum())
        for point in boundary.points
    }
    rows = rows_of(population.adapters(boundary.adapters), np.array([float(boundary.slots)]), engine)
    ratio = boundary_tok_s(boundary, loads) / model.capacity_tok_s(rows)[0]
    low, high = model.band(rows)
    return bool(low[0] <= ratio <= high[0])


def starves(boundary: Boundary, adapters: int) -> bool | None:
    """Return whether a number of adapters starves by a simulated boundary; None between its two ends."""
    if adapters <= boundary.adapters:
        return False
    if boundary.fails is None:
        return None if boundary.points else True  # above the search's limit; or the engine does not start
    return True if adapters >= boundary.fails else None


def is_poisson(workload: Mapping[str, object]) -> bool:
    """Return whether a drawn population arrives by Poisson's law at constant rates."""
    popularity = workload.get("popularity")
    drift = isinstance(popularity, Mapping) and popularity.get("drift_s") is not None
    return not drift and not {"bursts", "activity", "arrivals"} & set(workload)


def macro_f1(said: Sequence[bool], truth: Sequence[bool]) -> float:
    """Return the mean F1 of the two classes."""
    pairs = list(zip(said, truth, strict=True))
    scores = []
    for kind in (True, False):
        right = sum(a is kind and b is kind for a, b in pairs)
        wrong = sum((a is kind) is not (b is kind) for a, b in pairs)
        scores.append(2 * right / (2 * right + wrong) if right or wrong else 1.0)
    return sum(scores) / 2


def score(answers: Sequence[HeldOut]) -> dict[str, float]:
    """Return the measures of answers."""
    points = [point for answer in answers for point in answer.points]
    inside = [kept for answer in answers for kept in answer.inside]
    serving = [item for item in answers if item.true_tok_s and item.tok_s]
    return {
        "populations": float(len(answers)),
        "within_a_grid_step_percent": 100 * float(np.mean([item.within_a_step for item in answers])),
        "throughput_smape_halved": smape_halved(
            [item.tok_s for item in serving], [item.true_tok_s for item in serving]
        ),
        "starvation_macro_f1": macro_f1([point[2] for point in points], [point[3] for point in points]),
        "inside_band_percent": 100 * float(np.mean(inside)) if inside else float("nan"),
        "band_boundaries": float(len(inside)),
    }


def score_table(answers: Sequence[HeldOut]) -> TableBlock:
    """Return the measures for all populations, and apart for those that arrive by Poisson's law or not."""
    groups: list[tuple[str, Callable[[HeldOut], bool]]] = [
        ("all", lambda item: True),
        ("Poisson", lambda item: item.poisson),
        ("not Poisson", lambda item: not item.poisson),
    ]
    rows = []
    for name, belongs in groups:
        mine = [item for item in answers if belongs(item)]
        if mine:
            found = score(mine)
            rows.append([name, *(round(value, 3) for value in found.values())])
    columns = [
        *("population", "number", "served within a grid step (%)"),
        *("throughput, halved SMAPE (%)", "starvation, macro-F1", "capacities in their 90 % band (%)", "of"),
    ]
    return TableBlock("Learned answers for populations held out whole", columns, rows)


def learner_table(data: CapacityData, learned: LearningRows) -> TableBlock:
    """Return the error of the capacity by learner, populations held out whole."""
    folds = fold_of(data)[learned.population]
    rows = []
    for name in LEARNERS:
        error = np.abs(learned.target - held_out(learned, folds, name))[learned.at_boundary]
        limits = by_limit(learned.rows.features[learned.at_boundary])
        cells: list[float | None] = [float(100 * np.median(error)), float(100 * np.quantile(error, 0.9))]
        cells += [float(100 * np.median(error[mine])) if mine.any() else None for mine in limits.values()]
        rows.append([name, *(cell if cell is None else round(cell, 1) for cell in cells)])
    return TableBlock(
        "Error of the load at which adapters starve, populations held out whole (%)",
        ["learner", "median", "90th percentile", "median, limited by turns", "median, limited by the batch"],
        rows,
    )
