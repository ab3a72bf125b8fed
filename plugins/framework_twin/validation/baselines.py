"""Predictors that a twin has to beat: nominal load, and the published twin's formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import erf, exp, pi, sqrt

import numpy as np

from framework.contracts import WorkloadTables
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.measured.measured_runs import RunSetup
from framework_twin.measured.realise import realise
from framework_twin.measured.run_prediction import Realise, predict_run
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


def published_prediction(
    setup: RunSetup, batch: float, seeds: Sequence[int] | None = None, drawn: Realise = realise
) -> Mapping[str, float]:
    """Return what the published step-time formulas and lengths give on the twin's own scheduler.

    The published lengths are a clipped normal, whose mean is larger than the one asked for: the requests that the
    twin predicts (`drawn`) are longer by as much, within the limits of the clients. The published step is linearised
    at `batch`, the mean number of running requests. Empty where nothing was published.
    """
    twin = published_twin(setup.model)
    loads = _PUBLISHED_LOADS.get(setup.model)
    if twin is None or loads is None or setup.arrival != "poisson":
        return {}
    if not (setup.input_std > 0 and setup.output_std > 0):  # false for an unknown spread, too
        return {}
    inputs = clipped_normal_mean(setup.input_mean, setup.input_std, _SHORTEST_INPUT) / setup.input_mean
    outputs = clipped_normal_mean(setup.output_mean, setup.output_std, _SHORTEST_OUTPUT) / setup.output_mean
    power = datasheet_power(model_shape(setup.model), gpu_spec(setup.gpu))
    model = StepModel(twin.law(batch), loads, power, None, touches_first=True)
    return predict_run(
        setup, model, seeds, lambda run, seed: _longer(drawn(run, seed), inputs, outputs)
    ).values


def _longer(workload: WorkloadTables, inputs: float, outputs: float) -> WorkloadTables:
    """Return the same requests, longer by a factor each, but none longer than the longest there."""
    requests = workload.tables["requests"]
    prompt, answer = requests["input_tokens"].to_numpy(), requests["output_tokens"].to_numpy()
    most = int((prompt + answer).max())
    longer = np.minimum(np.rint(prompt * inputs).astype(np.int64), prompt.max())
    answers = np.maximum(np.minimum(np.rint(answer * outputs).astype(np.int64), most - longer), 1)
    for name, column in (("input_tokens", longer), ("output_tokens", answers)):
        place = requests.schema.get_field_index(name)
        requests = requests.set_column(place, requests.schema.field(place), [column])
    return WorkloadTables({**workload.tables, "requests": requests}, "", workload.facts)


def clipped_normal_mean(mean: float, std: float, least: float) -> float:
    """Return E[max(least, X)] of a normal X (adapter_serving.md §3.1)."""
    z = (least - mean) / std
    below = 0.5 * (1.0 + erf(z / sqrt(2.0)))
    return least * below + mean * (1.0 - below) + std * exp(-0.5 * z * z) / sqrt(2.0 * pi)
