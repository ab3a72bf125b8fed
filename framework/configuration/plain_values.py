"""Plain values of a configuration group, as Hydra hands them over, as typed and checked settings.

Every refusal is a `ConfigError` of one line that names the key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from framework.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_T = TypeVar("_T", bound="DataclassInstance")


def from_plain(kind: type[_T], values: Mapping[str, Any] | None, where: str) -> _T:
    """Return the settings that plain values (as Hydra hands them over) describe.

    Raises:
        ConfigError: an unknown key, with the nearest known one; or not a mapping. Names `where.key`.
    """
    if isinstance(values, kind):
        return values
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a mapping of keys to values, got {values!r}")
    hints: dict[str, Any] = get_type_hints(kind)
    known = {item.name for item in fields(kind) if item.name != "_target_"}
    plain: dict[str, Any] = {}
    for key, value in values.items():
        if key == "_target_":
            continue
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown key{did_you_mean(str(key), known)}")
        plain[key] = from_plain(hints[key], value, f"{where}.{key}") if is_dataclass(hints[key]) else value
    return kind(**plain)


def number(value: Any, key: str, *, above: float | None = None, least: float | None = None) -> float:
    """Return a finite number within bounds. Raises `ConfigError` naming the key."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ConfigError(f"{key}: expected a number, got {value!r}")
    if abs(value) == float("inf"):
        raise ConfigError(f"{key}: must be finite, got {value}")
    if above is not None and value <= above:
        raise ConfigError(f"{key}: must be greater than {above:g}, got {value:g}")
    if least is not None and value < least:
        raise ConfigError(f"{key}: must be at least {least:g}, got {value:g}")
    return float(value)


def whole(value: Any, key: str, *, least: int | None = None) -> int:
    """Return a whole number, of at least `least`. Raises `ConfigError` naming the key."""
    found = number(value, key, least=least)
    if found != int(found):
        raise ConfigError(f"{key}: must be a whole number, got {value:g}")
    return int(found)


def one_of(value: Any, key: str, allowed: Collection[str]) -> str:
    """Return a word that is allowed. Raises `ConfigError` naming the key and the nearest word."""
    if value not in allowed:
        raise ConfigError(f"{key}: unknown value {value!r}{did_you_mean(str(value), allowed)}")
    return str(value)
