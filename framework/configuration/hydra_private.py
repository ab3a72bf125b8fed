"""What we need of Hydra and have to take from behind its public interface; no other module does.

An upgrade of Hydra is checked here: `pyproject.toml` lists the versions with these names.
"""

from __future__ import annotations

from typing import Any

from hydra.core.utils import JobReturn


def command_line_flags(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the flags among the arguments that Hydra does not know, and all flags that it knows.

    Hydra itself answers an unknown flag with a page of usage.
    """
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    unknown = [text for text in parser.parse_known_args(arguments)[1] if text.startswith("-")]
    return unknown, [flag for action in parser._actions for flag in action.option_strings]


def returned_or_raised(job: JobReturn) -> Any:
    """Return what a job returned, or the exception that it raised.

    The public property `return_value` raises the exception, and prints a line to standard error before.
    """
    return job._return_value
