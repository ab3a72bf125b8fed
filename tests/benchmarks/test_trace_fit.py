"""The observed RTX PRO 6000 run: calibrated on its first 100 requests, tested on the other 200."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from trace_fit import read_trace, trace_error

from framework.errors import InputError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.kernel.inputs import EngineConfig
from framework_twin.physics.engine_memory import EngineMemory, kv_capacity
from framework_twin.physics.profile import find_profile

OBSERVED = Path(__file__).parents[2].parent / "shared" / "data" / "observed" / "rtxpro6000_llama31_8b"


@pytest.mark.skipif(not OBSERVED.exists(), reason="measured data not beside the checkout")
def test_profile_of_the_first_hundred_requests_predicts_the_other_two_hundred() -> None:
    trace = read_trace(OBSERVED / "requests.csv.gz")
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
