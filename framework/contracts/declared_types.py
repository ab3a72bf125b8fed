"""Whether what a plugin hands over holds what its fields declare, so that nonsense is named where it comes from."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from functools import cache
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def misfit(item: Any) -> str | None:
    """Return which field of a contract's dataclass holds what it doesn't declare, in words; None if all fit."""
    kind: type = type(item)
    for name, hint in _declared(kind).items():
        if not _fits(getattr(item, name), hint):
            return f"{kind.__name__}.{name} is {_in_words(getattr(item, name))}"
    return None


@cache
def _declared(kind: type) -> dict[str, Any]:
    try:
        return get_type_hints(kind, localns=_Names(vars(builtins) | vars(sys.modules[kind.__module__])))
    except AttributeError:  # `module.Type` of a module that is imported for type checkers only
        return {}


class _Names(dict[str, Any]):
    """Names of a module; one that is imported for type checkers only stands for anything."""

    def __missing__(self, name: str) -> Any:
        return Any


def _in_words(value: Any) -> str:
    """Return a text or number as it is, anything else by its type: a plugin's object need not have a `repr`."""
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {' and '.join(sorted({type(item).__name__ for item in value}))}"
    return f"{value!r:.80}" if isinstance(value, str | int | float) else type(value).__name__


def _fits(value: Any, hint: Any) -> bool:
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind is Literal:
        return any(value is part or value == part for part in parts)
    if kind is Callable:
        return callable(value)
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real)
    if not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
        return True
    if issubclass(kind, Mapping):
        return isinstance(value, Mapping)
    if kind is not str and issubclass(kind, Iterable):
        return (
            isinstance(value, Iterable) and not isinstance(value, str | bytes) and _all_fit(value, *parts[:1])
        )
    return isinstance(value, kind) and not (is_dataclass(kind) and misfit(value))


def _all_fit(values: Iterable[Any], part: Any = Any) -> bool:
    """Whether all values are of a type; what is no list is not gone through, since it may be read only once."""
    return part is Any or not isinstance(values, list | tuple) or all(_fits(value, part) for value in values)
