"""The energy model against measured runs, and what a run says of its own physics."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from framework_twin.measured.measured_runs import MeasuredRun, read_measured_runs
from framework_twin.measured.run_prediction import predict_run
from framework_twin.metric_definitions import TWIN_METRICS
from framework_twin.physics.profile import step_model
from tests.support.measured_data import SERVING_RUNS, needs_shared_data

REPOSITORY = Path(__file__).parents[3]


def powered_runs() -> list[MeasuredRun]:
    runs, _ = read_measured_runs(SERVING_RUNS)
    return [run for run in runs if run.clean and "measured_power_mean_w" in run.measured]


@needs_shared_data(SERVING_RUNS.name)
def test_mean_power_and_joules_per_token_are_near_the_measured_ones() -> None:
    power, energy = [], []
    for run in powered_runs()[::6]:  # all 82: benchmarks/energy_error.py
        setup = run.setup
        values = predict_run(
            setup, step_model(setup.model, setup.gpu, setup.generation, engine=setup.engine), seeds=(0,)
        ).values
        power.append(values["power_mean_w"] / run.measured["measured_power_mean_w"])
        energy.append(power[-1] * run.measured["measured_total_tok_s"] / values["total_tok_s"])
    assert len(power) >= 12
    assert np.mean(np.abs(np.array(power) - 1)) < 0.05
    assert np.all(np.abs(np.array(power) - 1) < 0.12)
    assert np.all(np.abs(np.array(energy) - 1) < 0.12)


def test_every_metric_of_the_twin_is_documented() -> None:
    page = (REPOSITORY / "docs" / "twin_physics.md").read_text()
    documented = set(
        re.findall(r"`(\w+)`", page.split("## Where the time goes")[1].split("## Calibration")[0])
    )
    assert {item.name for item in TWIN_METRICS} <= documented
