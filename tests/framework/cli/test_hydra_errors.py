from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from framework.cli.hydra_errors import as_user_error
from framework.configuration.composition import compose
from framework.errors import ConfigError, InputError


@pytest.fixture(autouse=True)
def _toy(toy: Path) -> Iterator[None]:
    GlobalHydra.instance().clear()
    yield
    GlobalHydra.instance().clear()


def _error(*overrides: str) -> str:
    """Return what a user reads when these overrides of the toy study can't be composed."""
    arguments = ["+experiment=toy_single", *overrides]
    with pytest.raises((HydraException, OmegaConfBaseException)) as caught:
        compose(arguments)
    error = as_user_error(caught.value, arguments)
    assert isinstance(error, ConfigError)
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("backend=toi", "unknown backend 'toi' (did you mean 'toy'?)"),
        ("model=opt-1.3", "unknown model 'opt-1.3' (did you mean 'opt-1.3b'?)"),
        ("model=acme/Tiny-1B", "unknown model 'acme/Tiny-1B'"),
        ("model=acme/Tiny-1B", "; or model.path=…, model.id=…"),
        ("backend.sped=1", "unknown configuration key 'backend.sped' (did you mean 'backend.speed'?)"),
        ("resum=false", "unknown configuration key 'resum' (did you mean 'resume'?)"),
        ("repeats=many", "'repeats=many': Value 'many' of type 'str' could not be converted to Integer"),
        (
            "backend.speed=fast",
            "'backend.speed=fast': Value 'fast' of type 'str' could not be converted to Float",
        ),
        ("backend.pace=lazy", "'backend.pace=lazy': Invalid value 'lazy', expected one of [steady, hasty]"),
        ("resume", "override 'resume' can't be read: no '=' in it; write key=value"),
        ("resume=[", "override 'resume=[' can't be read: "),
        ("~backend.spede", "backend.spede"),
        ("+backend.speed=2", "backend.speed"),
        ("repeats=1,2", "override 'repeats=1,2' lists several values"),
    ],
)
def test_a_bad_override_is_one_line_that_names_it(override: str, message: str) -> None:
    assert message in _error(override)


def test_an_unknown_experiment_gets_a_hint() -> None:
    with pytest.raises(HydraException) as caught:
        compose(["+experiment=toy_gird"])
    said = str(as_user_error(caught.value, []))
    assert said.startswith("unknown experiment 'toy_gird' (did you mean 'toy_grid'?); ")
    assert said.endswith("experiment=toy_gird names a study without a file")


def test_an_error_of_ours_inside_one_of_hydras_is_passed_on_as_it_is() -> None:
    ours = InputError("file 'x': row 3")
    outer = HydraException("something failed")
    outer.__cause__ = ours
    assert as_user_error(outer, []) is ours


def test_an_error_without_words_still_says_something() -> None:
    assert str(as_user_error(HydraException(""), [])) == "the configuration can't be composed"
