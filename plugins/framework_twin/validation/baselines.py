"""Predictors that a twin has to beat: nominal load, and the published twin's formulas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import erf, exp, pi, sqrt

from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.measured.measured_runs import RunSetup
from framework_twin.measured.run_prediction import predict_run
from framework_twin.physics.adapter_loads import AdapterLoadTimes
from framework_twin.physics.power import datasheet_power
from framework_twin.physics.profile import StepModel
from framework_twin.physics.published_twin import published_twin

NOMINAL = "nominal load"
PUBLISHED = "published twin"

_SHORTEST_INPUT, _SHORTEST_OUTPUT = 1.0, 2.0
_PUBLISHED_LOADS = {
    "llama-3.1-8b-instruct": AdapterLoadTimes(6.5e-3, 7.9e-3, 0.0, 0.0),
    "qwen-2.5-7b-instruct": AdapterLoadTimes(3.0e-3, 3.4e-3, 0.0, 0.0),
}


def nominal_load(setup: RunSetup) -> dict[str, float]:
    """Return throughput and finished requests as offered; empty for a burst, which offers no rate."""
    if setup.arrival != "poisson" or not setup.duration_limit_s:
        return {}
    rate = setup.offered_rps
    return {
        "total_tok_s": setup.offered_tok_s,
        "output_tok_s": rate * setup.output_mean,
        "requests_s": rate,
        "completed": rate * setup.duration_limit_s,
    }


def published_prediction(setup: RunSetup, batch: float) -> Mapping[str, float]:
    """Return what the published step-time formulas and lengths give on the twin's own scheduler.

    The published lengths are a clipped normal, whose mean is larger than the one asked for; its step is
    linearised at `batch`, the mean number of running requests. Empty where nothing was published.
    """
    twin = published_twin(setup.model)
    loads = _PUBLISHED_LOADS.get(setup.model)
    if twin is None or loads is None or setup.arrival != "poisson":
        return {}
    longer = replace(
        setup,
        input_mean=clipped_normal_mean(setup.input_mean, setup.input_std, _SHORTEST_INPUT),
        output_mean=clipped_normal_mean(setup.output_mean, setup.output_std, _SHORTEST_OUTPUT),
    )
    power = datasheet_power(model_shape(setup.model), gpu_spec(setup.gpu))
    return predict_run(longer, StepModel(twin.law(batch), loads, power, None)).values


def clipped_normal_mean(mean: float, std: float, least: float) -> float:
    """Return E[max(least, X)] of a normal X (adapter_serving.md §3.1)."""
    z = (least - mean) / std
    below = 0.5 * (1.0 + erf(z / sqrt(2.0)))
    return least * below + mean * (1.0 - below) + std * exp(-0.5 * z * z) / sqrt(2.0 * pi)
