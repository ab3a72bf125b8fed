"""What we need of Hydra and have to take from behind its public interface; no other module does.

An upgrade of Hydra is checked here: `pyproject.toml` lists the versions with these names.
"""

from __future__ import annotations

from typing import Any

from hydra.core.utils import JobReturn


def flags_apart(arguments: list[str]) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return (flags with their values, overrides, flags that Hydra does not know, all that it knows).

    Hydra's own parser takes a flag behind an override for the end of the overrides, and answers an unknown one with a
    page of usage.
    """
    from hydra._internal.utils import get_args_parser

    actions = {flag: action for action in get_args_parser()._actions for flag in action.option_strings}
    flags: list[str] = []
    overrides: list[str] = []
    unknown: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, equals, _ = word.partition("=")
        if not word.startswith("-"):
            overrides.append(word)
        elif name not in actions:
            unknown.append(word)
        else:
            flags.append(word)
            action = actions[name]
            takes = action.nargs is None or (
                action.nargs == "?" and bool(words) and words[0] in (action.choices or ())
            )
            if takes and not equals and words:
                flags.append(words.pop(0))
    return flags, overrides, unknown, list(actions)


def returned_or_raised(job: JobReturn) -> Any:
    """Return what a job returned, or the exception that it raised.

    The public property `return_value` raises the exception, and prints a line to standard error before.
    """
    return job._return_value
