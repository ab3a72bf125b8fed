"""Fit step-time coefficients to measured runs or to a trace of requests, by simulating them.

A maximum-a-posteriori fit in the logarithm of the coefficients, so they stay positive. The roofline of
shape and datasheet is the prior mean and `PRIOR_SPREAD` its standard deviation: a coefficient that the
runs don't determine keeps its physical value. Residuals are relative, and a soft-l1 loss keeps single
bad runs from bending the fit.

Where single steps were timed too (`backend=vllm_offline`), they come first: they determine the device's coefficients
directly, however far these are from the datasheet's. The runs then move what a served engine adds, its host work,
and the rest only as far as the steps left it open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.errors import InputError
from framework.identity.run_key import canonical_hash
from framework_twin.measured.measured_runs import OWN_ON_SHARED_SERVER, SHARED_SERVER, MeasuredRun
from framework_twin.measured.realise import realise
from framework_twin.measured.run_prediction import Realise, predict_measured
from framework_twin.measured.step_samples import StepSample, step_residuals
from framework_twin.physics.coefficients import StepCoefficients
from framework_twin.physics.profile import StepModel

Floats = npt.NDArray[np.float64]

PRIOR_SPREAD = {
    "host_s": 0.25,
    "host_per_seq_s": 0.4,
    "weights_s": 0.1,
    "compute_per_token_s": 0.3,
    "kernel_s": 0.5,
    "kernel_per_seq_s": 0.5,
    "per_context_token_s": 0.15,
    "prefill_step_s": 1.0,
    "launch_s": 0.6,
    "hidden_host_per_seq_s": 0.7,
}
"""Standard deviation of the logarithm of each base coefficient around the roofline."""

LORA_PRIOR_SPREAD = {
    "lora_s": 1.0,
    "lora_per_slot_s": 1.0,
    "lora_per_adapter_s": 1.0,
    "lora_per_prefill_token_s": 1.0,
    "lora_per_slot_token_s": 1.0,
    "lora_rank_share": 0.7,
    "scheduler_per_waiting_s": 0.5,
    "lora_per_rank_token_s": 1.0,
    "lora_large_step_share": 0.3,
}
"""The same for coefficients that only runs with adapters determine."""

TARGET_NOISE = {
    "itl_mean_ms": 0.02,
    "total_tok_s": 0.02,
    "ttft_censored_ms": 0.3,
    "decode_step_mean_ms": 0.03,
    "prefill_time_s": 0.1,
}
"""Relative standard deviation given to each fitted quantity: run-to-run noise and the law's own error."""

OPEN_LOOP_NOISE = {"tpot_mean_ms": 0.03, "itl_median_ms": 0.06, "itl_p99_ms": 0.2, "running_mean": 0.06}
"""The same for what a table says of a Poisson load besides: its batches differ all the time, so that the median gap
tells decode steps from those with prompts, and the largest gaps are steps full of prompts or loads."""

MOST_RUNS = 36
"""Runs that a fit simulates: of more, as many are taken evenly over their settings. Neighbours say nearly the
same."""

HOST_COEFFICIENTS = (
    "host_s",
    "host_per_seq_s",
    "prefill_step_s",
    "launch_s",
    "hidden_host_per_seq_s",
    "scheduler_per_waiting_s",
)
"""What an engine behind a server spends more of than one in lock step: the way between its processes."""

_STEP_SPREAD = 4.0
"""Steps may lead this much further from the datasheet than runs: in units of the prior's spread."""
_STEP_EVALUATIONS = 100
_SERVED_HOST_SPREAD = 1.0
_LEAST_SPREAD = 0.1
"""How far runs may move a device coefficient that steps know better: what the served engine's neighbours cost it."""

_REWEIGHTINGS = 30
_LARGEST_STEP = 0.5
"""The furthest that leaving rows out moves the logarithm of a coefficient: beyond it the slopes say nothing."""
_PROFILED_NOISE = 3.0  # a profiler slows small batches by up to 6 %, so those rows weigh less
_STEP = 0.02  # finite-difference step in log space: small steps drown in scheduling noise
_CENTRE = 1.0  # scipy's relative step needs variables away from 0
_BOUND = 4.0
_FURTHEST = 3.9  # a start within the bounds


@dataclass(frozen=True)
class Sensitivity:
    """How residuals change with the logarithm of each free coefficient, at a fit's optimum.

    Attributes:
        names: the coefficients, one a column.
        rows: what each residual belongs to, "" for the prior.
        residuals: in units of their standard deviation.
        slopes: their derivatives, shape (rows, names).
    """

    names: tuple[str, ...]
    rows: tuple[str, ...]
    residuals: Floats
    slopes: Floats


