"""The search for the most adapters, on a law of serving that is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.contracts import BatchJob, Metric, Result, SanityCheck, WorkloadTables
from framework_serving.advice.adapter_search import SLOTS, AdapterChoice, AdapterSearch


def population(adapters: int, seed: int) -> WorkloadTables:
    table = pa.table({"n": [adapters], "seed": [seed]})
    return WorkloadTables({"adapters": table}, f"{adapters}-{seed}")


class KnownLaw:
    """Serves `per_slot` adapters a slot, at most `ceiling` of them; slots cost throughput and memory."""

    def __init__(
        self,
        per_slot: int,
        ceiling: int,
        most_slots: int,
        unlucky_seed: int | None = None,
        slot_costs: float = 1.0,
    ) -> None:
        self.per_slot, self.ceiling, self.most_slots = per_slot, ceiling, most_slots
        self.unlucky_seed, self.slot_costs = unlucky_seed, slot_costs
        self.asked: list[tuple[int, int, int]] = []

    def serves(self, adapters: int, slots: int) -> bool:
        return slots <= self.most_slots and adapters <= min(self.per_slot * slots, self.ceiling)

    def run_batch(self, jobs: Sequence[BatchJob]) -> Iterator[tuple[int, Result]]:
        for index in reversed(range(len(jobs))):
            (row,) = jobs[index].workload.tables["adapters"].to_pylist()
            slots = jobs[index].overrides["max_loras"]
            self.asked.append((row["n"], slots, row["seed"]))
            if slots > self.most_slots:
                yield index, Result(checks=[SanityCheck("refused", "fail", "no memory is left")])
                continue
            starved = not self.serves(row["n"], slots)
            if row["seed"] == self.unlucky_seed:
                starved = starved or not self.serves(row["n"] + self.ceiling // 10, slots)
            rate = 10.0 * row["n"] - self.slot_costs * slots
            metrics = [Metric("starved", float(starved)), Metric("total_tok_s", rate, "tok/s")]
            yield index, Result(metrics=[*metrics, Metric("ttft_mean_ms", 1e3 / slots, "ms")])


def search(law: KnownLaw, start: int, **keys: object) -> AdapterChoice:
    return AdapterSearch(law, {}, population, **keys).find(start)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(
    per_slot=st.integers(1, 20),
    ceiling=st.integers(1, 900),
    most_slots=st.integers(1, 300),
    start=st.integers(1, 2000),
)
def test_the_most_adapters_are_found_within_the_resolution_wherever_the_search_starts(
    per_slot: int, ceiling: int, most_slots: int, start: int
) -> None:
    law = KnownLaw(per_slot, ceiling, most_slots)
    choice = search(law, start)
    usable = [slots for slots in {*SLOTS, *range(1, most_slots + 1)} if slots <= most_slots]
    listed = [slots for slots in SLOTS if slots <= most_slots]
    at_least = max((min(per_slot * slots, ceiling) for slots in listed), default=0)
    at_most = max(min(per_slot * slots, ceiling) for slots in usable)
    assert at_least - max(1, int(0.02 * at_least)) <= choice.adapters <= at_most
    assert choice.best is not None
    assert law.serves(choice.adapters, choice.best.slots)
    assert len(law.asked) == len(set(law.asked)) == choice.simulations


def test_of_the_slots_that_serve_as_many_the_fastest_are_chosen() -> None:
    choice = search(KnownLaw(per_slot=10, ceiling=300, most_slots=200), 100)
    assert choice.best is not None
    assert choice.best.slots == min(slots for slots in SLOTS if 10 * slots >= choice.adapters)
    assert [item.slots for item in choice.choices] == [
        slots for slots in sorted({*SLOTS, choice.adapters}) if choice.best.slots <= slots <= 200
    ]


def test_of_the_slots_with_the_same_throughput_those_are_chosen_on_which_requests_wait_least() -> None:
    choice = search(KnownLaw(per_slot=10, ceiling=300, most_slots=200, slot_costs=0.0), 100)
    assert choice.best is not None
    assert choice.best.slots == max(item.slots for item in choice.choices)


def test_an_answer_that_starves_with_another_seed_is_lowered_unless_it_may() -> None:
    law = KnownLaw(per_slot=10, ceiling=200, most_slots=200, unlucky_seed=3)
    assert search(law, 100).adapters <= 180
    assert search(law, 100, allowed_share=0.2).adapters >= 196


def test_a_population_that_fits_nowhere_says_why_for_each_number_of_slots() -> None:
    choice = search(KnownLaw(per_slot=1, ceiling=1, most_slots=0), 8)
    assert (choice.adapters, choice.best) == (0, None)
    assert "no memory is left" in choice.reasons[1]


def test_the_upper_limit_ends_the_search() -> None:
    choice = search(KnownLaw(per_slot=100, ceiling=10_000, most_slots=500), 8, most=64)
    assert (choice.adapters, choice.next_adapters) == (64, None)


@pytest.mark.parametrize("slots", [[8], [8, 32]])
def test_given_numbers_of_slots_are_the_only_ones_tried(slots: list[int]) -> None:
    law = KnownLaw(per_slot=5, ceiling=1000, most_slots=100)
    choice = search(law, 64, slots=slots)
    assert choice.adapters in range(5 * slots[-1] - 3, 5 * slots[-1] + 1)
    assert {asked[1] for asked in law.asked if asked[0] >= slots[0]} <= set(slots)


def test_a_limit_on_a_metric_that_is_unknown_is_never_met() -> None:
    choice = search(KnownLaw(per_slot=5, ceiling=100, most_slots=10), 8, limits={"ttft_p99_ms": 100.0})
    assert choice.adapters == 0
    assert "ttft_p99_ms unknown" in choice.reasons[1]
