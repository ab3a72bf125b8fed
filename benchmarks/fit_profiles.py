"""Refit the shipped twin profiles from the measured runs.

    python benchmarks/fit_profiles.py ../shared/data [--only NAME] [--no-cross-validation]
    python benchmarks/fit_profiles.py ../shared/data --left-out [--only NAME]
    python benchmarks/fit_profiles.py ../shared/data --check [--only NAME]

Writes `plugins/framework_twin/profiles/*.yaml`. Each profile is fitted on clean runs only; noise repeats and
replicas are kept out and serve as checks. Power comes from the same runs where they measured it, intervals and
held-out errors from refitting without each family. Takes minutes of CPU for the adapter profiles. With `--left-out`
nothing is fitted or written: the errors of the shipped profiles are printed, with each mix left out of their fit.
With `--check` the fit is made again and nothing written: it ends with an error where the committed profile has other
data or coefficients.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isclose, nan
from pathlib import Path

from trace_fit import fit_trace, read_trace, trace_error

from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.calibration.cross_validation import cross_validate, uncalibrated_model
from framework_twin.calibration.fit import fit_runs
from framework_twin.calibration.intervals import inside_without_family
from framework_twin.calibration.profile_fit import ProfileLabel, fit_profile
from framework_twin.kernel.inputs import EngineConfig
from framework_twin.measured.measured_runs import MeasuredRun, read_measured_runs
from framework_twin.physics.adapter_loads import AdapterLoadTimes
from framework_twin.physics.coefficients import COEFFICIENT_NAMES
from framework_twin.physics.engine_memory import EngineMemory, kv_capacity
from framework_twin.physics.profile import (
    PROFILE_FOLDER,
    FitRecord,
    TwinProfile,
    ValidRange,
    read_profile,
    write_profile,
)
from framework_twin.physics.roofline import roofline

EVALUATIONS = 12
TOLERANCE = 1e-3
"""By which a coefficient may differ where another processor or BLAS rounds differently: simulations are discrete, so
the last bit of a step's time can change who is admitted."""
OBSERVED_NAME = "llama-3.1-8b_rtx-pro-6000_v1"
OBSERVED_CALIBRATION = 100


@dataclass(frozen=True)
class Recipe:
    """One profile, and which runs it is fitted on."""

    label: ProfileLabel
    chosen: Callable[[MeasuredRun], bool]


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
# Llama-3.1's, measured alone, times 1.15: what the largest gaps of its busy servers take (a fit; 1.0 for Qwen). Disk
# times of Llama-2 are those of adapters read for the first time: what the fig3 runs lose for each adapter, 139, 168
# and 244 ms.
LLAMA_3_LOADS = AdapterLoadTimes(exact_s=7.6e-3, padded_s=9.7e-3, disk_s=46e-3, disk_per_rank_s=3.0e-3)
QWEN_LOADS = AdapterLoadTimes(exact_s=3.34e-3, padded_s=3.53e-3, disk_s=6e-3, disk_per_rank_s=0.5e-3)
LLAMA_2_LOADS = AdapterLoadTimes(exact_s=8.7e-3, padded_s=8.7e-3, disk_s=95e-3, disk_per_rank_s=4.5e-3)

