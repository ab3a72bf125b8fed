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

import numpy as np
import numpy.typing as npt

from framework.errors import InputError
from framework.identity.run_key import canonical_hash
from framework_twin.measured.measured_runs import MeasuredRun
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

_PROFILED_NOISE = 3.0  # a profiler slows small batches by up to 6 %, so those rows weigh less
_STEP = 0.02  # finite-difference step in log space: small steps drown in scheduling noise
_CENTRE = 1.0  # scipy's relative step needs variables away from 0


@dataclass(frozen=True)
class FittedCoefficients:
    """Coefficients with the relative standard deviation of each one that was free."""

    coefficients: StepCoefficients
    relative_std: dict[str, float]


def fit_runs(
    runs: Sequence[MeasuredRun],
    prior: StepModel,
    *,
    steps: Sequence[StepSample] = (),
    max_evaluations: int = 10,
) -> FittedCoefficients:
    """Fit `prior.coefficients` to measured runs, and timed steps if any, of one model, GPU and engine.

    Raises `InputError` when neither a run nor a step carries a quantity to fit.
    """
    usable = [run for run in runs if _targets(run)]
    if not usable and not steps:
        raise InputError(
            "calibrate: no run has a measured quantity that can be fitted (itl, throughput, steps)"
        )
    with_adapters = any(run.setup.n_adapters for run in usable) or any(step.adapters for step in steps)
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

    return fit_coefficients(residuals, prior.coefficients, spread, max_evaluations=max_evaluations)


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
    max_evaluations: int = 10,
) -> FittedCoefficients:
    """Minimise scaled residuals plus the prior over the coefficients named in `spread`.

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

    fit = least_squares(
        objective,
        np.full(len(names), _CENTRE),
        loss="soft_l1",
        diff_step=_STEP,
        max_nfev=max_evaluations,
        bounds=(_CENTRE - 4.0, _CENTRE + 4.0),
    )
    covariance = np.linalg.pinv(fit.jac.T @ fit.jac)
    std = np.sqrt(np.clip(np.diag(covariance), 0.0, None))
    return FittedCoefficients(coefficients(fit.x), dict(zip(names, map(float, std), strict=True)))


def runs_hash(run_ids: Iterable[str]) -> str:
    """Return a digest of the run ids, in any order."""
    return canonical_hash(sorted(run_ids))


def measured_value(run: MeasuredRun, quantity: str) -> float | None:
    """Return a measured quantity by its name without prefix, None if the run lacks it."""
    value = run.measured.get(f"measured_{quantity}", run.measured.get(quantity))
    return value if value is not None and value > 0 else None


def _targets(run: MeasuredRun) -> list[str]:
    return [name for name in TARGET_NOISE if measured_value(run, name) is not None]


def _run_residuals(run: MeasuredRun, model: StepModel, workload: Realise) -> Floats:
    predicted = predict_measured(run, model, (0,), workload).values
    caution = _PROFILED_NOISE if "profiled_nsys" in run.quality_flags else 1.0
    out = []
    for name in _targets(run):
        value = max(predicted.get(name, 0.0), 1e-9)
        if not np.isfinite(value):
            value = 1e-9
        out.append(np.log(value / (measured_value(run, name) or 1.0)) / (TARGET_NOISE[name] * caution))
    return np.array(out)