@dataclass(frozen=True)
class FittedCoefficients:
    """Coefficients with the relative standard deviation of each one that was free."""

    coefficients: StepCoefficients
    relative_std: dict[str, float]
    sensitivity: Sensitivity | None = None

    def without(self, left_out: Iterable[str]) -> StepCoefficients:
        """Return the coefficients of a fit without some of its rows, by the slopes at this one's optimum.

        Near the optimum a refit finds the same, at many times the cost (a simulation of every run per coefficient).
        """
        found = self.sensitivity
        assert found is not None
        gone = set(left_out)
        kept = np.array([row not in gone for row in found.rows])
        # the step that a fit that ended early would still make is no consequence of what is left out
        step = _best_step(found.residuals[kept], found.slopes[kept]) - _best_step(
            found.residuals, found.slopes
        )
        values = {name: getattr(self.coefficients, name) for name in found.names}
        moved = {
            name: value * float(np.exp(change))
            for (name, value), change in zip(values.items(), step, strict=True)
        }
        return replace(self.coefficients, **moved)


def _best_step(residuals: Floats, slopes: Floats) -> Floats:
    """Return the change of the coefficients' logarithms that minimises the soft-l1 loss of linear residuals."""
    step: Floats = np.zeros(slopes.shape[1])
    for _ in range(_REWEIGHTINGS):
        weight = (1.0 + (residuals + slopes @ step) ** 2) ** -0.25  # its square is the loss's slope
        best = -np.linalg.lstsq(slopes * weight[:, None], residuals * weight, rcond=None)[0]
        step = np.clip(best, -_LARGEST_STEP, _LARGEST_STEP).astype(np.float64)
    return step


def fit_runs(
    runs: Sequence[MeasuredRun],
    prior: StepModel,
    *,
    steps: Sequence[StepSample] = (),
    start: StepCoefficients | None = None,
    max_evaluations: int = 10,
) -> FittedCoefficients:
    """Fit `prior.coefficients` to measured runs, and timed steps if any, of one model, GPU and engine.

    The search begins at `start`, or at the prior. With one evaluation the result is `start` itself, with its slopes.

    Raises `InputError` when neither a run nor a step carries a quantity to fit.
    """
    usable = _spread_evenly([run for run in runs if _targets(run)])
    if not usable and not steps:
        raise InputError(
            "calibrate: no run has a measured quantity that can be fitted (itl, throughput, steps)"
        )
    with_adapters = any(run.setup.max_loras for run in usable) or any(step.adapters for step in steps)
    spread = {**PRIOR_SPREAD, **(LORA_PRIOR_SPREAD if with_adapters else {})}
    if steps:
        known = fit_steps(steps, prior.coefficients, spread)
        if not usable:
            return known
        prior, spread = replace(prior, coefficients=known.coefficients), _spread_after_steps(spread, known)

    workload = lru_cache(maxsize=None)(realise)

    def residuals(coefficients: StepCoefficients) -> Floats:
        model = replace(prior, coefficients=coefficients)
        return np.concatenate([_run_residuals(run, model, workload) for run in usable])

    rows = [run.setup.run_id for run in usable for _ in _targets(run)]
    return fit_coefficients(
        residuals, prior.coefficients, spread, start=start, max_evaluations=max_evaluations, rows=rows
    )


def fit_steps(
    steps: Sequence[StepSample], prior: StepCoefficients, spread: Mapping[str, float]
) -> FittedCoefficients:
    """Fit coefficients to timed steps by the law alone, without a simulation."""
    wide = {name: _STEP_SPREAD * width for name, width in spread.items()}

    def residuals(coefficients: StepCoefficients) -> Floats:
        return step_residuals(steps, coefficients)

    return fit_coefficients(residuals, prior, wide, max_evaluations=_STEP_EVALUATIONS)


def _spread_after_steps(spread: Mapping[str, float], known: FittedCoefficients) -> dict[str, float]:
    left_open = {
        name: max(_LEAST_SPREAD, min(width, known.relative_std.get(name, width)))
        for name, width in spread.items()
    }
    return {
        name: max(width, _SERVED_HOST_SPREAD) if name in HOST_COEFFICIENTS else width
        for name, width in left_open.items()
    }


