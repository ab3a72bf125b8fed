"""What a study of adapter slots shows and answers, on points made by hand."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from framework.errors import NotEvaluatedError
from framework.quantity import Quantity
from framework_serving.claims.claim_quantities import COMPUTATIONS
from framework_serving.claims.evidence import Evidence
from framework_serving.report.adapter_costs import cost_section
from framework_serving.report.adapter_tables import adapter_tables
from framework_serving.sweeps.adapter_points import ADAPTERS, SLOTS, best_slots
from framework_serving.sweeps.sweep_points import SweepPoint

LLAMA = "llama-3.1-8b"


class EmptyStore:
    def query(self, sql: str, parameters: object = ()) -> None:
        raise AssertionError("these computations read points only")


def point(adapters: int, slots: int, tok_s: float, starved: bool = False, mix: str = "m") -> SweepPoint:
    return SweepPoint(
        run_ids=(f"{mix}-{adapters}-{slots}",),
        params={
            "model.name": "llama-3.1-8b",
            "gpu.name": "H100-64GB",
            "workload.name": mix,
            "workload.rates_rps": "[0.1]",
            "workload.ranks": "[8]",
            ADAPTERS: str(adapters),
            SLOTS: str(slots),
        },
        varied=frozenset({ADAPTERS, SLOTS}),
        metrics={"total_tok_s": Quantity(tok_s), "starved": Quantity(float(starved))},
        sanity="pass",
    )


POINTS = [
    point(64, 32, 980.0),
    point(64, 8, 900.0),
    point(128, 8, 1400.0, starved=True),
    point(128, 32, 1900.0),
    point(256, 32, 2000.0, starved=True),
]


def evidence(points: list[SweepPoint] = POINTS) -> Evidence:
    return Evidence(EmptyStore(), points)  # type: ignore[arg-type]


def test_a_mix_has_a_table_in_order_of_adapters_and_slots_and_a_line_in_the_summary() -> None:
    mix, summary = adapter_tables(POINTS)
    assert [row[:3] for row in mix.rows] == [
        (64, 8, 900.0),
        (64, 32, 980.0),
        (128, 8, 1400.0),
        (128, 32, 1900.0),
        (256, 32, 2000.0),
    ]
    assert summary.rows == [("llama-3.1-8b", "m", 128, 32, 1900.0, None)]


def test_a_starved_run_is_never_the_best_of_its_number_of_adapters() -> None:
    assert set(best_slots(POINTS)) == {64, 128}


def test_a_study_without_a_sweep_of_slots_has_no_such_table() -> None:
    alone = SweepPoint(("r",), {ADAPTERS: "4", SLOTS: "2"}, frozenset({"model"}), {}, "pass")
    assert list(adapter_tables([alone])) == []


def test_claims_about_slots_are_answered_from_the_points() -> None:
    assert COMPUTATIONS["most_adapters"](evidence(), model=LLAMA, mix="m").value == 128
    assert COMPUTATIONS["best_adapter_throughput"](evidence(), model=LLAMA, mix="m").value == 1900
    regret = COMPUTATIONS["slot_regret"](evidence(), model=LLAMA, mix="m", slots=8)
    assert regret.value == pytest.approx(100 * 500 / 1900)


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        (
            "most_adapters",
            {"model": LLAMA, "mix": "other"},
            "no sweep over adapters and slots of llama-3.1-8b, mix 'other'",
        ),
        ("most_adapters", {"model": "opt-1.3b", "mix": "m"}, "no sweep over adapters and slots of opt-1.3b"),
        (
            "slot_regret",
            {"model": LLAMA, "mix": "m", "slots": 5},
            "no run of llama-3.1-8b, mix 'm', with 128 adapters and 5 slots",
        ),
    ],
)
def test_a_claim_that_the_runs_cant_answer_says_what_is_missing(
    name: str, parameters: dict[str, object], said: str
) -> None:
    with pytest.raises(NotEvaluatedError, match=said):
        COMPUTATIONS[name](evidence(), **parameters)


def test_a_mix_that_always_starves_has_no_answer_and_an_empty_line() -> None:
    starving = [point(8, 4, 1.0, starved=True), point(16, 4, 1.0, starved=True)]
    with pytest.raises(NotEvaluatedError, match="mix 'm', starves"):
        COMPUTATIONS["most_adapters"](evidence(starving), model=LLAMA, mix="m")
    *_, summary = adapter_tables(starving)
    assert summary.rows[0][2:] == (None, None, None, None)


class AdviceStore:
    def __init__(self, *facts: str) -> None:
        self.facts = facts

    def query(self, sql: str, parameters: object = ()) -> pa.Table:
        assert "FROM advice" in sql
        return pa.table({"facts": pa.array(self.facts, pa.string())})


def test_the_error_of_the_learned_answer_is_that_of_the_model_behind_the_latest_one() -> None:
    """Made by hand: two learned answers."""
    told = [f'{{"method": "learned", "model_throughput_smape_halved": {error}}}' for error in (4.2, 2.5)]
    store = AdviceStore(*told)
    assert COMPUTATIONS["learned_error"](Evidence(store, [])).value == 2.5  # type: ignore[arg-type]
    with pytest.raises(NotEvaluatedError, match="learn-adapters"):
        COMPUTATIONS["learned_error"](Evidence(AdviceStore(), []))  # type: ignore[arg-type]


def priced(adapters: int, slots: int, tok_s: float, ttft_ms: float, **metrics: float) -> SweepPoint:
    made = point(adapters, slots, tok_s)
    found = {"ttft_mean_ms": ttft_ms, **metrics}
    return replace(made, metrics={**made.metrics, **{name: Quantity(value) for name, value in found.items()}})


def test_the_costs_of_adapters_have_a_figure_each_and_the_front_leaves_out_what_is_beaten() -> None:
    points = [
        priced(64, 8, 900.0, 500.0, kv_capacity_tokens=3e5, time_load_share=0.2, time_scan_share=0.01),
        priced(64, 32, 980.0, 100.0, kv_capacity_tokens=2e5, time_load_share=0.05, time_scan_share=0.0),
        priced(128, 32, 1900.0, 900.0, kv_capacity_tokens=2e5, time_load_share=0.1, time_scan_share=0.02),
    ]
    section = cost_section(points)
    assert section is not None
    titles = [block.title.split(":")[0] for block in section.blocks]
    assert titles == ["Memory", "Loading", "Scheduling", "Worth a choice"], (
        "no adapters in a step were measured"
    )
    memory, *_, front = section.blocks
    assert (memory.spec["data"][0]["x"], memory.spec["data"][0]["y"]) == ([8.0, 32.0], [300.0, 200.0])
    best, beaten = front.spec["data"]
    assert (sorted(best["x"]), beaten["x"]) == ([64.0, 128.0], [64.0])
    assert beaten["text"] == ["8"]


def test_a_study_without_a_sweep_over_slots_has_no_costs() -> None:
    assert cost_section([point(8, 4, 1.0)]) is None
