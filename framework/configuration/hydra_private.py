"""What we need of Hydra and have to take from behind its public interface; no other module does.

An upgrade of Hydra is checked here: `pyproject.toml` lists the versions with these names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def composed_once() -> Iterator[None]:
    """Let Hydra run a single configuration with the composition by which it found out that there is a single one.

    Hydra composes to read `hydra.mode`, throws that away and composes again, which is a fifth of a second.
    """
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.hydra import Hydra
    from hydra.types import RunMode

    hydra: Any = Hydra
    loader: Any = ConfigLoaderImpl
    plain_mode, plain_load = hydra.get_mode, loader.load_configuration
    found: dict[tuple[Any, ...], Any] = {}

    def get_mode(self: Any, config_name: str | None, overrides: list[str]) -> Any:
        try:
            config = plain_load(self.config_loader, config_name, overrides, RunMode.RUN)
        except (
            Exception
        ):  # a sweep is no single configuration; what else is wrong, Hydra finds again and says
            return plain_mode(self, config_name, overrides)
        if config.hydra.mode in (None, RunMode.RUN):
            found[config_name, *overrides] = config
            return RunMode.RUN
        return config.hydra.mode

    def load_configuration(
        self: Any, config_name: str | None, overrides: list[str], run_mode: Any, *rest: Any, **named: Any
    ) -> Any:
        config = found.pop((config_name, *overrides), None) if run_mode == RunMode.RUN else None
        if config is not None:
            return config
        return plain_load(self, config_name, overrides, run_mode, *rest, **named)

    hydra.get_mode, loader.load_configuration = get_mode, load_configuration
    try:
        yield
    finally:
        hydra.get_mode, loader.load_configuration = plain_mode, plain_load
