from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from framework.contracts import Metric, Result
from framework.store.database.schema import declared_tables
from framework_serving import tables
from framework_serving.metrics.serving_metrics import derive

MEASURED = {"window": "run", "sensor_cadence_s": 0.5, "minimum_window_s": 5.0}


def _burst(count: int = 10, length_s: float = 20.0) -> pa.Table:
    """All requests run from 0 to `length_s`, with 100 tokens in and 201 out each."""
    rows = [(i, 0.0, 0.0, 0.0, length_s, 100, 201, -1, 0, "finished", None) for i in range(count)]
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=tables.requests_out())


def _samples(series: dict[str, tuple[Any, Any]]) -> pa.Table:
    rows = [
        (float(t), name, float(v)) for name, (ts, vs) in series.items() for t, v in zip(ts, vs, strict=True)
    ]
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=declared_tables()["samples"])


def _measured(running: list[float], facts: dict[str, Any] | None = None) -> dict[str, Metric]:
    """A run of 20 s at 300 W, before and after it 100 W; `running` is sampled each second."""
    t_s = np.arange(-5.0, 30.0, 0.5)
    joules = np.interp(t_s, [-5, 0, 20, 30], [-500, 0, 6000, 7000])
    series = {"gpu_energy_j": (t_s, joules), "running": (range(len(running)), running)}
    energy = Metric("energy_j", 6000.0, "J", "nvml energy counter", None, 5900.0, 6100.0, 20.0, 200)
    power = Metric("power_mean_w", 300.0, "W", "nvml energy counter")
    recorded = {"energy": facts or MEASURED, "duration_s": 20.0}
    result = Result([energy, power], {"requests": _burst(), "samples": _samples(series)}, recorded)
    return {metric.name: metric for metric in derive({}, None, result)}


def test_energy_per_token_and_request_carry_the_bounds_and_the_source_of_the_energy() -> None:
    found = _measured([10.0] * 20)
    per_token = found["energy_j_per_token"]
    assert per_token.value == pytest.approx(6000 / 3010)
    assert per_token.low == pytest.approx(5900 / 3010)
    assert per_token.high == pytest.approx(6100 / 3010)
    assert (per_token.source, per_token.window_s, per_token.updates) == ("nvml energy counter", 20.0, 200)
    assert found["energy_j_per_request"].value == pytest.approx(600)
    assert found["energy_delay_js"].value == pytest.approx(600 * 20)


def test_steady_power_leaves_ramp_and_tail_out() -> None:
    found = _measured([0, 5, *[10.0] * 15, 3, 1, 0])
    steady = found["power_steady_w"]
    assert steady.value == pytest.approx(300)
    assert steady.window_s == pytest.approx(14 - 2 * 0.5)
    rate = 10 * 201 / 20  # prompts were read before, output comes evenly
    assert found["tok_s_per_w"].value == pytest.approx(rate / 300)
    assert found["tok_s_per_w"].source.endswith("while the batch was full")


def test_a_batch_that_was_full_too_shortly_for_the_sensor_says_so() -> None:
    found = _measured([0, 1, 10, 10, 10, 1, 1])
    assert found["power_steady_w"].value is None
    assert found["power_steady_w"].reason == "the batch was full for 1 s, but the energy sensor needs 5 s"
    assert found["tok_s_per_w"].value == pytest.approx(3010 / 6000)
    assert found["tok_s_per_w"].source == "nvml energy counter, whole run"


def test_a_collector_that_does_not_know_the_runs_clock_gives_no_steady_power() -> None:
    found = _measured([10.0] * 20, {**MEASURED, "window": "collector"})
    assert found["power_steady_w"].value is None


def test_a_model_of_power_gives_efficiency_over_the_whole_run() -> None:
    power = Metric("power_mean_w", 300.0, "W", "model")
    found = {item.name: item for item in derive({}, None, Result([power], {"requests": _burst()}))}
    assert found["tok_s_per_w"].value == pytest.approx(3010 / 6000)
    assert found["power_steady_w"].reason is not None


def test_without_energy_everything_made_of_it_is_absent_with_the_same_reason() -> None:
    absent = Metric.absent("energy_j", "the GPU is lost", "J")
    found = {item.name: item for item in derive({}, None, Result([absent], {"requests": _burst()}))}
    for name in (
        "energy_j_per_token",
        "energy_j_per_request",
        "energy_delay_js",
        "tok_s_per_w",
        "power_steady_w",
    ):
        assert (found[name].value, found[name].reason) == (None, "the GPU is lost")
