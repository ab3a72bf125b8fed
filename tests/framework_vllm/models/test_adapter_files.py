from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import ConfigError, InputError
from framework_serving.hardware.catalogue import model_shape
from framework_vllm.models.adapted_model import AdaptedModel
from framework_vllm.models.adapter_files import CONFIG, WEIGHTS, adapter_bytes, write_adapters
from framework_vllm.models.safetensors_file import bfloat16_bits, write_bfloat16
from framework_vllm.models.tiny_model import generated_model

TINY = AdaptedModel.from_shape(model_shape("tiny-llama"))


def read_header(path: Path) -> dict[str, dict[str, object]]:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header: dict[str, dict[str, object]] = json.loads(content[8 : 8 + length])
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]  # type: ignore[index]
    assert 8 + length + max(ends) == len(content)
    return header


def test_an_adapter_has_two_matrices_of_its_rank_for_each_adapted_one(tmp_path: Path) -> None:
    folder = write_adapters(TINY, {7: 4}, tmp_path)[7]
    header = read_header(folder / WEIGHTS)
    down = "base_model.model.model.layers.1.mlp.down_proj"
    assert header[f"{down}.lora_A.weight"]["shape"] == [4, 256]
    assert header[f"{down}.lora_B.weight"]["shape"] == [128, 4]
    assert len(header) - 1 == 2 * 7 * 2
    config = json.loads((folder / CONFIG).read_text())
    assert config["r"] == 4
    assert sorted(config["target_modules"]) == sorted(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    )


def test_adapter_bytes_follow_from_the_shape_as_the_twin_counts_them() -> None:
    shape = model_shape("llama-3.1-8b")
    # 5.0 MiB a rank unit for Llama-3.1-8B: ../shared/science/adapter_serving.md, section 2
    assert adapter_bytes(AdaptedModel.from_shape(shape), 1) == shape.lora_dims_per_rank * 2
    assert adapter_bytes(AdaptedModel.from_shape(shape), 1) / 2**20 == pytest.approx(5.0, abs=0.01)


def test_opt_models_are_adapted_in_their_own_matrices() -> None:
    opt = AdaptedModel.from_shape(model_shape("opt-125m"))
    assert opt.layers_path == "model.decoder.layers"
    assert opt.matrices["fc2"] == (768, 3072)
    assert "self_attn.out_proj" in opt.matrices


def test_same_seed_gives_the_same_bytes_and_another_seed_or_number_does_not(tmp_path: Path) -> None:
    first = write_adapters(TINY, {0: 8, 1: 8}, tmp_path / "a")
    again = write_adapters(TINY, {0: 8, 1: 8}, tmp_path / "b")
    other = write_adapters(TINY, {0: 8}, tmp_path / "b", seed=1)
    contents = [(path / WEIGHTS).read_bytes() for path in (first[0], again[0], first[1], other[0])]
    assert contents[0] == contents[1]
    assert len(set(contents)) == 3


def test_adapters_beyond_the_distinct_ones_repeat_weights_under_a_name_of_their_own(tmp_path: Path) -> None:
    written = write_adapters(TINY, {0: 4, 1: 4, 2: 4, 3: 8}, tmp_path, distinct=2)
    assert len(set(written.values())) == 4
    same = (written[0] / WEIGHTS).read_bytes() == (written[2] / WEIGHTS).read_bytes()
    assert same
    assert (written[0] / WEIGHTS).read_bytes() != (written[1] / WEIGHTS).read_bytes()


def test_adapters_that_are_there_are_not_written_again(tmp_path: Path) -> None:
    path = write_adapters(TINY, {0: 8}, tmp_path)[0]
    before = (path / WEIGHTS).stat()
    write_adapters(TINY, {0: 8}, tmp_path)
    assert (path / WEIGHTS).stat() == before


def test_rank_0_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"workload\.ranks: adapter 3 has rank 0"):
        write_adapters(TINY, {3: 0}, tmp_path)


def test_generated_model_says_its_shape_in_its_configuration(tmp_path: Path) -> None:
    shape = model_shape("tiny-llama")
    folder = generated_model(shape, cache=tmp_path)
    assert AdaptedModel.from_config(folder) == AdaptedModel.from_shape(shape)
    header = read_header(folder / "model.safetensors")
    weights = sum(np.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")  # type: ignore[call-overload]
    assert weights == shape.n_params
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert sorted(words.values()) == list(range(shape.vocab))


def test_generated_model_is_written_once_with_the_same_bytes(tmp_path: Path) -> None:
    shape = model_shape("tiny-llama")
    first, again = generated_model(shape, cache=tmp_path), generated_model(shape, cache=tmp_path)
    elsewhere = generated_model(shape, cache=tmp_path / "other")
    assert first == again
    assert (first / "model.safetensors").read_bytes() == (elsewhere / "model.safetensors").read_bytes()
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_a_big_model_is_not_generated() -> None:
    with pytest.raises(
        ConfigError, match=r"model\.path: 'generated' generates only small models; llama-3.1-8b"
    ):
        generated_model(model_shape("llama-3.1-8b"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "can't be read"),
        ('{"model_type": "llama"}', "hidden_size"),
        ('{"model_type": "mamba", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,'
         ' "intermediate_size": 9}', "model_type 'mamba'"),
    ],
)  # fmt: skip
def test_a_model_that_cant_be_adapted_is_named_with_the_reason(
    tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=said) as error:
        AdaptedModel.from_config(tmp_path)
    assert str(tmp_path / "config.json") in str(error.value)


def test_a_tensor_of_another_shape_than_declared_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tensor x"):
        write_bfloat16(tmp_path / "f", {"x": (2, 3)}, lambda name, shape: np.zeros((3, 2), np.float32))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**120), max_value=2.0**120))
def test_bfloat16_is_the_nearest_number_with_eight_bits_of_mantissa(value: float) -> None:
    bits = bfloat16_bits(np.array([value], np.float32)).astype(np.uint32) << 16
    back = float(bits.view(np.float32)[0])
    assert abs(back - value) <= max(abs(value) * 2.0**-8, 2.0**-133)
