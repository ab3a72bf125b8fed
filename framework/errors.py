"""The errors a user can cause, each shown as one clear line."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_WORD = re.compile("[a-z0-9]+")


class UserError(Exception):
    """Something the user can fix: a key, a file, a row. Its text is one line that names the culprit.

    Attributes:
        exit_status: process exit status the command line ends with.
    """

    exit_status = 1


class ConfigError(UserError):
    """A configuration that can't be run: unknown key, bad type or value, impossible combination."""

    exit_status = 2


class SetupError(ConfigError):
    """Something that a run needs is not named, or not to be had on this machine: an interpreter, a model, room.

    A sweep does not start the other points that need the same.

    Attributes:
        keys: groups and keys of the configuration on which that depends (`model`, `backend.python`).
    """

    def __init__(self, text: str, keys: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.keys = tuple(keys)


class InputError(UserError):
    """A file or table that can't be read or breaks its schema; names the file and, where known, the row."""


class StoreError(UserError):
    """The store can't do what was asked: locked, read-only, torn bundle, bad SQL."""


class NotInStoreError(UserError):
    """No run has what was asked for, or several things are called so: a metric, a parameter, a name.

    What can't be read is a `StoreError`: an empty answer is no excuse for a broken store.
    """


class RunFailedError(UserError):
    """A run, or some runs of a sweep, failed; each has a row in the store."""


class NotEvaluatedError(Exception):
    """The runs can't answer a claim; the text says what is missing."""


class TimeLimitError(Exception):
    """The scheduler is about to end this job; raised inside the run, so that it ends in order and says so."""

    failure_kind = "timeout"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"` for the closest known name, or a list of the names if they are few.

    A word that several names begin with gets these: of `red-1` and `red-2`, `red` is short for neither alone. Of a
    longer name the words count: `ACME RED 2` holds those of `red-2`, and `red-max` begins as both do.
    """
    names = sorted(set(known))
    longer = [name for name in names if word and name.lower().startswith(word.lower())]
    if word in names:
        close = [word]
    else:
        alike = longer or _within(word, names) or get_close_matches(word, names, n=1, cutoff=0.6)
        close = alike or _beginning_alike(word, names)
    if 1 < len(close) <= 6:
        *others, last = [f"'{name}'" for name in close]
        return f" (did you mean {', '.join(others)} or {last}?)"
    if close:
        return f" (did you mean '{close[0]}'?)"
    if 0 < len(names) <= 30:
        return f" (known: {', '.join(names)})"
    return ""


def _within(text: str, names: Sequence[str]) -> list[str]:
    """Return the names all of whose words are in a text of several words; of those, the ones with the most."""
    words = set(_WORD.findall(text.lower()))
    found = {name: own for name in names if (own := set(_WORD.findall(name.lower()))) and own <= words}
    most = max(map(len, found.values()), default=0)
    return [name for name, own in found.items() if len(own) == most]


def _beginning_alike(text: str, names: Sequence[str]) -> list[str]:
    """Return the names whose first word is that of a text."""
    first = _WORD.findall(text.lower())[:1]
    return [name for name in names if first and _WORD.findall(name.lower())[:1] == first]


def one_line(error: BaseException) -> str:
    """Return the first line of an error's text; its class's name if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