LLAMA_3 = ("llama-3.1-8b", "llama-3.1-8b-instruct")
QWEN = ("qwen-2.5-7b", "qwen-2.5-7b-instruct")
MEMORY_GAP_MODELS = ("opt-1.3b", "opt-2.7b", "llama-2-7b", "llama-2-13b")
RECIPES = (
    *(Recipe(ProfileLabel(f"{name}_h100-64gb_v0", (name,)), memory_gap(name)) for name in MEMORY_GAP_MODELS),
    *(
        Recipe(
            ProfileLabel(f"{name}_h100-64gb_v0-0.5", (name,), engine="0.5.0", loads=LLAMA_2_LOADS),
            adapters(name, "v0"),
        )
        for name in ("llama-2-7b", "llama-2-13b")
    ),
    Recipe(
        ProfileLabel("llama-3.1-8b_h100-64gb_v1", LLAMA_3, "bfloat16", loads=LLAMA_3_LOADS),
        adapters(LLAMA_3[1], "v1"),
    ),
    Recipe(
        ProfileLabel("qwen-2.5-7b_h100-64gb_v1", QWEN, "bfloat16", loads=QWEN_LOADS), adapters(QWEN[1], "v1")
    ),
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


def chosen_recipes(only: str) -> list[Recipe]:
    """Return the recipe of this name, else all whose names contain it."""
    exact = [recipe for recipe in RECIPES if recipe.label.name == only]
    return exact or [recipe for recipe in RECIPES if only in recipe.label.name]


def command(name: str, arguments: argparse.Namespace) -> str:
    """Return the command that writes a profile again; the data's folder stands for wherever it is."""
    parts = ["python benchmarks/fit_profiles.py ../shared/data --only", name]
    if arguments.evaluations != EVALUATIONS:
        parts.append(f"--evaluations {arguments.evaluations}")
    if arguments.no_cross_validation:
        parts.append("--no-cross-validation")
    return " ".join(parts)


def show_left_out(recipe: Recipe, chosen: Sequence[MeasuredRun]) -> None:
    """Print errors of a shipped profile on its runs, each predicted without its own family by one step of the fit."""
    shipped = read_profile(PROFILE_FOLDER / f"{recipe.label.name}.yaml")
    clean = [run for run in chosen if run.clean]
    prior = replace(uncalibrated_model(clean[0].setup), loads=shipped.loads, front_end_s=shipped.front_end_s)
    fitted = fit_runs(clean, prior, start=shipped.coefficients, max_evaluations=1)
    held = cross_validate(clean, prior=prior, fitted=replace(fitted, coefficients=shipped.coefficients))
    hits = inside_without_family(held.residuals)
    families = dict.fromkeys(family for _, family in hits)
    for item in held.errors:
        if item.group != "all clean" or item.errors.mape is None:
            continue
        inside = [hits[item.metric, family] for family in families if (item.metric, family) in hits]
        shares = ", ".join(f"{100 * sum(own) / len(own):.0f}" for own in inside)
        errors = item.errors
        print(
            f"{recipe.label.name} {item.metric}: MAPE {errors.mape:.1f} %, median {errors.median_ape:.1f} %, "
            f"halved SMAPE {errors.smape_halved:.1f} %, n {errors.count}, in 80 % bands "
            f"{100 * held.coverage.get(item.metric, nan):.0f} % (families {shares})",
            flush=True,
        )
    print("families:", "; ".join(families))


def differences(profile: TwinProfile, committed: TwinProfile) -> list[str]:
    """Return a line for each way in which a profile that was fitted again is not the committed one."""
    found = []
    if profile.fit.data_hash != committed.fit.data_hash:
        found.append(f"data {profile.fit.data_hash}, committed {committed.fit.data_hash or 'unknown'}")
    for name in COEFFICIENT_NAMES:
        now, then = getattr(profile.coefficients, name), getattr(committed.coefficients, name)
        if not isclose(now, then, rel_tol=TOLERANCE):
            found.append(f"{name} {now:.6g}, committed {then:.6g}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="", help="a profile's name, or a part of several")
    parser.add_argument("--evaluations", type=int, default=EVALUATIONS)
    parser.add_argument("--no-cross-validation", action="store_true")
    parser.add_argument("--into", type=Path, default=PROFILE_FOLDER, help="folder of the profiles")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--left-out", action="store_true")
    arguments = parser.parse_args()
    table = arguments.data / "serving_runs_calibration.csv.gz"
    runs, _ = read_measured_runs(table)
    digest = hashlib.sha256(table.read_bytes()).hexdigest()[:20]
    wrong = []
    for recipe in chosen_recipes(arguments.only):
        name, of_recipe = recipe.label.name, [run for run in runs if recipe.chosen(run)]
        path = arguments.into / f"{name}.yaml"
        if arguments.left_out:
            show_left_out(recipe, of_recipe)
            continue
        if arguments.check:
            committed = read_profile(path)
            fitted = fit_profile(
                recipe.label, of_recipe, leave_families_out=False, max_evaluations=arguments.evaluations
            )
            fitted = replace(fitted, fit=replace(fitted.fit, data_hash=digest))
            wrong += [f"{name}: {line}" for line in differences(fitted, committed)]
            continue
        profile = fit_profile(
            recipe.label,
            of_recipe,
            leave_families_out=not arguments.no_cross_validation,
            max_evaluations=arguments.evaluations,
        )
        origin = replace(profile.fit, command=command(name, arguments), data_hash=digest)
        write_profile(replace(profile, fit=origin), path)
        print(name, "in-sample", profile.fit.in_sample, "held out", profile.fit.held_out, flush=True)
    if arguments.only in OBSERVED_NAME and not (arguments.left_out or arguments.check):
        profile = fit_observed(arguments.data)
        write_profile(profile, arguments.into / f"{profile.name}.yaml")
        print(profile.name, "held out", profile.fit.held_out)
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
