"""Measure, fit, replay: on an engine whose coefficients are known, so that every error is the loop's own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from framework.contracts import Advice, AdvisorScope, BatchBackend, ReportScope, RunContext
from framework.errors import InputError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.backend import TwinBackend
from framework_twin.calibration.calibration_advisor import CalibrationAdvisor
from framework_twin.calibration.calibration_report import calibration_tables
from framework_twin.calibration.cross_validation import uncalibrated_model
from framework_twin.calibration.fit import fit_runs
from framework_twin.measured.step_samples import predicted_seconds, step_samples
from framework_twin.measured.stored_runs import read_stored, stored_runs, stored_steps
from framework_twin.physics.profile import find_profile, read_profile, write_profile
from tests.framework_twin.measured_store import (
    DEVICE,
    GPU,
    MODEL,
    SERVED,
    MeasuredStore,
    chat,
    decode,
    lora_mix,
    prefill,
    profile_file,
    timed_steps,
)

GROUPS = {"model": vars(model_shape(MODEL)), "gpu": vars(gpu_spec(GPU))}
POISSON = {"kind": "poisson", "rate_rps": 5.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MeasuredStore:
    """Steps with and without adapters; three workloads to fit, two to check the fit."""
    found = MeasuredStore(profile_file(tmp_path_factory.mktemp("truth"), SERVED))
    found.add_steps(timed_steps(DEVICE, adapters=False), "steps")
    found.add_steps(timed_steps(DEVICE, adapters=True), "steps_adapters")
    found.measure(chat("burst", num_requests=48), max_num_seqs=8)
    found.measure(chat("poisson", num_requests=48, arrivals=POISSON), max_num_seqs=16)
    found.measure(lora_mix("adapters"), max_num_seqs=16, max_loras=4)
    found.measure(chat("wide", num_requests=64), max_num_seqs=16)
    found.measure(lora_mix("mixed", rates_rps=[2.0, 0.5], n_adapters=3), max_num_seqs=8, max_loras=2)
    return found


def scope_of(store: MeasuredStore) -> AdvisorScope:
    def batch_backend(name: str, overrides: Any) -> BatchBackend:
        assert (name, list(overrides)) == ("twin", [])
        return TwinBackend(**GROUPS)

    return AdvisorScope(store, "mine", "sweep", store.run_ids, batch_backend)


@pytest.fixture(scope="module")
def advice(store: MeasuredStore, tmp_path_factory: pytest.TempPathFactory) -> Advice:
    folder = tmp_path_factory.mktemp("advised")
    advisor = CalibrationAdvisor(held_out=["wide", "mixed"], profile_folder=str(folder))
    (found,) = advisor.advise(scope_of(store))
    return found


@pytest.mark.slow
def test_steps_alone_give_a_device_that_is_far_from_its_datasheet(store: MeasuredStore) -> None:
    plain, with_adapters = stored_steps(store, "mine")
    samples = [*plain.samples, *with_adapters.samples]
    coefficients = fit_runs([], uncalibrated_model(plain), steps=samples).coefficients
    # kinds of steps that the grid does not hold, inside and beyond it
    for kind in (
        decode(6, 6 * 100),
        decode(24, 24 * 300),
        prefill(3, 64),
        decode(6, 600, 3),
        prefill(4, 64, 2),
    ):
        assert predicted_seconds(kind, coefficients) == pytest.approx(
            predicted_seconds(kind, DEVICE), rel=0.05
        )


def test_a_single_long_step_does_not_bend_the_median_of_its_kind(store: MeasuredStore) -> None:
    rows = store.query("SELECT * FROM offline_steps WHERE adapters = 0").to_pylist()
    calm = {(s.decodes, s.prompt_tokens, s.context_tokens): s.seconds for s in step_samples(rows, eager=True)}
    slowest = max(range(len(rows)), key=lambda place: rows[place]["duration_s"])
    rows[slowest] = {**rows[slowest], "duration_s": 60.0}
    hurt = {(s.decodes, s.prompt_tokens, s.context_tokens): s.seconds for s in step_samples(rows, eager=True)}
    assert hurt == pytest.approx(calm, rel=0.05)


def test_a_step_of_an_engine_on_a_cpu_counts_without_what_others_took(store: MeasuredStore) -> None:
    rows = store.query("SELECT * FROM offline_steps WHERE adapters = 0").to_pylist()
    calm = step_samples(rows, eager=True)
    robbed = [{**row, "duration_s": 3.0 * row["duration_s"], "cpu_s": row["duration_s"]} for row in rows]
    assert step_samples(robbed, eager=True) == calm
    threads = [{**row, "cpu_s": 8.0 * row["duration_s"]} for row in rows]
    assert step_samples(threads, eager=True) == calm


def test_stored_runs_are_fitted_on_the_very_requests_that_were_sent(store: MeasuredStore) -> None:
    runs, bad = stored_runs(store, "mine")
    assert bad == []
    assert [run.setup.family for run in runs] == ["burst", "poisson", "adapters", "wide", "mixed"]
    poisson = runs[1].workload
    assert poisson is not None
    sent = poisson.tables["requests"]
    assert sent.num_rows == 48
    assert sent["arrival_s"][0].as_py() == 0.0
    assert runs[2].workload is not None
    assert runs[2].setup.adapter_ranks == (8, 8, 8, 8)
    assert runs[1].setup.duration_limit_s is None


def test_a_workload_that_changed_since_the_run_is_left_out_with_the_reason(tmp_path: Path) -> None:
    changed = MeasuredStore(profile_file(tmp_path, SERVED))
    changed.measure(chat("burst", num_requests=4))
    changed.connection.execute("UPDATE runs SET workload_hash = 'other'")
    runs, (bad,) = read_stored(changed, "mine")
    assert runs == []
    assert "its content after rebuilding differs" in bad.reason


def test_runs_of_the_twin_are_not_fitted_to(store: MeasuredStore, tmp_path: Path) -> None:
    own = MeasuredStore(profile_file(tmp_path, SERVED))
    own.measure(chat("burst", num_requests=4))
    own.connection.execute("UPDATE runs SET backend = 'twin'")
    assert read_stored(own, "mine") == ([], [])


@pytest.mark.slow
def test_served_runs_move_the_host_and_leave_the_device(advice: Advice) -> None:
    profile = read_profile(Path(advice.facts["file"]))
    found = profile.coefficients
    assert found.host_s + 8 * found.host_per_seq_s == pytest.approx(
        SERVED.host_s + 8 * SERVED.host_per_seq_s, rel=0.3
    )
    assert found.lora_s == pytest.approx(SERVED.lora_s, rel=0.2)
    assert profile.fit.families == ("adapters", "burst", "offline_steps", "poisson")
    assert profile.fit.in_sample["itl_mean_ms"] < 3.0


@pytest.mark.slow
def test_workloads_that_took_no_part_in_the_fit_come_out_as_measured(advice: Advice) -> None:
    errors = advice.facts["errors"]
    held_out = [item for item in errors if item["held_out"]]
    assert {item["workload"] for item in held_out} == {"wide", "mixed"}
    for item in errors:
        # the loop's own error, an order below the noise of a real engine
        if item["metric"] in ("total_tok_s", "itl_mean_ms"):
            assert abs(item["error_percent"]) < 6.0, item
    assert advice.recommendation == {"backend": "twin", "model": "small-llama", "gpu": "cpu"}
    assert "2 held-out workloads" in advice.reason
    profile = read_profile(Path(advice.facts["file"]))
    assert profile.fit.runs == 5
    # what was held out is the profile's own error and band from then on
    itl = [item for item in held_out if item["metric"] == "itl_mean_ms"]
    assert profile.fit.held_out["itl_mean_ms"] == pytest.approx(
        median(abs(item["error_percent"]) for item in itl), rel=1e-4
    )
    low, high = profile.intervals["itl_mean_ms"]["all"]
    assert all(low - 1e-5 <= item["measured"] / item["predicted"] <= high + 1e-5 for item in itl)


@pytest.mark.slow
def test_the_table_at_the_end_of_a_sweep_shows_held_out_workloads_last(
    store: MeasuredStore, advice: Advice
) -> None:
    store.connection.execute(
        "CREATE OR REPLACE TABLE advice AS SELECT 'calibrate' AS advisor, 'mine' AS experiment, ? AS subject, "
        "? AS reason, ? AS facts, ?::VARCHAR[] AS run_ids, 1 AS advised_at",
        [advice.subject, advice.reason, json.dumps(dict(advice.facts)), list(advice.run_ids)],
    )
    (table,) = calibration_tables(ReportScope(store, "mine", store.run_ids))
    assert [row[0] for row in table.rows] == ["adapters", "burst", "poisson", "mixed", "wide"]
    assert [row[2] for row in table.rows] == ["yes", "yes", "yes", "no", "no"]
    assert len(table.columns) == len(table.rows[0])


def test_a_profile_of_the_user_goes_before_the_shipped_one(tmp_path: Path) -> None:
    assert find_profile(MODEL, GPU, "v1") is None
    file = profile_file(tmp_path, SERVED, "mine")
    found = find_profile(MODEL, GPU, "v1", folder=tmp_path)
    assert found is not None
    assert found.name == "mine"
    shipped = find_profile("opt-1.3b", "H100-64GB", "v0")
    assert shipped is not None
    other = replace(shipped, name="better")
    write_profile(other, tmp_path / "better.yaml")
    chosen = find_profile("opt-1.3b", "H100-64GB", "v0", folder=tmp_path)
    assert chosen is not None
    assert chosen.name == "better"
    file.write_text("name: broken")
    with pytest.raises(InputError, match=r"mine\.yaml: not a valid profile"):
        find_profile(MODEL, GPU, "v1", folder=tmp_path)


def test_the_profile_that_a_configuration_takes_is_in_its_fingerprint_and_a_sweep_covers_all(
    tmp_path: Path,
) -> None:
    def prints(**keys: str) -> tuple[str, str]:
        backend = TwinBackend(**{**GROUPS, "profile_folder": str(tmp_path), **keys})
        return backend.fingerprint(), backend.sweep_fingerprint()

    without = prints()
    profile_file(tmp_path, DEVICE)
    first = prints()
    profile_file(tmp_path, SERVED)
    second = prints()
    assert len({without[0], first[0], second[0]}) == len({without[1], first[1], second[1]}) == 3
    roofline = prints(profile="roofline")
    assert roofline == ("", second[1])


def test_the_backend_takes_the_profile_from_the_users_folder(tmp_path: Path, store: MeasuredStore) -> None:
    profile_file(tmp_path, SERVED, "mine")
    (run, *_), _ = read_stored(store, "mine", store.run_ids[2:3])
    assert run.workload is not None
    backend = TwinBackend(**GROUPS, profile_folder=str(tmp_path), max_num_seqs=8)
    result = backend.run(run.workload, RunContext("", {}, 0, tmp_path))
    assert result.facts["profile"] == "mine"
    assert result.facts["calibrated"] is True
