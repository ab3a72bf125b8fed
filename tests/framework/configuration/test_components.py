from __future__ import annotations

from collections.abc import Callable

import pytest
from omegaconf import DictConfig

from framework.configuration.components import build_component
from framework.errors import ConfigError

Make = Callable[..., DictConfig]


def test_a_group_becomes_the_object_it_names(toy_config: Make) -> None:
    assert build_component(toy_config(backend__speed=5), "backend").speed == 5


def test_values_reach_the_object_as_plain_containers(toy_config: Make) -> None:
    config = toy_config(
        thing={"_target_": "builtins.dict", "sizes": [1, 2], "inner": {"a": "${backend.speed}"}}
    )
    built = build_component(config, "thing")
    assert built == {"sizes": [1, 2], "inner": {"a": 2.0}}
    assert type(built["sizes"]) is list
    assert type(built["inner"]) is dict


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": None}, "configuration group 'backend' names no class in 'backend._target_'"),
        ({"backend": {"_target_": "toy_study.components.Tpyo"}}, "toy_study.components.Tpyo"),
        ({"backend": {"_target_": "no_such_package.Backend"}}, "no_such_package.Backend"),
        ({"backend__spede": 1}, "unexpected keyword argument 'spede'"),
        ({"backend__speed": -1}, "configuration key 'backend.speed': must be above 0, got -1"),
        ({"backend__speed": "fast"}, "configuration group 'backend' (toy_study.components.ToyBackend): "),
    ],
    ids=["no group", "no such class", "no such package", "unknown key", "refused value", "wrong type"],
)
def test_what_cannot_be_built_is_one_line_that_names_the_culprit(
    toy_config: Make, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_component(toy_config(**changes), "backend")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
