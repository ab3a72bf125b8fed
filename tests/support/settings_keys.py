"""What the tests share that hold every key of a settings class to an effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import get_type_hints


def leaves(kind: type, above: str = "") -> Iterator[str]:
    """Yield the dotted names of a settings class; `_target_`, which names the class, is none of them."""
    hints = get_type_hints(kind)
    for item in fields(kind):  # type: ignore[arg-type]
        if item.name == "_target_":
            continue
        hint = hints[item.name]
        if isinstance(hint, type) and is_dataclass(hint):
            yield from leaves(hint, f"{above}{item.name}.")
        else:
            yield above + item.name
