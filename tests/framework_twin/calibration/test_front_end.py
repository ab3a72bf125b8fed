"""The front end: what a client waits beside the engine, fitted from lightly loaded runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from framework_twin.calibration.profile_fit import fit_front_end
from framework_twin.measured.measured_runs import MeasuredRun, RunSetup
from framework_twin.measured.run_prediction import predict_run
from framework_twin.physics.profile import FRONT_END_S
from framework_twin.validation.validate import model_of


def runs_of(setup: RunSetup, later_s: float, running: float = 5.0) -> list[MeasuredRun]:
    """Return four runs whose first tokens come later than the engine alone would give them."""
    values = predict_run(setup, replace(model_of(setup), front_end_s=0.0), (0,)).values
    measured = {
        "measured_ttft_mean_ms": values["ttft_mean_ms"] + 1e3 * later_s,
        "measured_total_tok_s": values["total_tok_s"],
        "measured_running_mean": running,
    }
    return [MeasuredRun(setup, measured, None, ("clean",))] * 4


def test_lightly_loaded_runs_give_the_front_end(poisson_setup: RunSetup) -> None:
    assert fit_front_end(runs_of(poisson_setup, 0.02), model_of(poisson_setup)) == pytest.approx(0.02)


def test_first_tokens_sooner_than_the_engine_gives_them_make_no_negative_front_end(
    poisson_setup: RunSetup,
) -> None:
    assert fit_front_end(runs_of(poisson_setup, -0.01), model_of(poisson_setup)) == 0.0


def test_a_burst_through_a_few_slots_is_a_queue_and_no_light_load(burst_setup: RunSetup) -> None:
    setup = replace(burst_setup, max_num_seqs=4)
    assert fit_front_end(runs_of(setup, 5.0), model_of(setup)) == FRONT_END_S


def test_starved_or_busy_servers_say_nothing_of_the_front_end(poisson_setup: RunSetup) -> None:
    busy = runs_of(poisson_setup, 0.02, running=50.0)
    starved = [
        replace(run, measured={**run.measured, "measured_total_tok_s": 1.0})
        for run in runs_of(poisson_setup, 0.02)
    ]
    model = model_of(poisson_setup)
    assert fit_front_end([*busy, *starved], model) == model.front_end_s