def fit_coefficients(
    residuals: Callable[[StepCoefficients], Floats],
    prior: StepCoefficients,
    spread: Mapping[str, float],
    *,
    start: StepCoefficients | None = None,
    max_evaluations: int = 10,
    rows: Sequence[str] = (),
) -> FittedCoefficients:
    """Minimise scaled residuals plus the prior over the coefficients named in `spread`.

    With `rows`, what each residual belongs to, the result can say what a fit without some of them would be.

    Uncertainties come from the Gauss-Newton approximation of the posterior at the optimum.
    """
    from scipy.optimize import least_squares

    names = [name for name in spread if getattr(prior, name) > 0]
    widths = np.array([spread[name] for name in names])

    def coefficients(point: Floats) -> StepCoefficients:
        factors = np.exp(point - _CENTRE)
        return replace(
            prior, **{n: getattr(prior, n) * float(f) for n, f in zip(names, factors, strict=True)}
        )

    def objective(point: Floats) -> Floats:
        return np.concatenate([residuals(coefficients(point)), (point - _CENTRE) / widths])

    begin = np.full(len(names), _CENTRE)
    if start is not None:
        factors = np.array([max(getattr(start, name), 1e-12) / getattr(prior, name) for name in names])
        begin += np.clip(np.log(factors), -_FURTHEST, _FURTHEST)
    fit = least_squares(
        objective,
        begin,
        loss="soft_l1",
        diff_step=_STEP,
        max_nfev=max_evaluations,
        bounds=(_CENTRE - _BOUND, _CENTRE + _BOUND),
    )
    covariance = np.linalg.pinv(fit.jac.T @ fit.jac)
    std = np.sqrt(np.clip(np.diag(covariance), 0.0, None))
    sensitivity = None
    if rows:
        bend = (1.0 + fit.fun**2) ** 0.75  # scipy's slopes contain the curvature of the loss
        labels = (*rows, *([""] * len(names)))
        sensitivity = Sensitivity(tuple(names), labels, fit.fun, fit.jac * bend[:, None])
    relative_std = dict(zip(names, map(float, std), strict=True))
    return FittedCoefficients(coefficients(fit.x), relative_std, sensitivity)


def runs_hash(run_ids: Iterable[str]) -> str:
    """Return a digest of the run ids, in any order."""
    return canonical_hash(sorted(run_ids))


def measured_value(run: MeasuredRun, quantity: str) -> float | None:
    """Return a measured quantity by its name without prefix, None if the run lacks it or it is not the run's own."""
    if SHARED_SERVER in run.quality_flags and quantity not in OWN_ON_SHARED_SERVER:
        return None
    value = run.measured.get(f"measured_{quantity}", run.measured.get(quantity))
    return value if value is not None and value > 0 else None


def _spread_evenly(runs: Sequence[MeasuredRun]) -> list[MeasuredRun]:
    """Return at most `MOST_RUNS` of the runs, in steps of equal size through their settings in order."""
    if len(runs) <= MOST_RUNS:
        return list(runs)
    ordered = sorted(runs, key=_settings)
    return [ordered[int(place)] for place in np.linspace(0, len(ordered) - 1, MOST_RUNS).round()]


def _settings(run: MeasuredRun) -> tuple[Any, ...]:
    setup = run.setup
    rates = tuple(sorted(set(setup.adapter_rates_rps)))
    lengths = (setup.input_mean if setup.length_distribution == "fixed" else 0.0, setup.max_num_seqs)
    return setup.family, rates, lengths, setup.max_lora_rank, setup.max_loras, setup.n_adapters, setup.run_id


def _targets(run: MeasuredRun) -> dict[str, float]:
    """Return the quantities of a run that a fit compares, with their relative standard deviation."""
    drawn = run.setup.arrival == "poisson" and run.workload is None
    noise = {**TARGET_NOISE, **OPEN_LOOP_NOISE} if drawn else TARGET_NOISE
    return {name: width for name, width in noise.items() if measured_value(run, name) is not None}


def _run_residuals(run: MeasuredRun, model: StepModel, workload: Realise) -> Floats:
    predicted = predict_measured(run, model, (0,), workload).values
    caution = _PROFILED_NOISE if "profiled_nsys" in run.quality_flags else 1.0
    out = []
    for name, width in _targets(run).items():
        value = max(predicted.get(name, 0.0), 1e-9)
        if not np.isfinite(value):
            value = 1e-9
        out.append(np.log(value / (measured_value(run, name) or 1.0)) / (width * caution))
    return np.array(out)
