"""Every value of every axis is checked before the first run: a typo in the last one costs seconds, not hours."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from framework.configuration.group_options import unknown_option
from framework.configuration.search_path import group_files
from framework.configuration.study_config import VOLATILE_KEYS
from framework.errors import ConfigError, one_line
from framework.sweep.grid import Axis

MOST_POINTS = 100_000
_OWN_STUDY = re.compile(r"^(?:hydra|experiment|repeats|advisor):", re.MULTILINE)
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
            _check_no_study(key, values)
        first = composer.compose([*fixed, *(f"{key}={values[0]}" for key, values in axes)])
        for key, values in axes:
            if not composer.options(_group_of(key)):
                for value in values[1:]:
                    _check_value(first, key.lstrip("+"), value)


def check_study_axes(config: DictConfig, given: Sequence[Sequence[Axis]]) -> None:
    """Raise `ConfigError` for an axis over what holds for the whole sweep, and would be ignored in its points."""
    for key, values in (axis for axes in given for axis in axes):
        name = key.lstrip("+~").partition("@")[0]
        top = name.partition(".")[0]
        if top not in (*VOLATILE_KEYS, "hydra") and name not in ("scale", "scale.axis_points"):
            continue
        if len(values) > 1 or str(values[0]).strip("'\"").casefold() != _text_of(config, name):
            if len(values) == 1 and top not in _READ_ONCE:
                continue
            shown = ",".join(values[:4]) + (",…" if len(values) > 4 else "")
            raise ConfigError(
                f"override '{key}={shown}': '{name}' holds for the whole sweep and can't be an axis of it; "
                "give it one value outside of the grids"
            )


_READ_ONCE = ("resume", "failed_only", "repeats", "repeat_until", "hydra")


def _text_of(config: DictConfig, name: str) -> str:
    value = OmegaConf.select(config, name)
    return "null" if value is None else str(value).casefold()


def check_size(grids: Sequence[Sequence[Axis]], repeats: int, keep: int | None) -> None:
    """Raise `ConfigError` for a study of more points than anybody waits for, before they are made."""
    total = repeats * sum(prod(min(len(values), keep or len(values)) for _, values in axes) for axes in grids)
    if total > MOST_POINTS:
        raise ConfigError(
            f"this sweep has {total:,} runs, and at most {MOST_POINTS:,} are planned: make its axes shorter "
            "(scale.axis_points=N keeps N values of each), or run it in parts"
        )


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
            raise ConfigError(unknown_option(group, chosen, shown))


def _check_no_study(key: str, values: Sequence[str]) -> None:
    """Refuse options that hold a study of their own, whose grid the sweep would not see."""
    if len(values) < 2:
        return
    files = group_files(_group_of(key))
    for value in values:
        file = files.get(value.strip("'\""))
        if file is not None and _OWN_STUDY.search(file.read_text(encoding="utf-8")):
            raise ConfigError(
                f"override '{key}={','.join(values)}': '{file.stem}' is a study with settings of its own; "
                "run them one after the other"
            )


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
