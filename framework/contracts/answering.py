"""Models that answer: laws that predict metrics, and questions that the dashboard asks again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.contracts.advising import StoreReader
from framework.contracts.displays import Figure, TableBlock
from framework.contracts.outcomes import Json

if TYPE_CHECKING:
    from framework.quantity import Quantity


@dataclass(frozen=True)
class Law:
    """What physics says of a metric before anything is learned: a simulation, or a formula.

    The verb `predict` starts from it, corrects it by what was measured, and says which of both to trust.

    Attributes:
        name: how it is listed.
        predict: metric and configurations (nested, as of a run) → the value of each with its band; None where the
            law says nothing of it. Must not raise for a configuration that is not of its domain.
        backends: backends whose runs are made by the law itself: their values are its predictions.
        of_runs: for `compare NAME LAW`: store, and name of an experiment, sweep or run → a table of what was measured
            in each of its runs, what the law says with its band, and the difference; then a line for each run of
            which it says nothing. It may use all that the store holds of a run, not its configuration alone. None:
            only `predict` asks this law.
    """

    name: str
    predict: Callable[[str, Sequence[Mapping[str, Any]]], Sequence[Quantity | None]]
    backends: tuple[str, ...] = ()
    of_runs: Callable[[StoreReader, str], Sequence[TableBlock | str]] | None = None


@dataclass(frozen=True)
class Slider:
    """A number to choose from `values`, in ascending order; `start` is one of them."""

    name: str
    label: str
    values: Sequence[float]
    start: float
    unit: str = ""


@dataclass(frozen=True)
class Selection:
    """A word to choose from `options`; `start` is one of them."""

    name: str
    label: str
    options: Sequence[str]
    start: str


@dataclass(frozen=True)
class WhatIf:
    """A question to a model of a system that the dashboard asks again whenever a control moves.

    Attributes:
        name: in the address; letters, digits, `-`.
        description: what is asked, in a sentence or two.
        answer: called with a value for each control, by its name; returns what is shown, within about a second.
            Raises `UserError` for a combination that can't be.
    """

    name: str
    title: str
    description: str
    controls: Sequence[Slider | Selection]
    answer: Callable[[Mapping[str, Json]], Sequence[Figure | TableBlock | str]]
