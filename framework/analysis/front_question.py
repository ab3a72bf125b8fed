"""A question for Pareto fronts as people write it, and its answer: objectives, limits, what separates the fronts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from framework.analysis.objectives import KnownMetrics, Limit, Objective, check_names, comparable
from framework.analysis.setting_fronts import (
    SettingFront,
    called,
    front_query,
    names_among,
    setting_fronts,
)
from framework.contracts import StoreReader
from framework.errors import NotInStoreError, UserError


@dataclass(frozen=True)
class FrontAnswer:
    """The fronts that were asked for.

    Attributes:
        objectives: as they were asked for, with their direction.
        limits: what a setting must keep.
        by: short names of the parameters whose values have a front each.
        query: the SELECT that gives the settings.
        fronts: one a combination of values of `by`; at least one has a point.
        called: the same with kinds as they are called in figures and texts: a load with its key where loads differ.
    """

    objectives: Sequence[Objective]
    limits: Sequence[Limit]
    by: Sequence[str]
    query: str
    fronts: Sequence[SettingFront]
    called: Sequence[SettingFront]


def ask_fronts(
    store: StoreReader,
    wanted: Sequence[str],
    names: Sequence[str],
    slos: Sequence[str],
    by: Sequence[str],
    mixed: bool = False,
) -> FrontAnswer:
    """Return the fronts.

    Args:
        wanted: objectives, `NAME` or `NAME:higher|lower`.
        names: experiments, sweeps or runs; empty: all.
        slos: limits, `NAME=V`, `NAME<=V` or `NAME>=V`.
        by: parameters whose values have a front each, beside the workload.
        mixed: compare settings of different workloads too.

    Raises:
        NotInStoreError: an unknown metric, name or parameter; nothing has all objectives.
        UserError: a metric without direction; nothing keeps all limits.
    """
    known = KnownMetrics.read(store)
    objectives = [known.objective(text) for text in wanted]
    limits = [known.limit(text) for text in slos]
    check_names(store, names)
    groups = comparable(store, by, mixed, names)
    query = front_query(objectives, names, groups, limits)
    fronts = setting_fronts(store, query, objectives)
    if not fronts:
        raise NotInStoreError(f"no finished run has all of {', '.join(item.metric for item in objectives)}")
    if not any(front.points for front in fronts):
        broken = sum(front.outside for front in fronts)
        raise UserError(f"no setting keeps all limits ({broken} tried): {', '.join(map(str, limits))}")
    shown = [*by, *(name.removesuffix(".name").rpartition(".")[2] for name in groups[len(by) :])]
    names_of = called((front.kind for front in fronts), groups, names_among(groups, len(by)))
    renamed = [replace(front, kind=names_of[front.kind]) for front in fronts]
    return FrontAnswer(objectives, limits, shown, query, fronts, renamed)
