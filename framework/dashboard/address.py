"""What an address asks for: every parameter is named, bounded and checked; anything else is refused in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from framework.errors import UserError, did_you_mean

MOST_TEXT = 20_000
"""Characters that one parameter may have."""


class RefusedError(UserError):
    """An address that asks for what is not allowed or does not make sense; `status` is that of the response."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class NotThereError(RefusedError):
    """Something that the store does not hold."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 404)


class Asked:
    """The parameters of an address; reading one marks it as known, and `finish` refuses the others."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take the parameters in their order; raises `RefusedError` for texts that no page can use."""
        self.pairs = tuple(pairs)
        self._read: set[str] = set()
        for name, value in self.pairs:
            if len(value) > MOST_TEXT or len(name) > 200:
                raise RefusedError(f"parameter '{name[:40]}' is longer than {MOST_TEXT:,} characters", 414)
            if "\0" in name + value:
                raise RefusedError(f"parameter '{name[:40]}' contains a NUL character".replace("\0", ""))

    def many(self, name: str) -> list[str]:
        """Return all values of a parameter that are not empty."""
        self._read.add(name)
        return [value.strip() for key, value in self.pairs if key == name and value.strip()]

    def text(self, name: str, default: str = "") -> str:
        """Return the only value of a parameter; raises `RefusedError` where it is given twice."""
        values = self.many(name)
        if len(values) > 1:
            raise RefusedError(f"parameter '{name}' is given {len(values)} times")
        return values[0] if values else default

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        """Return a value that is one of those allowed."""
        value = self.text(name, default)
        if value not in allowed:
            raise RefusedError(f"{name}={_short(value)}: not one of them{did_you_mean(value, allowed)}")
        return value

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number within bounds."""
        return int(self.number(name, default, least, most, whole=True))

    def number(self, name: str, default: float, least: float, most: float, whole: bool = False) -> float:
        """Return a number within bounds."""
        text = self.text(name, str(default))
        try:
            value = float(int(text)) if whole else float(text)
        except ValueError:
            kind = "a whole number" if whole else "a number"
            raise RefusedError(f"{name}={_short(text)}: not {kind}") from None
        if not least <= value <= most:
            raise RefusedError(f"{name}={_short(text)}: must be from {least:g} to {most:g}")
        return value

    def finish(self) -> None:
        """Raise `RefusedError` for a parameter that the page does not know."""
        for name, _ in self.pairs:
            if name not in self._read:
                raise RefusedError(f"unknown parameter '{_short(name)}'{did_you_mean(name, self._read)}")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}…"


def link(path: str, pairs: Iterable[tuple[str, object]] = ()) -> str:
    """Return an address of this site with its parameters, those without a value left out."""
    query = urlencode([(name, str(value)) for name, value in pairs if value not in (None, "")])
    return f"{path}?{query}" if query else path
