"""vLLM's own defaults, with where they were read: docs/twin_physics.md."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from framework.errors import ConfigError
from framework_serving.engine_defaults import engine_defaults, slot_rank
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.settings import TwinSettings


def test_adapters_have_slots_of_the_next_rank_that_the_engine_offers() -> None:
    assert [slot_rank(rank) for rank in (1, 8, 12, 64, 300)] == [8, 8, 16, 64, 320]
    with pytest.raises(ConfigError, match=r"workload\.ranks: 1024 is above 512"):
        slot_rank(1024)


@pytest.mark.parametrize(
    ("version", "gpu", "use", "seqs", "tokens"),
    [
        ("0.11.0", "H100-80GB", "server", 1024, 8192),
        ("0.11.0", "H100-80GB", "offline", 1024, 16384),
        ("0.9.2", "A100-80GB", "server", 256, 2048),
        ("0.8.5", "A100-80GB", "server", 1024, 8192),
        ("0.8.5", "H100-64GB", "server", 256, 2048),
        ("v0.11.1rc2", "L40S", "offline", 256, 8192),
    ],
)
def test_v1_takes_large_batches_on_large_gpus(
    version: str, gpu: str, use: str, seqs: int, tokens: int
) -> None:
    found = engine_defaults(version, gpu_spec(gpu), use, 131_072)
    assert (found.generation, found.max_num_seqs, found.max_num_batched_tokens) == ("v1", seqs, tokens)
    assert found.chunked_prefill
    assert found.prefix_caching


def test_v0_chunks_long_contexts_unless_it_serves_adapters() -> None:
    gpu = gpu_spec("H100-80GB")
    assert engine_defaults("0.6.4", gpu, "server", 131_072).max_num_batched_tokens == 512
    assert engine_defaults("0.7.3", gpu, "server", 131_072).max_num_batched_tokens == 2048
    assert not engine_defaults("0.6.4", gpu, "server", 131_072, lora=True).chunked_prefill
    short = engine_defaults("0.6.4", gpu, "server", 4096)
    assert (short.generation, short.chunked_prefill, short.prefix_caching) == ("v0", False, False)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"engine_version": "latest"}, "backend.engine_version: 'latest' is not a version"),
        ({"engine_version": "1.2"}, "backend.engine_version: the defaults of 1.2 are not known"),
        ({"engine_version": "0.11", "engine": "v0"}, "backend.engine: 'v0', but"),
        ({"engine_version": "0.11", "chunked_prefill": False}, "backend.chunked_prefill: vLLM 0.11 always"),
        ({"max_num_seqs": None}, "backend.max_num_seqs: null, the engine's default, needs"),
        ({"enable_prefix_caching": None}, "backend.enable_prefix_caching: null, the engine's default, needs"),
        ({"engine_use": "offline"}, "backend.engine_use: without effect"),
    ],
)
def test_what_no_version_has_is_refused_by_name(keys: dict[str, object], message: str) -> None:
    shape, gpu = model_shape("llama-3.1-8b"), gpu_spec("H100-80GB")
    settings = TwinSettings(model=asdict(shape), gpu=asdict(gpu), **keys)  # type: ignore[arg-type]

    def resolved() -> TwinSettings:
        settings.check()
        return settings.with_engine_defaults(shape, gpu, lora=False)

    with pytest.raises(ConfigError) as caught:
        resolved()
    assert str(caught.value).startswith(message)


def test_a_knob_that_is_set_stays_and_a_null_one_follows_the_version() -> None:
    shape, gpu = model_shape("llama-3.1-8b"), gpu_spec("H100-80GB")
    own = TwinSettings(engine_version="0.11", max_num_seqs=32, max_num_batched_tokens=4096)
    found = own.with_engine_defaults(shape, gpu, lora=False)
    assert (found.max_num_seqs, found.max_num_batched_tokens, found.enable_prefix_caching) == (
        32,
        4096,
        False,
    )
    free = TwinSettings(engine_version="0.11", max_num_seqs=None, enable_prefix_caching=None)
    found = free.with_engine_defaults(shape, gpu, lora=False)
    assert (found.max_num_seqs, found.max_num_batched_tokens, found.enable_prefix_caching) == (
        1024,
        8192,
        True,
    )
