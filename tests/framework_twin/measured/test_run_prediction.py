"""Predictions of whole runs: token balance in closed form, golden measured runs, intervals and power."""

from __future__ import annotations

import functools
import operator
from dataclasses import replace

import numpy as np
import pytest

from framework_twin.calibration.intervals import HeldOut, coverage, fit_intervals, interval
from framework_twin.measured.measured_runs import MeasuredRun, RunSetup, measured_run
from framework_twin.measured.prediction_error import group_errors, pairs_of, regime
from framework_twin.measured.realise import realise
from framework_twin.measured.run_prediction import predict_run, server_of
from framework_twin.physics.power import Activity, PowerCoefficients, activity, energy_j
from framework_twin.physics.profile import step_model
from framework_twin.validation.validate import predict_row, validate_runs
from tests.support.published_runs import published_runs

PUBLISHED = [measured_run(record, row) for row, record in enumerate(published_runs())]


def model_of(setup: RunSetup):
    return step_model(setup.model, setup.gpu, setup.generation, engine=setup.engine)


def test_chunked_prefill_ceiling_is_the_closed_form_of_the_token_balance(burst_setup: RunSetup) -> None:
    # memory_gap.md §2: R* = C·o/(i+o), first cohort C·(1 − e^(−o/i)); C = 512, i = 242, o = 130
    setup = replace(burst_setup, max_num_seqs=512, num_prompts=2000)
    values = predict_run(setup, model_of(setup)).values
    assert values["running_peak"] == pytest.approx(212.8, rel=0.03)
    assert values["running_mean"] == pytest.approx(178.9, rel=0.05)


@pytest.mark.parametrize("run", PUBLISHED, ids=lambda run: run.setup.run_id)
def test_published_runs_of_the_memory_gap_study_are_predicted(run: MeasuredRun) -> None:
    values = predict_run(run.setup, model_of(run.setup), seeds=(0,)).values
    assert values["itl_mean_ms"] == pytest.approx(run.measured["measured_itl_mean_ms"], rel=0.06)
    assert values["total_tok_s"] == pytest.approx(run.measured["measured_total_tok_s"], rel=0.06)
    assert values["kv_usage_peak"] == pytest.approx(run.measured["measured_kv_usage_peak"], abs=0.03)
    assert values["power_mean_w"] == pytest.approx(run.measured["measured_power_mean_w"], rel=0.12)
    # one of them preempts, 540 times
    assert values["preemptions"] == pytest.approx(run.measured["measured_preemptions"], rel=0.1)


def test_validation_reads_no_measurement(burst_setup: RunSetup) -> None:
    honest = MeasuredRun(burst_setup, {"measured_itl_mean_ms": 9.9}, None, ("clean",))
    absurd = MeasuredRun(burst_setup, {"measured_itl_mean_ms": 9e9}, None, ("clean",))
    assert validate_runs([honest]).rows == validate_runs([absurd]).rows


def test_every_plausible_row_gets_a_prediction_and_an_impossible_one_a_reason(burst_setup: RunSetup) -> None:
    unknown = replace(burst_setup, model="opt-9b", run_id="odd", row=1)
    fine = MeasuredRun(burst_setup, {}, None, ())
    report = validate_runs([fine, MeasuredRun(unknown, {}, None, ())])
    assert len(report.rows) == 1
    assert [(bad.run_id, "unknown model 'opt-9b'" in bad.reason) for bad in report.unpredictable] == [
        ("odd", True)
    ]


def test_kv_capacity_comes_from_the_memory_model_where_the_table_has_none(burst_setup: RunSetup) -> None:
    given = predict_run(burst_setup, model_of(burst_setup), (0,)).kv_tokens
    predicted = predict_run(replace(burst_setup, kv_cache_tokens=None), model_of(burst_setup), (0,)).kv_tokens
    assert predicted == pytest.approx(given, rel=0.002)


def test_leaving_the_range_of_a_profile_is_said(burst_setup: RunSetup) -> None:
    wide = replace(burst_setup, max_num_seqs=2000, max_num_batched_tokens=4096, num_prompts=2000)
    assert any("running requests" in line for line in predict_row(wide).warnings)
    assert predict_row(burst_setup).warnings == ()


def test_lightly_loaded_server_serves_what_is_offered(poisson_setup: RunSetup) -> None:
    prediction = predict_run(poisson_setup, model_of(poisson_setup))
    assert prediction.starved is False
    assert prediction.values["total_tok_s"] == pytest.approx(poisson_setup.offered_tok_s, rel=0.05)


def test_mean_of_running_requests_counts_idle_times_as_a_table_does(poisson_setup: RunSetup) -> None:
    # Little's law: requests in the engine = their rate times the time each spends there
    mostly_idle = replace(poisson_setup, adapter_rates_rps=(0.005,) * 16, duration_limit_s=10_000.0)
    values = predict_run(mostly_idle, model_of(mostly_idle), (0,)).values
    in_engine_s = 1e-3 * (values["ttft_mean_ms"] + (poisson_setup.output_mean - 1) * values["tpot_mean_ms"])
    assert values["running_mean"] == pytest.approx(values["requests_s"] * in_engine_s, rel=0.05)


