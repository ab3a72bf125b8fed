"""Typed access to a `config.json` under the several names that its publishers use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.errors import ConfigError


class ConfigFields:
    """The fields of one configuration; a field that is missing or of the wrong kind is an error that names it."""

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        self.config, self.name = config, name

    def whole(self, *keys: str, default: int | None = None) -> int:
        """Return the first of several fields that is there.

        Raises:
            ConfigError: it is no whole number, or is 0 where `default` does not say that there may be none.
        """
        least = 0 if default == 0 else 1
        for key in keys:
            value = self.config.get(key)
            if value is not None:
                if isinstance(value, bool) or not isinstance(value, int) or value < least:
                    wanted = "a whole number" + (" of at least 1" if least else "")
                    raise ConfigError(f"model {self.name}: '{key}' is {value!r}, not {wanted}")
                return value
        if default is None:
            raise ConfigError(f"model {self.name}: its configuration has no '{keys[0]}'")
        return default

    def optional(self, *keys: str) -> int:
        """Return the first of several fields that is there, else 0."""
        return self.whole(*keys, default=0)

    def per_layer(self, key: str, layers: int) -> list[Any]:
        """Return a field that has one entry for each layer; empty where there is none of this length."""
        found = self.config.get(key)
        return list(found[:layers]) if isinstance(found, (list, tuple)) and len(found) >= layers else []
