"""Error on runs whose whole family was left out of the fit, and intervals from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.calibration.fit import FittedCoefficients, fit_runs
from framework_twin.calibration.intervals import HeldOut, coverage, predicted_regime
from framework_twin.measured.measured_runs import MeasuredRun, RunSetup
from framework_twin.measured.prediction_error import GroupError, Pair, group_errors, pairs_of
from framework_twin.measured.run_prediction import predict_measured
from framework_twin.measured.stored_runs import MeasuredSteps
from framework_twin.physics.profile import StepModel, step_model
from framework_twin.physics.roofline import roofline

FitSubject = RunSetup | MeasuredSteps
"""What says which model, GPU and engine a fit is about."""

FEWEST_RUNS = 3
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CrossValidation:
    """Held-out errors.

    Attributes:
        errors: by metric and group, every run predicted by a fit that never saw its family.
        residuals: one per run and metric, for intervals.
        coverage: metric to the share of runs inside 80 % intervals made from other families.
        skipped: families that could not be left out, with the reason.
    """

    errors: Sequence[GroupError]
    residuals: Sequence[HeldOut]
    coverage: dict[str, float]
    skipped: Sequence[str]


def fit_group(setup: FitSubject) -> tuple[str, str, str, str]:
    """Return what one profile covers: model, GPU, engine generation, engine version."""
    return setup.model, setup.gpu, setup.generation, setup.engine


def held_out_family(setup: RunSetup) -> str:
    """Return the group of runs that must be left out together.

    Runs that share adapter rates and ranks differ only in slots and number of adapters, so neighbours
    would leak: their family is the set of rates and ranks. Other runs carry their family in the table.
    """
    if setup.arrival != "poisson":
        return setup.family
    rates = "-".join(f"{rate:g}" for rate in sorted(set(setup.adapter_rates_rps), reverse=True))
    ranks = "-".join(str(rank) for rank in sorted(set(setup.adapter_ranks)))
    return f"rates {rates} ranks {ranks}"


def cross_validate(
    runs: Sequence[MeasuredRun],
    *,
    prior: StepModel | None = None,
    fitted: FittedCoefficients | None = None,
    max_evaluations: int = 6,
    progress: Progress = lambda done, total: None,
) -> CrossValidation:
    """Leave out each family of each model, GPU and engine in turn, refit from the roofline, predict it.

    `prior` replaces the uncalibrated model of all runs (one model and GPU only). With `fitted`, the fit to all of
    them, a family is left out by one step from there instead of a fit anew.
    """
    clean = [run for run in runs if run.clean]
    folds = _folds(clean)
    pairs: list[Pair] = []
    residuals: list[HeldOut] = []
    skipped: list[str] = []
    for number, (group, family) in enumerate(folds):
        progress(number, len(folds))
        in_group = [run for run in clean if fit_group(run.setup) == group]
        train = [run for run in in_group if held_out_family(run.setup) != family]
        test = [run for run in in_group if held_out_family(run.setup) == family]
        if len(train) < FEWEST_RUNS:
            skipped.append(
                f"{group[0]} {family}: {len(train)} runs of other families, {FEWEST_RUNS} are needed"
            )
            continue
        start = prior or uncalibrated_model(train[0].setup)
        if fitted is None or fitted.sensitivity is None:
            coefficients = fit_runs(train, start, max_evaluations=max_evaluations).coefficients
        else:
            coefficients = fitted.without(run.setup.run_id for run in test)
        model = replace(start, coefficients=coefficients)
        for run in test:
            values = predict_measured(run, model).values
            found = pairs_of(run, values)
            pairs += found
            where = predicted_regime(run.setup, values)
            label = f"{group[0]} {family}"
            residuals += [
                HeldOut(label, pair.metric, where, 1.0 / pair.ratio) for pair in found if pair.ratio > 0
            ]
    return CrossValidation(group_errors(pairs), residuals, coverage(residuals), skipped)


def uncalibrated_model(setup: FitSubject) -> StepModel:
    """Return the roofline of a run's model, with the load times that were measured apart from its runs."""
    calibrated = step_model(setup.model, setup.gpu, setup.generation, engine=setup.engine)
    shape, gpu = model_shape(setup.model), gpu_spec(setup.gpu)
    prior = roofline(shape, gpu, setup.generation, attention_backend=setup.attention_backend)
    return StepModel(prior, calibrated.loads, calibrated.power, None)


def _folds(runs: Sequence[MeasuredRun]) -> list[tuple[tuple[str, str, str, str], str]]:
    return sorted(
        {(fit_group(run.setup), held_out_family(run.setup)) for run in runs if not run.setup.offline}
    )
