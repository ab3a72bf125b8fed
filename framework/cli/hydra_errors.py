"""Hydra's and OmegaConf's errors as one line that names the key."""

from __future__ import annotations

import re

from framework.errors import ConfigError, UserError, did_you_mean

_UNKNOWN_OPTION = re.compile(r"(?:Could not find|In '.*': Could not find) '([^']+)'")
_UNKNOWN_KEY = re.compile(r"Key '([^']+)' is not in struct|Key '([^']+)' not in '([^']+)'")
_OVERRIDE = re.compile(r"Could not (?:override|append|delete)[^']*'([^']+)'")
_FULL_KEY = re.compile(r"full_key: (\S+)")


def as_user_error(error: Exception) -> UserError:
    """Return an error of ours with the gist of Hydra's on one line; an error of ours inside it as it is."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return cause
        cause = cause.__cause__
    text = "\n".join(str(part) for part in (error, error.__cause__) if part is not None)
    return ConfigError(_unknown_option(text) or _unknown_key(text) or _first_lines(text))


def _unknown_option(text: str) -> str | None:
    match = _UNKNOWN_OPTION.search(text)
    if match is None:
        return None
    wanted = match.group(1)
    group, _, option = wanted.rpartition("/")
    if not group:
        return f"no configuration '{wanted}'"
    options = _options(group)
    return f"unknown {group} '{option}'{did_you_mean(option, options)}"


def _options(group: str) -> list[str]:
    from hydra.core.global_hydra import GlobalHydra

    hydra = GlobalHydra.instance().hydra
    if hydra is None:
        return []
    return [name for name in hydra.config_loader.get_group_options(group) if not name.endswith("_schema")]


def _unknown_key(text: str) -> str | None:
    override, key = _OVERRIDE.search(text), _UNKNOWN_KEY.search(text)
    if key is None:
        return None
    full = _FULL_KEY.search(text)
    name = full.group(1) if full else override.group(1) if override else key.group(1) or key.group(2)
    return f"unknown configuration key '{name}'{did_you_mean(name, _known_keys(name))}"


def _known_keys(name: str) -> list[str]:
    """Return the sibling keys of a misspelt one, from the study's default configuration."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode
    from omegaconf import DictConfig, OmegaConf

    hydra = GlobalHydra.instance().hydra
    if hydra is None:
        return []
    try:
        config = hydra.compose_config("config", _group_choices(), run_mode=RunMode.RUN)
    except Exception:  # a hint is not worth a second error
        return []
    above, _, _ = name.rpartition(".")
    node = OmegaConf.select(config, above) if above else config
    if not isinstance(node, DictConfig):
        return []
    return [f"{above}.{key}" if above else str(key) for key in node if key != "hydra"]


def _group_choices() -> list[str]:
    """Return the overrides of the command line that choose configuration groups."""
    import sys

    return [
        text
        for text in sys.argv[1:]
        if "." not in text.partition("=")[0] and "=" in text and "," not in text and not text.startswith("-")
    ]


def _first_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    full = _FULL_KEY.search(text)
    prefix = f"configuration key '{full.group(1)}': " if full and full.group(1) not in lines[0] else ""
    return prefix + lines[0].rstrip(".") if lines else "the configuration can't be composed"
