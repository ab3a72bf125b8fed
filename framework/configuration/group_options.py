"""The values of one option of a configuration group, as a study that chooses it would see them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from framework.configuration.composition import compose
from framework.configuration.search_path import group_files, option_file
from framework.errors import ConfigError, did_you_mean, one_line


def group_option(group: str, option: str) -> Mapping[str, Any]:
    """Return the plain values of one option of a group, as a study that chooses it would see them.

    Raises:
        ConfigError: no such option, or its file can't be read.
    """
    file = option_file(group, option)
    if file is None:
        raise ConfigError(f"{group}: unknown {group} '{option}'")
    return _values(group, option, file, file.stat().st_mtime_ns)


def unknown_option(group: str, option: str, known: Collection[str] | None = None) -> str:
    """Return the error for an option that a group does not have, with what the group takes instead of one.

    Args:
        known: the options of the group; null: those that have a file.
    """
    files = group_files(group) if known is None else known
    ways = ""
    if "none" in files:
        keys = [key for key, value in group_option(group, "none").items() if value is None]
        ways = "".join(f", {group}.{key}=…" for key in ("path", "id") if key in keys)
    hint = did_you_mean(option, files)
    return f"unknown {group} '{option}'{hint}" + (f"; or {ways[2:]}" if ways else "")


@cache
def _values(group: str, option: str, file: Path, changed_ns: int) -> Mapping[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        content = OmegaConf.load(file)
        if "defaults" in content:  # made of other files: what Hydra makes of it
            content = compose([f"{group}={option}"])[group]
        plain = OmegaConf.to_container(content, resolve=True)
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{file}: {one_line(error)}") from error
    if not isinstance(plain, dict):
        raise ConfigError(f"{file}: not a mapping of keys to values")
    return {str(key): value for key, value in plain.items()}
