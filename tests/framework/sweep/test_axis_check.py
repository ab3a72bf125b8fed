from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from omegaconf import DictConfig, OmegaConf

from framework.errors import ConfigError
from framework.sweep.axis_check import Composer, check_axes

GROUPS = {"model": ["small", "large", "model_schema"]}


@dataclass
class _Backend:
    batch: int = 1
    rate: float = 1.0
    day: str = ""
    lengths: list[int] = field(default_factory=list)


def _composer() -> Composer:
    def compose(overrides: Sequence[str]) -> DictConfig:
        config = OmegaConf.create({"backend": OmegaConf.structured(_Backend), "model": {"name": "small"}})
        OmegaConf.set_struct(config, True)
        return config

    return Composer(compose, lambda group: GROUPS.get(group, []))


def _check(key: str, *values: str) -> None:
    check_axes(_composer(), [], [[(key, values)]])


def test_a_misspelt_option_of_a_group_is_found_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'larg' \(did you mean 'large'\?\)"):
        _check("model", "small", "larg")


def test_schemas_are_no_options_to_suggest() -> None:
    with pytest.raises(ConfigError) as caught:
        _check("model", "zzz")
    assert "schema" not in str(caught.value)


def test_a_value_of_the_wrong_type_is_found_wherever_it_stands_in_the_axis() -> None:
    with pytest.raises(ConfigError, match=r"backend\.batch=two") as caught:
        _check("backend.batch", "1", "4", "two")
    assert "\n" not in str(caught.value)


def test_an_unknown_key_is_found() -> None:
    with pytest.raises(ConfigError, match=r"backend\.bach"):
        _check("backend.bach", "1", "2")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("backend.batch", ("1", "2", "1024")),
        ("backend.rate", ("1", "2.5", "1e-3")),
        ("backend.day", ("2024-01-01", "'2024-01-02'", "2024-01-03")),
        ("backend.lengths", ("[1]", "[1,2]")),
        ("+model", ("small", "large")),
        ("model", ("[small,large]", "'large'")),
    ],
)
def test_what_hydra_accepts_passes(key: str, values: tuple[str, ...]) -> None:
    _check(key, *values)


def test_every_grid_is_composed_with_what_is_fixed() -> None:
    composed: list[list[str]] = []

    def compose(overrides: Sequence[str]) -> DictConfig:
        composed.append(list(overrides))
        return OmegaConf.create({"a": 1, "b": 1})

    check_axes(Composer(compose, lambda group: []), ["c=0"], [[("a", ("1", "2"))], [("b", ("3",))]])
    assert composed == [["c=0", "a=1"], ["c=0", "b=3"]]
