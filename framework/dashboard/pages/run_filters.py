"""Filters of the runs table as SQL: chosen values, words, and conditions such as `itl_mean_ms<20`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from framework.dashboard.address import Asked, RefusedError
from framework.errors import did_you_mean
from framework.store.views.results_view import quoted

CHOSEN = ("experiment", "backend", "model", "gpu", "status", "sanity", "sweep_id")
"""Columns of `runs` that a filter gives the exact value of."""
_WORDS_IN = ("run_id", "experiment", "backend", "model", "gpu")
_CONDITION = re.compile(r"([A-Za-z_][\w.]*)(<=|>=|!=|=|<|>)(.+)")
_MOST_TERMS = 30


@dataclass
class RunFilter:
    """Conditions on `runs` (as `r`) joined with `results` (as `x`), and their values.

    Attributes:
        chosen: filter → value, those that are set.
        words: what was written into the text field.
    """

    chosen: dict[str, str] = field(default_factory=dict)
    words: str = ""
    conditions: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    @property
    def sql(self) -> str:
        """The condition for WHERE."""
        return " AND ".join(self.conditions) or "TRUE"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The filter as parameters of an address."""
        return [*self.chosen.items(), *([("q", self.words)] if self.words else [])]


def read_filter(asked: Asked, columns: Sequence[str]) -> RunFilter:
    """Return the filter of an address; `columns` are those of `results`. Raises `RefusedError`."""
    found = RunFilter()
    for name in CHOSEN:
        if value := asked.text(name):
            found.chosen[name] = value
            found.conditions.append(f"r.{name} = ?")
            found.values.append(value)
    found.words = asked.text("q")
    terms = found.words.split()
    if len(terms) > _MOST_TERMS:
        raise RefusedError(f"q: at most {_MOST_TERMS} words and conditions, not {len(terms)}")
    for term in terms:
        _add(found, term, columns)
    return found


def _add(found: RunFilter, term: str, columns: Sequence[str]) -> None:
    match = _CONDITION.fullmatch(term)
    if match is None:
        text = " || ' ' || ".join(f"coalesce(r.{name}, '')" for name in _WORDS_IN)
        found.conditions.append(f"contains(lower({text}), ?)")
        found.values.append(term.lower())
        return
    name, sign, value = match.groups()
    column = f"x.{quoted(known_column(name, columns))}"
    try:
        number = float(value)
    except ValueError:
        if sign not in ("=", "!="):
            raise RefusedError(f"q: '{term[:80]}': '{value[:40]}' is not a number") from None
        found.conditions.append(f"{column}::VARCHAR {sign} ?")
        found.values.append(value)
        return
    found.conditions.append(f"try_cast({column} AS DOUBLE) {sign} ?")
    found.values.append(number)


def known_column(name: str, columns: Sequence[str]) -> str:
    """Return the name if there is such a column; raises `RefusedError`."""
    if name not in columns:
        raise RefusedError(f"no run has '{name[:80]}'{did_you_mean(name, columns)}")
    return name
