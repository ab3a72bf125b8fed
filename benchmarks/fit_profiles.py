"""Refit the shipped twin profiles from the measured runs.

    python benchmarks/fit_profiles.py ../shared/data [--only NAME] [--no-cross-validation]

Writes `plugins/framework_twin/profiles/*.yaml`. Each profile is fitted on clean runs only; noise repeats and
replicas are kept out and serve as checks. Power comes from the same runs where they measured it, intervals and
held-out errors from leaving families out. Takes minutes of CPU for the adapter profiles.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from framework_serving.catalogue import gpu_spec, model_shape
from framework_twin.adapter_loads import AdapterLoadTimes
from framework_twin.calibrate import fit_runs, measured_value, runs_hash
from framework_twin.cross_validation import CrossValidation, cross_validate, uncalibrated_model
from framework_twin.intervals import fit_intervals
from framework_twin.kernel.inputs import EngineConfig
from framework_twin.kernel.simulate import simulate
from framework_twin.measured_runs import MeasuredRun, read_measured_runs
from framework_twin.memory import EngineMemory, kv_capacity
from framework_twin.power import PowerCoefficients, activity
from framework_twin.prediction import engine_config, predict_run
from framework_twin.prediction_error import GroupError, group_errors, pairs_of
from framework_twin.profile import (
    PROFILE_FOLDER,
    FitRecord,
    StepModel,
    TwinProfile,
    ValidRange,
    write_profile,
)
from framework_twin.realise import realise
from framework_twin.roofline import roofline
from framework_twin.trace_fit import fit_trace, read_trace, trace_error

IDLE_W = 115.0
"""Idle power with a model loaded: the samples before and after the load in ../shared/data/timeseries."""

MOST_TRAINING_RUNS = 48

OBSERVED_NAME = "llama-3.1-8b_rtx-pro-6000_v1"
OBSERVED_CALIBRATION = 100


@dataclass(frozen=True)
class Recipe:
    """One profile: which runs it is fitted on."""

    name: str
    models: tuple[str, ...]
    generation: str
    chosen: Callable[[MeasuredRun], bool]
    engine: str = ""
    loads: AdapterLoadTimes | None = None
    dtype: str = "float16"


def memory_gap(model: str) -> Callable[[MeasuredRun], bool]:
    def chosen(run: MeasuredRun) -> bool:
        setup = run.setup
        single = setup.replicas == 1 and setup.family != "noise"
        return setup.source == "memory_gap" and setup.model == model and single

    return chosen


def adapters(model: str, generation: str) -> Callable[[MeasuredRun], bool]:
    def chosen(run: MeasuredRun) -> bool:
        setup = run.setup
        return setup.source == "adapters" and setup.model == model and setup.generation == generation

    return chosen


# Load times: means of ../shared/data/adapter_load_times.csv by rank against slot rank; disk times on a line in rank.
LLAMA_3_LOADS = AdapterLoadTimes(exact_s=6.62e-3, padded_s=8.40e-3, disk_s=46e-3, disk_per_rank_s=3.0e-3)
QWEN_LOADS = AdapterLoadTimes(exact_s=3.34e-3, padded_s=3.53e-3, disk_s=6e-3, disk_per_rank_s=0.5e-3)
LLAMA_2_LOADS = AdapterLoadTimes(exact_s=8.7e-3, padded_s=8.7e-3, disk_s=30e-3, disk_per_rank_s=2.0e-3)

LLAMA_3 = ("llama-3.1-8b", "llama-3.1-8b-instruct")
QWEN = ("qwen-2.5-7b", "qwen-2.5-7b-instruct")
RECIPES = (
    *(
        Recipe(f"{model}_h100-64gb_v0", (model,), "v0", memory_gap(model))
        for model in ("opt-1.3b", "opt-2.7b", "llama-2-7b", "llama-2-13b")
    ),
    Recipe(
        "llama-2-7b_h100-64gb_v0-0.5",
        ("llama-2-7b",),
        "v0",
        adapters("llama-2-7b", "v0"),
        "0.5.0",
        LLAMA_2_LOADS,
    ),
    Recipe(
        "llama-2-13b_h100-64gb_v0-0.5",
        ("llama-2-13b",),
        "v0",
        adapters("llama-2-13b", "v0"),
        "0.5.0",
        LLAMA_2_LOADS,
    ),
    Recipe(
        "llama-3.1-8b_h100-64gb_v1", LLAMA_3, "v1", adapters(LLAMA_3[1], "v1"), "", LLAMA_3_LOADS, "bfloat16"
    ),
    Recipe("qwen-2.5-7b_h100-64gb_v1", QWEN, "v1", adapters(QWEN[1], "v1"), "", QWEN_LOADS, "bfloat16"),
)


def fit_profile(recipe: Recipe, runs: Sequence[MeasuredRun], crossed: bool, evaluations: int) -> TwinProfile:
    chosen = [run for run in runs if run.clean and recipe.chosen(run)]
    train = thin(chosen)
    prior = uncalibrated_model(chosen[0].setup)
    if recipe.loads:
        prior = replace(prior, loads=recipe.loads)
    fitted = fit_runs(train, prior, max_evaluations=evaluations)
    model = replace(prior, coefficients=fitted.coefficients)
    power = fit_power(chosen, model)
    if power is not None:
        model, prior = replace(model, power=power), replace(prior, power=power)
    pairs = [pair for run in chosen for pair in pairs_of(run, predict_run(run.setup, model).values)]
    held_out = cross_validate(chosen, prior=prior, thin=thin) if crossed else None
    return TwinProfile(
        name=recipe.name,
        models=recipe.models,
        gpu=chosen[0].setup.gpu,
        generation=recipe.generation,
        dtype=recipe.dtype,
        engine=recipe.engine,
        coefficients=fitted.coefficients,
        valid=valid_range(chosen),
        fit=FitRecord(
            runs=len(train),
            runs_hash=runs_hash(train),
            families=tuple(sorted({run.setup.family for run in train})),
            in_sample=medians(group_errors(pairs)),
            held_out=medians(held_out.errors) if held_out else {},
            relative_std=fitted.relative_std,
        ),
        loads=recipe.loads,
        power=power,
        intervals=bands(held_out),
    )


def fit_observed(data: Path) -> TwinProfile:
    """Fit the observed RTX PRO 6000 run on the times of its first 100 requests; the other 200 test it."""
    model, gpu = "llama-3.1-8b", "RTX-PRO-6000"
    trace = read_trace(data / "observed" / "rtxpro6000_llama31_8b" / "requests.csv.gz")
    shape, spec = model_shape(model), gpu_spec(gpu)
    longest = int((trace.requests.input_tokens + trace.requests.output_tokens).max())
    memory = EngineMemory("v1", 0.9, 128, 2048, longest)
    engine = EngineConfig("v1", kv_capacity(shape, spec, memory).blocks, 128, 2048)
    fitted = fit_trace(trace, engine, roofline(shape, spec, "v1"), OBSERVED_CALIBRATION)
    error = trace_error(trace, engine, fitted.coefficients, OBSERVED_CALIBRATION)
    return TwinProfile(
        name=OBSERVED_NAME,
        models=LLAMA_3,
        gpu=spec.name,
        generation="v1",
        dtype="bfloat16",
        coefficients=fitted.coefficients,
        valid=ValidRange(max_batch=128, max_context_tokens=longest),
        fit=FitRecord(
            runs=1,
            runs_hash=f"observed requests 0-{OBSERVED_CALIBRATION - 1}",
            families=("observed",),
            held_out={"tpot_mean_ms": abs(error.tpot_mean), "ttft_mean_ms": abs(error.ttft_mean)},
            relative_std=fitted.relative_std,
        ),
    )


def thin(runs: Sequence[MeasuredRun]) -> list[MeasuredRun]:
    """Keep an even selection of long sweeps: neighbours in slots and adapters say the same."""
    stride = max(1, -(-len(runs) // MOST_TRAINING_RUNS))
    return list(runs)[::stride]


def valid_range(runs: Sequence[MeasuredRun]) -> ValidRange:
    return ValidRange(
        max_batch=int(max(measured_value(run, "running_peak") or run.setup.num_prompts or 1 for run in runs)),
        max_context_tokens=2048,
        max_slots=max(run.setup.max_loras for run in runs),
        max_rank=max(run.setup.max_lora_rank for run in runs),
    )


def fit_power(runs: Sequence[MeasuredRun], model: StepModel) -> PowerCoefficients | None:
    """Non-negative relative least squares of measured power on the activity of the simulated runs."""
    from scipy.optimize import nnls

    features, watts = [], []
    for run in runs:
        measured = measured_value(run, "power_mean_w")
        if measured is None:
            continue
        requests = realise(run.setup, 0)
        did = activity(simulate(engine_config(run.setup), requests, model.coefficients.law()), requests)
        features.append((did.busy_share, did.tokens_s, did.context_tokens_s))
        watts.append(measured)
    if not watts:
        return None
    measured_w = np.array(watts)
    found, _ = nnls(np.array(features) / measured_w[:, None], 1.0 - IDLE_W / measured_w)
    return PowerCoefficients(IDLE_W, *(float(value) for value in found))


def medians(errors: Sequence[GroupError]) -> dict[str, float]:
    return {
        item.metric: item.errors.median_ape
        for item in errors
        if item.group == "all clean" and item.errors.median_ape is not None
    }


def bands(held_out: CrossValidation | None) -> dict[str, dict[str, tuple[float, float]]]:
    return fit_intervals(held_out.residuals) if held_out else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--evaluations", type=int, default=8)
    parser.add_argument("--no-cross-validation", action="store_true")
    arguments = parser.parse_args()
    runs, _ = read_measured_runs(arguments.data / "serving_runs_calibration.csv.gz")
    for recipe in RECIPES:
        if arguments.only not in recipe.name:
            continue
        profile = fit_profile(recipe, runs, not arguments.no_cross_validation, arguments.evaluations)
        write_profile(profile, PROFILE_FOLDER / f"{profile.name}.yaml")
        print(profile.name, "in-sample", profile.fit.in_sample, "held out", profile.fit.held_out, flush=True)
    if arguments.only in OBSERVED_NAME:
        profile = fit_observed(arguments.data)
        write_profile(profile, PROFILE_FOLDER / f"{profile.name}.yaml")
        print(profile.name, "held out", profile.fit.held_out)


if __name__ == "__main__":
    main()
