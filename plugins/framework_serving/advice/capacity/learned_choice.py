"""The learned answer for a population: with each number of slots the most adapters, the throughput, the risk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from framework_serving.advice.adapter_search import SLOTS
from framework_serving.advice.capacity.adapter_sums import Adapters, FloatArray
from framework_serving.advice.capacity.capacity_features import CapacityRows
from framework_serving.advice.capacity.capacity_model import CapacityModel
from framework_serving.advice.capacity.engine_probes import EngineProbe

_STEP = 1.18


@dataclass(frozen=True)
class LearnedSlots:
    """What a number of slots gives, as learned.

    Attributes:
        adapters: the most that do not starve; 0: not even one, or it does not start.
        low, high: the same at the ends of the capacity's 90 % band.
        tok_s: throughput at `adapters`.
        risk: probability that `adapters` starve.
        ended: the search's upper limit was reached.
    """

    slots: int
    adapters: int
    low: int
    high: int
    tok_s: float
    risk: float
    ended: bool


@dataclass(frozen=True)
class LearnedAnswer:
    """All numbers of slots, the best first: most throughput, then fewest slots.

    Attributes:
        outside: features that lie outside of what was learned from, at the best number of slots.
    """

    choices: tuple[LearnedSlots, ...]
    outside: tuple[str, ...]

    @property
    def best(self) -> LearnedSlots | None:
        """The first that serves anything."""
        return self.choices[0] if self.choices and self.choices[0].adapters else None


def learned_answer(
    model: CapacityModel,
    engine: EngineProbe,
    population: Callable[[int], Adapters],
    slots: Sequence[int] | None = None,
    most: int = 4096,
) -> LearnedAnswer:
    """Return the learned answer.

    Args:
        model: what was learned.
        engine: what the GPU runs.
        population: number of adapters → these.
        slots: numbers of slots to compare; None: the ladder of the exact search.
        most: largest number of adapters.
    """
    counts = _ladder(most)
    made = [population(count) for count in counts]
    rank = np.array([item.rank.max() for item in made])
    sums = np.array([item.sums().sum(axis=0) for item in made])
    starting = [item for item in slots or SLOTS if item <= engine.most_slots(float(rank.max()))]
    if not starting:
        return LearnedAnswer((), ())
    per = len(starting)
    ladder = np.array(starting, dtype=np.float64)
    rows = CapacityRows.build(
        np.repeat(sums, per, axis=0),
        np.repeat(rank, per),
        made[0].crowd_variance,
        np.minimum(np.tile(ladder, len(counts)), 4096.0),
        engine,
    )
    shape = (len(counts), per)
    capacity = model.capacity_tok_s(rows).reshape(shape)
    factors = [item.reshape(shape) for item in model.band(rows)]
    load = rows.load_tok_s.reshape(shape)
    choices = []
    for place, number in enumerate(starting):
        found = [
            _crossing(counts, load[:, place], capacity[:, place] * factor)
            for factor in (1.0, factors[0][:, place], factors[1][:, place])
        ]
        choices.append((number, found))
    served = [max(found[0], 1) for _, found in choices]
    at = [population(count) for count in served]
    ends = CapacityRows.build(
        np.array([item.sums().sum(axis=0) for item in at]),
        np.array([item.rank.max() for item in at]),
        made[0].crowd_variance,
        ladder,
        engine,
    )
    rates, risks = model.throughput_tok_s(ends), model.starvation(ends)
    answers = [
        LearnedSlots(
            number,
            found[0],
            found[1],
            found[2],
            float(rates[place]) if found[0] else 0.0,
            float(risks[place]),
            found[0] >= most,
        )
        for place, (number, found) in enumerate(choices)
    ]
    order = sorted(range(per), key=lambda place: (-answers[place].tok_s, answers[place].slots))
    best = CapacityRows(ends.features[order[:1]], ends.estimate_tok_s[order[:1]], ends.load_tok_s[order[:1]])
    return LearnedAnswer(tuple(answers[place] for place in order), tuple(model.outside(best)))


def _ladder(most: int) -> list[int]:
    counts = [1]
    while counts[-1] < most:
        counts.append(min(max(counts[-1] + 1, int(counts[-1] * _STEP)), most))
    return counts


def _crossing(counts: Sequence[int], load: FloatArray, capacity: FloatArray) -> int:
    """Return the most adapters whose load is within the capacity, between the counts by their logarithms."""
    with np.errstate(divide="ignore"):
        margin = np.log(capacity) - np.log(load)
    short = np.flatnonzero(margin < 0)
    if not len(short):
        return counts[-1]
    place = int(short[0])
    if place == 0:
        return 0
    before, after = margin[place - 1], margin[place]
    share = before / (before - after) if np.isfinite(after) else 0.0
    return int(counts[place - 1] * (counts[place] / counts[place - 1]) ** share)
