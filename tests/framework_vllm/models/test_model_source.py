"""What the engine is given as its model, for the same keys that describe the model to the twin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from framework_serving.engine_knobs import checked_settings
from framework_vllm.models.model_source import check_model, model_name, model_shape, resolve_model
from framework_vllm.settings import VllmSettings

UNKNOWN = {"architectures": ["NobodyKnowsForCausalLM"], "hidden_size": 64}


def settings(**model: Any) -> VllmSettings:
    return checked_settings(VllmSettings, {"model": model})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my-model"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(UNKNOWN))
    return made


def test_a_model_of_the_hub_is_the_engines_to_find() -> None:
    given = settings(id="Qwen/Qwen3-8B")
    assert resolve_model(given) == "Qwen/Qwen3-8B"
    assert model_name(given) == "Qwen3-8B"


def test_a_configuration_stands_for_its_folder(folder: Path) -> None:
    assert resolve_model(settings(path=str(folder / "config.json"))) == str(folder)


def test_an_architecture_that_only_the_engine_knows_is_no_reason_to_refuse(folder: Path) -> None:
    given = settings(path=str(folder))
    check_model(given)
    assert model_shape(given) is None
