"""Shipped profiles are complete, physical and found; a profile file survives a round trip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from framework.errors import ConfigError, InputError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.physics.profile import (
    TwinProfile,
    ValidRange,
    find_profile,
    named_profile,
    read_profile,
    shipped_profiles,
    step_model,
    write_profile,
)
from framework_twin.physics.uncalibrated.deployment import Deployment

H100 = "H100-64GB"


@pytest.mark.parametrize(
    ("model", "gpu", "generation"),
    [
        *((name, H100, "v0") for name in ("opt-1.3b", "opt-2.7b", "llama-2-7b", "llama-2-13b")),
        ("llama-3.1-8b", H100, "v1"),
        ("llama-3.1-8b-instruct", H100, "v1"),
        ("qwen-2.5-7b-instruct", H100, "v1"),
        ("llama-3.1-8b", "RTX-PRO-6000", "v1"),
    ],
)
def test_every_promised_profile_is_shipped(model: str, gpu: str, generation: str) -> None:
    profile = find_profile(model, gpu, generation)
    assert profile is not None
    assert step_model(model, gpu, generation).calibrated


@pytest.mark.parametrize("profile", shipped_profiles(), ids=lambda profile: profile.name)
def test_shipped_profile_is_physical_and_says_where_it_comes_from(profile: TwinProfile) -> None:
    shape, gpu = model_shape(profile.models[0]), gpu_spec(profile.gpu)
    peak = gpu.bandwidth_tb_s * 1e12
    assert profile.coefficients.weights_s >= 0.9 * shape.streamed_weight_bytes / peak
    assert profile.fit.runs >= 1
    assert profile.fit.runs_hash
    assert profile.fit.relative_std
    assert profile.fit.in_sample or profile.fit.held_out


def test_engine_version_selects_the_profile_made_for_it() -> None:
    older = find_profile("llama-2-7b", H100, "v0", engine="vllm 0.5.0")
    newer = find_profile("llama-2-7b", H100, "v0", engine="vllm 0.5.2.dev1210+g6f078ea3c")
    assert older is not None
    assert newer is not None
    assert older.engine == "0.5.0"
    assert newer.engine == ""


def test_model_without_profile_takes_the_roofline_and_says_so() -> None:
    model = step_model("mistral-7b", "A100-80GB", "v1")
    assert not model.calibrated
    assert not model.power_calibrated
    assert model.power.idle_w > 0


def test_a_profile_of_one_gpu_is_not_taken_for_two() -> None:
    assert not step_model("llama-2-13b", H100, "v0", deployment=Deployment(tensor=2)).calibrated


def test_unknown_profile_is_named_with_the_closest_one() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'opt-1\.3b_h100-64gb_v0'"):
        named_profile("opt-1.3_h100-64gb_v0")
    assert named_profile("opt-1.3b_h100-64gb_v0").generation == "v0"


def test_profile_file_survives_a_round_trip(tmp_path: Path) -> None:
    profile = shipped_profiles()[0]
    write_profile(profile, tmp_path / "copy.yaml")
    assert read_profile(tmp_path / "copy.yaml") == profile


def test_broken_profile_names_the_file_and_the_key(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    profile = shipped_profiles()[0]
    write_profile(replace(profile, coefficients=replace(profile.coefficients, host_s=-1.0)), path)
    with pytest.raises(InputError, match=r"bad\.yaml.*coefficients\.host_s"):
        read_profile(path)
    path.write_text("name: half\n")
    with pytest.raises(InputError, match=r"bad\.yaml"):
        read_profile(path)


def test_leaving_the_calibrated_range_is_warned_about() -> None:
    valid = ValidRange(max_batch=256, max_context_tokens=2048, max_slots=0, max_rank=0)
    assert valid.warnings(256, 2048, 0, 0) == []
    assert valid.warnings(300, 500, 0, 0) == ["running requests 300 outside the calibrated range (up to 256)"]
