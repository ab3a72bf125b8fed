"""The observed RTX PRO 6000 run: calibrated on its first 100 requests, tested on the other 200."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.trace_fit import read_trace, trace_error
from framework.errors import InputError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.kernel.inputs import EngineConfig, Requests
from framework_twin.kernel.simulate import simulate
from framework_twin.physics.engine_memory import EngineMemory, kv_capacity
from framework_twin.physics.profile import find_profile
from framework_twin.physics.roofline import roofline
from tests.support.measured_data import MEASURED_DATA, needs_shared_data

OBSERVED = "observed/rtxpro6000_llama31_8b/requests.csv.gz"
ENGINE = EngineConfig("v1", 500, 16, 256)


@pytest.mark.slow
def test_a_made_run_is_predicted_exactly_by_the_coefficients_that_made_it(tmp_path: Path) -> None:
    truth = roofline(model_shape("opt-1.3b"), gpu_spec("H100-64GB"), "v1")
    rng = np.random.default_rng(0)
    sent = Requests(
        np.cumsum(rng.exponential(0.02, 60)),
        rng.integers(20, 200, 60).astype(np.int32),
        rng.integers(2, 60, 60).astype(np.int32),
    )
    served = simulate(ENGINE, sent, truth.law()).requests
    times = zip(
        sent.input_tokens,
        sent.output_tokens,
        sent.arrival_s,
        served.first_token_s,
        served.last_token_s,
        strict=True,
    )
    path = tmp_path / "requests.csv"
    path.write_text(
        "input_tokens,output_tokens,queued_s,first_token_s,finish_s\n"
        + "".join(",".join(map(str, row)) + "\n" for row in times)
    )
    trace = read_trace(path)
    same = trace_error(trace, ENGINE, truth, skip=20)
    assert (same.tpot_mean, same.ttft_mean) == pytest.approx((0, 0), abs=1e-6)
    slower = trace_error(trace, ENGINE, replace(truth, kernel_s=2 * truth.kernel_s), skip=20)
    # a step of about 4 ms takes 0.96 ms more
    assert slower.tpot_mean == pytest.approx(24, abs=3)
    assert slower.ttft_mean > 0


@pytest.mark.slow
@needs_shared_data(OBSERVED)
def test_profile_of_the_first_hundred_requests_predicts_the_other_two_hundred() -> None:
    trace = read_trace(MEASURED_DATA / OBSERVED)
    memory = EngineMemory("v1", 0.9, 128, 2048, 8192)
    blocks = kv_capacity(model_shape("llama-3.1-8b"), gpu_spec("RTX-PRO-6000"), memory).blocks
    profile = find_profile("llama-3.1-8b", "RTX-PRO-6000", "v1")
    assert profile is not None
    error = trace_error(trace, EngineConfig("v1", blocks, 128, 2048), profile.coefficients, skip=100)
    assert abs(error.tpot_mean) <= 3.0
    assert abs(error.ttft_mean) <= 10.0


def test_trace_without_a_column_or_with_time_running_backwards_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    path.write_text("input_tokens,output_tokens,queued_s,first_token_s\n1,2,0,1\n")
    with pytest.raises(InputError, match="column 'finish_s' is missing"):
        read_trace(path)
    path.write_text("input_tokens,output_tokens,queued_s,first_token_s,finish_s\n1,2,5,1,6\n")
    with pytest.raises(InputError, match=r"request 0 .* has a token before it was queued"):
        read_trace(path)
