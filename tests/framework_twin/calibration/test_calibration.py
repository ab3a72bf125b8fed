"""Fits recover a known truth, keep priors where data is silent, and stay positive."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from framework.errors import InputError
from framework_twin.calibration.fit import PRIOR_SPREAD, fit_coefficients, fit_runs, runs_hash
from framework_twin.measured.measured_runs import MeasuredRun, RunSetup
from framework_twin.measured.run_prediction import predict_run
from framework_twin.physics.coefficients import StepCoefficients
from framework_twin.physics.profile import StepModel, step_model


def physics(setup: RunSetup) -> StepModel:
    return replace(step_model(setup.model, "H100-80GB", setup.generation), profile=None)


def measured_by(setup: RunSetup, model: StepModel) -> MeasuredRun:
    values = predict_run(setup, model, (0,)).values
    columns = {f"measured_{name}": values[name] for name in ("itl_mean_ms", "total_tok_s")}
    return MeasuredRun(setup, columns, None, ("clean",))


@pytest.mark.slow
def test_fit_to_simulated_runs_recovers_the_truth_they_came_from(burst_setup: RunSetup) -> None:
    prior = physics(burst_setup)
    true = replace(
        prior.coefficients,
        weights_s=1.08 * prior.coefficients.weights_s,
        host_per_seq_s=1.5 * prior.coefficients.host_per_seq_s,
        per_context_token_s=1.15 * prior.coefficients.per_context_token_s,
    )
    setups = [
        replace(
            burst_setup, max_num_seqs=batch, output_mean=tokens, run_id=f"{batch}-{tokens}", num_prompts=200
        )
        for batch in (1, 8, 64, 200)
        for tokens in (60.0, 400.0)
    ]
    runs = [measured_by(setup, replace(prior, coefficients=true)) for setup in setups]
    fitted = fit_runs(runs, prior).coefficients
    for run in runs:
        got = predict_run(run.setup, replace(prior, coefficients=fitted), (0,)).values
        assert got["itl_mean_ms"] == pytest.approx(run.measured["measured_itl_mean_ms"], rel=0.015)
    assert fitted.host_per_seq_s == pytest.approx(true.host_per_seq_s, rel=0.2)


def test_coefficient_without_data_keeps_its_prior_and_its_uncertainty() -> None:
    prior = StepCoefficients(**dict.fromkeys(StepCoefficients.__dataclass_fields__, 1e-3))

    def residuals(coefficients: StepCoefficients) -> np.ndarray:
        return np.array([math.log(coefficients.host_s / 2e-3) / 0.001])

    fitted = fit_coefficients(residuals, prior, PRIOR_SPREAD)
    assert fitted.coefficients.host_s == pytest.approx(2e-3, rel=0.01)
    assert fitted.coefficients.weights_s == pytest.approx(1e-3)
    assert fitted.relative_std["weights_s"] == pytest.approx(PRIOR_SPREAD["weights_s"], rel=0.01)
    assert fitted.relative_std["host_s"] < 0.01


def test_one_absurd_run_hardly_moves_the_fit() -> None:
    prior = StepCoefficients(**dict.fromkeys(StepCoefficients.__dataclass_fields__, 1e-3))

    def residuals(coefficients: StepCoefficients) -> np.ndarray:
        error = math.log(coefficients.host_s / 1.2e-3) / 0.02
        outlier = math.log(coefficients.host_s / 12e-3) / 0.02
        return np.array([error] * 20 + [outlier])

    assert fit_coefficients(residuals, prior, {"host_s": 0.5}).coefficients.host_s == pytest.approx(
        1.2e-3, rel=0.03
    )


def test_runs_without_measurements_are_refused(burst_setup: RunSetup) -> None:
    with pytest.raises(InputError, match="no run has a measured quantity"):
        fit_runs([MeasuredRun(burst_setup, {}, None, ("clean",))], physics(burst_setup))


def test_run_hash_ignores_order_and_names_the_set(burst_setup: RunSetup) -> None:
    runs = [MeasuredRun(replace(burst_setup, run_id=name), {}, None, ()) for name in "abc"]
    ids = [run.setup.run_id for run in runs]
    assert runs_hash(ids) == runs_hash(ids[::-1])
    assert runs_hash(ids) != runs_hash(ids[:2])


def test_a_step_without_some_rows_leads_where_a_fit_without_them_does() -> None:
    prior = StepCoefficients(**dict.fromkeys(StepCoefficients.__dataclass_fields__, 1e-3))
    targets = [1.9e-3] * 10 + [2.1e-3] * 5 + [2.6e-3] * 10
    rows = ["first"] * 15 + ["second"] * 10

    def residuals(count: int) -> Callable[[StepCoefficients], np.ndarray]:
        return lambda found: np.array([math.log(found.host_s / target) / 0.2 for target in targets[:count]])

    spread = {"host_s": 0.5, "weights_s": 0.5}
    fitted = fit_coefficients(residuals(25), prior, spread, max_evaluations=30, rows=rows)
    alone = fit_coefficients(residuals(15), prior, spread, max_evaluations=30).coefficients
    assert fitted.without(["second"]).host_s == pytest.approx(alone.host_s, rel=0.01)
    assert fitted.without([]).host_s == pytest.approx(fitted.coefficients.host_s, rel=1e-3)
    assert fitted.without(["second"]).weights_s == pytest.approx(1e-3, rel=0.01)
