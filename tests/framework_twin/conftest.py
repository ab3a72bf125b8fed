"""Run setups that several tests of the twin's physics share."""

from __future__ import annotations

import pytest

from framework_twin.measured.measured_runs import RunSetup, measured_run

POISSON = {
    "run_id": "synthetic",
    "source": "adapters",
    "family": "table1",
    "model": "llama-3.1-8b-instruct",
    "gpu": "H100-64GB",
    "engine_generation": "v1",
    "arrival": "poisson",
    "duration_limit_s": "300",
    "input_tokens_mean": "222.7",
    "input_tokens_std": "246.5",
    "output_tokens_mean": "196.1",
    "output_tokens_std": "206",
    "length_distribution": "sharegpt",
    "n_adapters": "16",
    "adapter_rates_rps": "0.1x6;0.05x5;0.025x5",
    "adapter_ranks": "8x8;16x8",
    "max_num_seqs": "2048",
    "max_num_batched_tokens": "2048",
    "chunked_prefill": "True",
    "max_model_len": "131072",
    "kv_cache_tokens": "296000",
    "max_loras": "16",
    "max_lora_rank": "16",
}

BURST = {
    "run_id": "burst",
    "source": "memory_gap",
    "family": "advisor",
    "model": "opt-1.3b",
    "gpu": "H100-64GB",
    "engine_generation": "v0",
    "arrival": "burst",
    "num_prompts": "400",
    "input_tokens_mean": "242",
    "output_tokens_mean": "130",
    "length_distribution": "fixed",
    "max_num_seqs": "64",
    "max_num_batched_tokens": "512",
    "chunked_prefill": "True",
    "max_model_len": "2048",
    "kv_cache_tokens": "296832",
}


@pytest.fixture
def poisson_setup() -> RunSetup:
    """One V1 server with 16 adapters in 16 slots under a light Poisson load of 300 s."""
    return measured_run(POISSON, 0).setup


@pytest.fixture
def burst_setup() -> RunSetup:
    """One V0 server with chunked prefill and a burst of 400 equal prompts."""
    return measured_run(BURST, 0).setup


@pytest.fixture
def poisson_record() -> dict[str, str]:
    """The row of a table behind `poisson_setup`."""
    return dict(POISSON)
