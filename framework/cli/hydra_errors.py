"""Hydra's and OmegaConf's errors as one line that names the key."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.errors import OverrideParseException

from framework.configuration.composition import compose
from framework.configuration.group_options import unknown_option
from framework.configuration.search_path import group_files
from framework.errors import ConfigError, UserError, did_you_mean

_UNKNOWN_OPTION = re.compile(r"Could not (?:find|load) '([^']+)'")
_UNKNOWN_KEY = re.compile(r"Key '([^']+)' (?:is not in struct|not in '[^']+')")
_OVERRIDE = re.compile(r"Could not (?:override|append|delete)[^']*'([^']+)'")
_MERGING = re.compile(r"Error merging override (.+)")
_AMBIGUOUS = re.compile(r"Ambiguous value for argument '([^']+)'")
_LIST = re.compile(r"\[[^\[\]]*\]")  # commas in a list do not separate values of a sweep
_PLAIN_KEY = re.compile(r"[+~]{0,2}[\w.@/:-]+")
_FULL_KEY = re.compile(r"full_key: (\S+)")


def as_user_error(error: Exception, arguments: Sequence[str]) -> UserError:
    """Return an error of ours with the gist of Hydra's on one line; an error of ours inside it as it is.

    Args:
        error: what Hydra or OmegaConf raised.
        arguments: the command line, for hints in its own context.
    """
    chain: list[BaseException] = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
        if isinstance(chain[-1], UserError):
            return chain[-1]
    text = "\n".join(str(part) for part in chain)
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"override '{error.override}' can't be read: {_parser_reason(text, error.override)}"
        )
    if isinstance(chain[-1], ImportError):  # a `_target_` that can't be imported
        return ConfigError(f"{_first_line(text)}: {chain[-1]}")
    return ConfigError(
        _unknown_option(text)
        or _unknown_key(text, arguments)
        or _bad_value(text)
        or _ambiguous(text)
        or _first_line(text)
    )


def _parser_reason(text: str, override: str) -> str:
    if "missing EQUAL" in text or "=" not in override:
        return "no '=' in it; write key=value"
    key, _, value = override.partition("=")
    if not _PLAIN_KEY.fullmatch(key):
        return f"'{key}' is not a key"
    quoted = value.strip("'\"").replace("\\", "\\\\").replace('"', '\\"')
    return f"quote its value, for the shell and for Hydra: '{key}=\"{quoted}\"'"


def _unknown_option(text: str) -> str | None:
    match = _UNKNOWN_OPTION.search(text)
    if match is None:
        return None
    group, _, option = match.group(1).rpartition("/")
    while "/" in group and not group_files(group):  # the option itself has a slash: a name on a hub, a path
        group, _, above = group.rpartition("/")
        option = f"{above}/{option}"
    if not group:
        return f"no configuration '{option}'"
    named = f"; experiment={option} names a study without a file" if group == "experiment" else ""
    return unknown_option(group, option) + named


def _unknown_key(text: str, arguments: Sequence[str]) -> str | None:
    override, key = _OVERRIDE.search(text), _UNKNOWN_KEY.search(text)
    if key is None:
        return None
    full = _FULL_KEY.search(text)
    name = full.group(1) if full else override.group(1) if override else key.group(1)
    return f"unknown configuration key '{name}'{did_you_mean(name, _sibling_keys(name, arguments))}"


def _bad_value(text: str) -> str | None:
    match = _MERGING.search(text)
    if match is None:
        return None
    told = ("Error merging", "full_key:", "object_type=", "reference_type=")
    reason = next((line.strip() for line in text.splitlines() if not line.strip().startswith(told)), "")
    return f"override '{match.group(1)}': {reason or 'the value does not fit'}"


def _ambiguous(text: str) -> str | None:
    match = _AMBIGUOUS.search(text)
    return match and f"override '{match.group(1)}' lists several values: add -m to sweep over them"


def _sibling_keys(name: str, arguments: Sequence[str]) -> list[str]:
    """Return the keys next to a misspelt one, in the configuration that the chosen groups give."""
    from omegaconf import DictConfig, OmegaConf

    choices = [
        text
        for text in arguments
        if "=" in text
        and "," not in _LIST.sub("", text)
        and "." not in text.partition("=")[0]
        and not text.startswith("-")
    ]
    try:
        config = compose([text for text in choices if text.partition("=")[0] != name])
    except Exception:  # a hint is not worth a second error
        return []
    above, _, _ = name.rpartition(".")
    node = OmegaConf.select(config, above) if above else config
    if not isinstance(node, DictConfig):
        return []
    return [f"{above}.{key}" if above else key for key in map(str, node)]


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "the configuration can't be composed"
    full = _FULL_KEY.search(text)
    prefix = f"configuration key '{full.group(1)}': " if full and full.group(1) not in lines[0] else ""
    return prefix + lines[0].rstrip(".:")
