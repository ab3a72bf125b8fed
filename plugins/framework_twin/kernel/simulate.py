"""Run one simulation: tables in, compiled kernel, results out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from framework_twin.kernel import state
from framework_twin.kernel.collect import collect
from framework_twin.kernel.compiled.machine_code import entry_point
from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests, check_inputs
from framework_twin.kernel.output import SimulationOutput
from framework_twin.kernel.tables import Tables, build_tables

_SAMPLES_WITHOUT_HORIZON = 4096


def simulate(
    engine: EngineConfig,
    requests: Requests,
    law: npt.NDArray[np.float64],
    adapters: AdapterTable | None = None,
) -> SimulationOutput:
    """Simulate an engine (or several behind a router) serving the requests.

    Args:
        engine: the settings.
        requests: what arrives, in order.
        law: parameter vector of the step-time law (`framework_twin.physics.step_time`).
        adapters: LoRA adapters; None for none.

    Raises:
        UserError: one line that names the key or row that can't be simulated.
    """
    adapters = AdapterTable() if adapters is None else adapters
    check_inputs(engine, requests, adapters)
    n_samples = _samples_expected(engine)
    tables = _run(engine, requests, law, adapters, n_samples)
    wanted = int(tables.replicas["next_sample"].max())
    if wanted > n_samples > 0:  # a run without horizon was longer than expected: its length is known now
        tables = _run(engine, requests, law, adapters, wanted)
    return collect(engine, tables)


def _samples_expected(engine: EngineConfig) -> int:
    if engine.sample_period_s is None:
        return 0
    if engine.horizon_s is None:
        return _SAMPLES_WITHOUT_HORIZON
    return math.floor(engine.horizon_s / engine.sample_period_s) + 1


def _run(
    engine: EngineConfig,
    requests: Requests,
    law: npt.NDArray[np.float64],
    adapters: AdapterTable,
    n_samples: int,
) -> Tables:
    tables = build_tables(engine, requests, law, adapters, n_samples)
    if entry_point()(tables.simulation.ctypes.data) != state.DONE:
        raise RuntimeError("the simulated engine has waiting requests that it can never schedule")
    return tables
