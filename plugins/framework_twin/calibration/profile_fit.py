"""From measured runs of one model, GPU and engine to a profile: coefficients, power, errors, intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from framework.errors import InputError
from framework_twin.calibration.cross_validation import (
    CrossValidation,
    FitSubject,
    cross_validate,
    uncalibrated_model,
)
from framework_twin.calibration.fit import fit_runs, measured_value, runs_hash
from framework_twin.calibration.intervals import fit_intervals
from framework_twin.measured.measured_runs import MeasuredRun
from framework_twin.measured.prediction_error import GroupError, group_errors, pairs_of, regime
from framework_twin.measured.realise import realise
from framework_twin.measured.run_prediction import predict_measured, server_of
from framework_twin.measured.step_samples import StepSample, step_errors
from framework_twin.measured.stored_runs import MeasuredSteps
from framework_twin.physics.adapter_loads import AdapterLoadTimes
from framework_twin.physics.coefficients import StepCoefficients
from framework_twin.physics.power import PowerCoefficients, activity
from framework_twin.physics.profile import FitRecord, StepModel, TwinProfile, ValidRange

IDLE_W = 115.0
"""Idle power with a model loaded: the samples before and after the load in ../shared/data/timeseries."""

OFFLINE_FAMILY = "offline_steps"
"""What a profile calls timed steps among the families that it was fitted on."""

_LONGEST_CONTEXT = 2048


@dataclass(frozen=True)
class ProfileLabel:
    """What a profile is called and what it covers.

    Attributes:
        engine: version fragment it is limited to; "" covers every version of the generation.
        loads: adapter load times, measured apart from the runs.
    """

    name: str
    models: tuple[str, ...]
    dtype: str = "float16"
    engine: str = ""
    loads: AdapterLoadTimes | None = None


def fit_profile(
    label: ProfileLabel,
    runs: Sequence[MeasuredRun],
    *,
    steps: Sequence[MeasuredSteps] = (),
    leave_families_out: bool = True,
    max_evaluations: int = 12,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TwinProfile:
    """Fit a profile to the clean runs among `runs` and to timed steps, all of one model, GPU and engine generation.

    Raises `InputError` when no clean run is left, and no steps were timed.
    """
    chosen = [run for run in runs if run.clean]
    if not chosen and not steps:
        raise InputError(f"calibrate: no clean run for profile {label.name}")
    setup: FitSubject = chosen[0].setup if chosen else steps[0]
    samples = [sample for series in steps for sample in series.samples]
    prior = uncalibrated_model(setup)
    if label.loads:
        prior = replace(prior, loads=label.loads)
    fitted = fit_runs(chosen, prior, steps=samples, max_evaluations=max_evaluations)
    power = fit_power(chosen, replace(prior, coefficients=fitted.coefficients))
    prior = replace(prior, power=power or prior.power)
    model = replace(prior, coefficients=fitted.coefficients)
    prior = replace(prior, front_end_s=fit_front_end(chosen, model))
    model = replace(model, front_end_s=prior.front_end_s)
    pairs = [pair for run in chosen for pair in pairs_of(run, predict_measured(run, model).values)]
    held_out = None
    if leave_families_out and chosen:
        held_out = cross_validate(chosen, prior=prior, fitted=fitted, progress=progress)
    return TwinProfile(
        name=label.name,
        models=label.models,
        gpu=setup.gpu,
        generation=setup.generation,
        dtype=label.dtype,
        engine=label.engine,
        coefficients=fitted.coefficients,
        valid=_valid_range(chosen, samples),
        fit=FitRecord(
            runs=len(chosen) + len(steps),
            runs_hash=runs_hash([*(run.setup.run_id for run in chosen), *(item.run_id for item in steps)]),
            families=tuple(
                sorted({run.setup.family for run in chosen} | ({OFFLINE_FAMILY} if steps else set()))
            ),
            in_sample=_medians(group_errors(pairs))
            if chosen
            else _step_medians(samples, fitted.coefficients),
            held_out=_medians(held_out.errors) if held_out else {},
            relative_std=fitted.relative_std,
        ),
        loads=label.loads,
        power=power,
        front_end_s=model.front_end_s,
        intervals=_bands(held_out),
    )


def fit_power(runs: Sequence[MeasuredRun], model: StepModel) -> PowerCoefficients | None:
    """Fit watts by non-negative relative least squares on the activity of the simulated runs.

    None where no run measured power.
    """
    from scipy.optimize import nnls

    features, watts = [], []
    for run in runs:
        measured = measured_value(run, "power_mean_w")
        if measured is None:
            continue
        workload = run.workload or realise(run.setup, 0)
        server = server_of(run.setup, model, workload)
        requests = server.requests(workload)
        did = activity(server.simulate(requests), requests)
        features.append((did.busy_share, did.tokens_s, did.context_tokens_s))
        watts.append(measured)
    if not watts:
        return None
    measured_w = np.array(watts)
    found, _ = nnls(np.array(features) / measured_w[:, None], 1.0 - IDLE_W / measured_w)
    return PowerCoefficients(IDLE_W, *(float(value) for value in found))


LIGHT_LOAD = 10.0
"""Running requests below which hardly anything but the front end separates a first token from its step."""
_FEWEST_LIGHT_RUNS = 3


def fit_front_end(runs: Sequence[MeasuredRun], model: StepModel) -> float:
    """Return the median of measured minus simulated mean TTFT of lightly loaded runs, in seconds and at least 0.

    That of `model` where fewer than three of the runs are lightly loaded. A burst is none of them, however few of
    its requests run at a time: its TTFT is the queue's.
    """
    bare = replace(model, front_end_s=0.0)
    differences = []
    for run in runs:
        measured = measured_value(run, "ttft_mean_ms")
        running = measured_value(run, "running_mean")
        if measured is None or running is None or running >= LIGHT_LOAD:
            continue
        if run.setup.arrival != "poisson" or regime(run) == "above":
            continue
        simulated = predict_measured(run, bare, (0,)).values.get("ttft_mean_ms")
        if simulated is not None:
            differences.append((measured - simulated) / 1e3)
    if len(differences) < _FEWEST_LIGHT_RUNS:
        return model.front_end_s
    return max(0.0, float(np.median(differences)))


def _valid_range(runs: Sequence[MeasuredRun], samples: Sequence[StepSample]) -> ValidRange:
    batches = [_batch_reached(run) for run in runs]
    return ValidRange(
        max_batch=max([*batches, *(sample.decodes + sample.prompts for sample in samples)]),
        max_context_tokens=_LONGEST_CONTEXT,
        max_slots=max([*(run.setup.max_loras for run in runs), *(sample.slots for sample in samples)]),
        max_rank=max([*(run.setup.max_lora_rank for run in runs), *(sample.rank for sample in samples)]),
    )


def _batch_reached(run: MeasuredRun) -> int:
    peak = measured_value(run, "running_peak")
    if peak is None and run.setup.source == "store":  # a store's runs have no peak; max_num_seqs is its bound
        return min(
            run.setup.max_num_seqs * run.setup.replicas, run.setup.num_prompts or run.setup.max_num_seqs
        )
    return int(peak or run.setup.num_prompts or 1)


def _step_medians(samples: Sequence[StepSample], coefficients: StepCoefficients) -> dict[str, float]:
    errors: dict[str, list[float]] = {}
    for kind, error in step_errors(samples, coefficients):
        errors.setdefault(f"{kind}_step_ms", []).append(100.0 * abs(error))
    return {name: float(np.median(values)) for name, values in errors.items()}


def _medians(errors: Sequence[GroupError]) -> dict[str, float]:
    return {
        item.metric: item.errors.median_ape
        for item in errors
        if item.group == "all clean" and item.errors.median_ape is not None
    }


def _bands(held_out: CrossValidation | None) -> dict[str, dict[str, tuple[float, float]]]:
    return fit_intervals(held_out.residuals) if held_out else {}
