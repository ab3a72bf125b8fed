"""The arguments of a study before Hydra sees them: what Hydra would misread, drop or answer with a page of usage.

Every override ends in the configuration of the runs, or is refused here or by Hydra in one line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from framework.configuration.group_options import unknown_option
from framework.configuration.hydra_private import flags_apart
from framework.configuration.search_path import group_files
from framework.configuration.study_config import check_study_name
from framework.errors import ConfigError, did_you_mean

_SWEPT = re.compile(r"[,(\[{]")
_NUMBER = re.compile(r"[-+]?[\d._]+(?:e[-+]?\d+)?|true|false", re.IGNORECASE)


def prepared(arguments: Sequence[str]) -> list[str]:
    """Return the arguments as Hydra is to get them: flags first, `experiment=NAME` as the name of the study.

    Raises:
        ConfigError: an unknown flag, an override without a key or a value, a key that only the framework sets, an
            option that is none.
    """
    arguments = ["dry_run=true" if text == "--dry-run" else text for text in arguments]
    flags, overrides, unknown, known = flags_apart(list(arguments))
    if unknown:
        flag = unknown[0].partition("=")[0]
        if flag == "--outputs":  # what verbs call it
            raise ConfigError(f"unknown flag '{flag}': a study takes outputs_dir=FOLDER")
        raise ConfigError(f"unknown flag '{flag}'{did_you_mean(flag, [*known, '--dry-run'])}")
    return [*flags, *_below_swept_groups([_checked(text) for text in overrides])]


def _below_swept_groups(overrides: Sequence[str]) -> list[str]:
    """Return the overrides with those below a swept group as axes of one value.

    Hydra composes the base configuration of a sweep without its axes, and so without the option that has the key.
    """
    parts = [(text, *text.partition("=")[::2]) for text in overrides]
    swept = {key.lstrip("+") for text, key, _ in parts if _is_sweep(text) and group_files(key.lstrip("+"))}

    def below(key: str) -> bool:
        return "." in key and key.lstrip("+").partition(".")[0] in swept and not key.startswith("~")

    return [
        f"{key}=choice({value})" if below(key) and value[:1] != "$" and not _is_sweep(text) else text
        for text, key, value in parts
    ]


def _is_sweep(text: str) -> bool:
    """Whether an override has several values. A list of options (`metrics=[nvml]`) is one value."""
    if _SWEPT.search(text.partition("=")[2]) is None:
        return False
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(text).is_sweep_override()
    except HydraException:
        return False  # Hydra says what is wrong with it


def _checked(text: str) -> str:
    key, equals, value = text.partition("=")
    name = key.lstrip("+~")
    if not name.strip():
        raise ConfigError(f"override '{text}': no key in front of '='")
    if name.partition(".")[0] == "sweep":
        raise ConfigError(
            f"override '{text}': the framework itself sets 'sweep'; experiment=NAME names a study"
        )
    if equals and not value.strip() and not key.startswith("~"):
        raise ConfigError(
            f"override '{text}': no value; write {key}=null for none, or \"{key}=''\" for an empty text"
        )
    if name == "experiment" and not key.startswith("~"):
        return _named(text, key, value)
    if not _SWEPT.search(value):
        check_option(name, value.strip("'\""))
    return text


def _named(text: str, key: str, value: str) -> str:
    """`experiment=NAME` names the study; `+experiment=NAME` takes the file of that name."""
    files = group_files("experiment")
    wanted = value.strip("'\"")
    if key == "experiment":
        if wanted in files:
            raise ConfigError(f"override '{text}': to run this experiment, write +{text}")
        check_study_name(wanted)
        return f"sweep.name='{wanted}'"
    return text


def check_option(group: str, option: str) -> None:
    """Raise `ConfigError` for what Hydra takes for an option, or stumbles over: a schema, a number."""
    if option.endswith("_schema") or _NUMBER.fullmatch(option):
        files = group_files(group)
        if files and option not in files:
            raise ConfigError(unknown_option(group, option))


def without_schemas(help_text: str) -> str:
    """Return Hydra's list of options without the schemas of plugins, which nobody chooses."""
    shown = []
    for line in help_text.splitlines():
        group, colon, options = line.partition(": ")
        files = group_files(group.strip()) if colon else {}
        if files:
            kept = [name for name in options.split(", ") if name.strip() in files]
            line = f"{group}: {', '.join(kept)}"
        shown.append(line)
    return "\n".join(shown) + "\n"