def test_starved_means_less_than_nine_tenths_of_what_is_offered(poisson_setup: RunSetup) -> None:
    flood = replace(poisson_setup, adapter_rates_rps=(20.0,) * 16)
    assert predict_run(flood, model_of(flood), (0,)).starved is True


def test_regimes_follow_from_served_over_offered(poisson_setup: RunSetup, burst_setup: RunSetup) -> None:
    def served(share: float) -> MeasuredRun:
        return MeasuredRun(
            poisson_setup, {"measured_total_tok_s": share * poisson_setup.offered_tok_s}, None, ()
        )

    assert [regime(served(share)) for share in (0.995, 0.95, 0.5)] == ["below", "at", "above"]
    assert regime(MeasuredRun(burst_setup, {}, None, ())) == "burst"


def test_errors_keep_runs_with_defects_apart(burst_setup: RunSetup) -> None:
    pairs = pairs_of(
        MeasuredRun(burst_setup, {"measured_itl_mean_ms": 10.0}, None, ("clean",)), {"itl_mean_ms": 11.0}
    )
    pairs += pairs_of(
        MeasuredRun(burst_setup, {"measured_itl_mean_ms": 10.0}, None, ()), {"itl_mean_ms": 99.0}
    )
    found = {item.group: item.errors.mape for item in group_errors(pairs)}
    assert found["all clean"] == pytest.approx(10.0)
    assert found["not clean"] == pytest.approx(890.0)


def test_of_a_run_on_a_shared_server_only_the_pace_is_compared(burst_setup: RunSetup) -> None:
    seen = {"itl_mean_ms": 10.0, "total_tok_s": 100.0, "ttft_mean_ms": 900.0}
    columns = {f"measured_{name}": value for name, value in seen.items()}
    alone = MeasuredRun(burst_setup, columns, None, ("clean",))
    shared = MeasuredRun(burst_setup, columns, None, ("clean", "series_mismatch"))
    assert {pair.metric for pair in pairs_of(alone, seen)} == set(seen)
    assert [pair.metric for pair in pairs_of(shared, seen)] == ["itl_mean_ms"]


def test_a_long_run_is_predicted_by_the_mean_of_three_draws(poisson_setup: RunSetup) -> None:
    busy = replace(poisson_setup, adapter_rates_rps=(1.0,) * 16, duration_limit_s=800.0)
    model = model_of(busy)
    peaks = [predict_run(busy, model, (seed,)).values["kv_usage_peak"] for seed in range(3)]
    assert len(set(peaks)) == 3
    assert predict_run(busy, model).values["kv_usage_peak"] == pytest.approx(sum(peaks) / 3)


def test_bands_from_held_out_residuals_hold_four_fifths_of_new_ones() -> None:
    rng = np.random.default_rng(1)
    residuals = [
        HeldOut(f"family {number % 12}", "itl_mean_ms", "below", factor)
        for number, factor in enumerate(np.exp(rng.normal(0.02, 0.05, 600)))
    ]
    assert coverage(residuals)["itl_mean_ms"] == pytest.approx(0.8, abs=0.05)
    bands = fit_intervals(residuals)
    low, high = interval(bands, "itl_mean_ms", "a regime never seen", 100.0) or (0.0, 0.0)
    assert 90 < low < 100 < high < 115
    assert interval(bands, "ttft_mean_ms", "below", 1.0) is None


def test_bands_from_three_families_hold_for_a_fourth_that_is_off_as_a_whole() -> None:
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(40):
        offsets = rng.normal(0.0, 0.1, 4)
        factors = np.exp(offsets[:, None] + rng.normal(0.0, 0.03, (4, 12)))
        *known, new = [
            [HeldOut(f"family {number}", "itl_mean_ms", "burst", factor) for factor in row]
            for number, row in enumerate(factors)
        ]
        low, high = fit_intervals(functools.reduce(operator.iadd, known, []))["itl_mean_ms"]["all"]
        inside += [low <= item.factor <= high for item in new]
    assert 0.8 <= np.mean(inside) <= 0.95


def test_power_is_idle_plus_work_and_energy_is_power_times_time(burst_setup: RunSetup) -> None:
    watts = PowerCoefficients(idle_w=100.0, busy_w=50.0, token_j=0.01, context_token_j=1e-6)
    assert watts.mean_w(Activity(0.0, 0.0, 0.0)) == 100.0
    assert watts.mean_w(Activity(0.5, 1000.0, 1e6)) == pytest.approx(100 + 25 + 10 + 1)
    assert energy_j(100.0, 5.0) == 500.0
    workload = realise(burst_setup, 0)
    server = server_of(burst_setup, model_of(burst_setup), workload)
    requests = server.requests(workload)
    did = activity(server.simulate(requests), requests)
    assert 0.0 < did.busy_share <= 1.0
    decode_context = 400 * sum(242 + step for step in range(1, 130))
    assert did.context_tokens_s / did.tokens_s == pytest.approx(
        decode_context / (400 * (242 + 130)), rel=0.01
    )
