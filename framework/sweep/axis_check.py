"""Every value of every axis is checked before the first run: a typo in the last one costs seconds, not hours."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from framework.errors import ConfigError, did_you_mean, one_line
from framework.sweep.grid import Axis

_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]*")


@dataclass(frozen=True)
class Composer:
    """What the check needs of Hydra.

    Attributes:
        compose: overrides → composed configuration; raises Hydra's errors.
        options: configuration group → its options; empty for what is not a group.
    """

    compose: Callable[[Sequence[str]], DictConfig]
    options: Callable[[str], Sequence[str]]


def check_axes(composer: Composer, fixed: Sequence[str], grids: Sequence[Sequence[Axis]]) -> None:
    """Compose the first point of each grid, then try every other value of its axes on that.

    Raises:
        ConfigError: an unknown option of a group, an unknown key, or a value of the wrong type; names it.
    """
    for axes in grids:
        for key, values in axes:
            _check_group(composer, key, values)
        first = composer.compose([*fixed, *(f"{key}={values[0]}" for key, values in axes)])
        for key, values in axes:
            if not composer.options(_group_of(key)):
                for value in values[1:]:
                    _check_value(first, key.lstrip("+"), value)


def _group_of(key: str) -> str:
    return key.lstrip("+").partition("@")[0]


def _check_group(composer: Composer, key: str, values: Sequence[str]) -> None:
    group = _group_of(key)
    options = composer.options(group)
    if not options:
        return
    for value in values:
        chosen = value.strip("'\"")
        if not chosen.startswith("[") and chosen not in options:
            shown = [option for option in options if not option.endswith("_schema")]
            raise ConfigError(f"unknown {group} '{chosen}'{did_you_mean(chosen, shown)}")


def _check_value(config: DictConfig, key: str, value: str) -> None:
    try:
        OmegaConf.update(config, key, _as_hydra_reads(key, value), merge=True)
    except OmegaConfBaseException as error:
        reason = one_line(error)
        raise ConfigError(f"override '{key}={value}': {reason}") from error


def _as_hydra_reads(key: str, value: str) -> Any:
    """Return an override's value; whole numbers, of which an axis may have thousands, without Hydra's parser."""
    if _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(f"{key}={value}").value()
