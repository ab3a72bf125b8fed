from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from framework.configuration.study_config import describing_config, flatten, resolved
from framework.errors import ConfigError

_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
)
_NAMES = st.text("abcdef_", min_size=1, max_size=6)
_CONFIGS = st.recursive(
    st.dictionaries(_NAMES, _LEAVES, max_size=4),
    lambda inner: st.dictionaries(_NAMES, _LEAVES | inner, max_size=4),
    max_leaves=20,
)


def test_interpolations_are_resolved_to_plain_values() -> None:
    config = OmegaConf.create({"scale": {"max": 8}, "workload": {"size": "${scale.max}", "list": [1, 2]}})
    assert resolved(config) == {"scale": {"max": 8}, "workload": {"size": 8, "list": [1, 2]}}


def test_a_missing_value_is_an_error_that_names_its_key() -> None:
    with pytest.raises(ConfigError, match=r"workload\.file"):
        resolved(OmegaConf.create({"workload": {"file": "???"}}))


def test_an_interpolation_that_leads_nowhere_is_an_error_that_names_its_key() -> None:
    with pytest.raises(ConfigError, match=r"workload\.size"):
        resolved(OmegaConf.create({"workload": {"size": "${scale.max}"}}))


def test_errors_of_a_configuration_are_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(OmegaConf.create({"a": "${b}"}))
    assert "\n" not in str(caught.value)


def test_a_pointer_to_a_whole_group_is_left_out_of_the_description() -> None:
    config = OmegaConf.create(
        {"model": {"name": "opt", "layers": 24}, "backend": {"model": "${model}", "k": 1}}
    )
    assert resolved(config)["backend"]["model"] == {"name": "opt", "layers": 24}
    assert describing_config(config) == {"model": {"name": "opt", "layers": 24}, "backend": {"k": 1}}


def test_a_pointer_to_a_single_value_stays_in_the_description() -> None:
    config = OmegaConf.create({"model": {"name": "opt"}, "backend": {"model_name": "${model.name}"}})
    assert describing_config(config)["backend"] == {"model_name": "opt"}


def test_what_follows_from_the_folder_of_outputs_is_no_part_of_the_description() -> None:
    config = OmegaConf.create(
        {"outputs_dir": "here", "backend": {"profiles": "${outputs_dir}/profiles", "k": 1}}
    )
    assert describing_config(config)["backend"] == {"k": 1}


def test_describing_a_configuration_leaves_it_as_it_is() -> None:
    config = OmegaConf.create({"model": {"name": "opt"}, "backend": {"model": "${model}"}})
    describing_config(config)
    assert OmegaConf.is_interpolation(config.backend, "model")


def test_an_empty_group_does_not_get_in_the_way() -> None:
    config = OmegaConf.create({"model": None, "backend": {"a": {}}})
    assert describing_config(config) == {"model": None, "backend": {"a": {}}}


def test_leaves_have_dotted_paths_and_a_list_is_one_leaf() -> None:
    config = {"a": {"b": {"c": 1}}, "d": [1, {"e": 2}], "f": {}, "g": None}
    assert dict(flatten(config)) == {"a.b.c": 1, "d": [1, {"e": 2}], "g": None}


@given(_CONFIGS)
def test_flattening_keeps_every_leaf_and_where_it_stood(config: dict[str, object]) -> None:
    for path, value in flatten(config):
        node: object = config
        for part in path.split("."):
            assert isinstance(node, dict)
            node = node[part]
        assert node == value
    assert len(list(flatten(config))) == _leaf_count(config)


def _leaf_count(config: object) -> int:
    return sum(map(_leaf_count, config.values())) if isinstance(config, dict) else 1
