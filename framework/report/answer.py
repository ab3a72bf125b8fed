"""What a report opens with: the best setting in words, three numbers, one figure, how sure it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from framework import plugins
from framework.analysis.choice import better_by
from framework.analysis.number_format import format_value
from framework.analysis.objectives import KnownMetrics
from framework.analysis.setting_fronts import front_query, setting_fronts
from framework.contracts import Figure, StoreReader
from framework.errors import NotInStoreError
from framework.report.answer_words import Answer, band, changes, find_answers, how_sure
from framework.report.front_figure import front_figure
from framework.report.run_table import read_parameters

_MOST_NAMED = 500  # settings that the figure names on hover


@dataclass(frozen=True)
class Tile:
    """A number with what it is and how far it may be trusted."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class ReportAnswer:
    """The answer as the page shows it.

    Attributes:
        sentence: what to use.
        sure: whether the others are worse beyond noise.
        tiles: three numbers.
        others: the answers of other models and workloads, one line each.
        changes: what would change the answer.
        command: asks the question again, with limits to be added.
        figure: the settings that had a choice, the answers marked; None where one metric only has a direction.
    """

    sentence: str
    sure: str
    tiles: Sequence[Tile]
    others: Sequence[str]
    changes: Sequence[str]
    command: str
    figure: Figure | None


def read_answer(store: StoreReader, names: Sequence[str], run_ids: Sequence[str]) -> ReportAnswer | None:
    """Return the answer over the runs; None where no metric of theirs has a better direction.

    Raises:
        StoreError: the store can't be read.
    """
    objective = _objective(store, run_ids)
    if objective is None:
        return None
    known = KnownMetrics.read(store)
    try:
        found = find_answers(store, objective, [], None, [], list(run_ids), checked=True)
    except NotInStoreError:  # no finished run has the metric
        return None
    wanted = known.objective(objective)
    answers = sorted(found.answers, key=lambda answer: -wanted.sign * answer.choice.best.values[0].value)
    first = answers[0]
    across = _second(store, run_ids, objective)
    axes = [wanted, *([known.objective(across)] if across else [])]
    fronts = setting_fronts(store, front_query(axes, list(run_ids), found.groups, []), axes)
    kinds = {answer.choice.best.setting: answer.choice.kind for answer in answers}
    fronts = [
        replace(front, kind=kinds[point.setting])
        for front in fronts
        for point in front.points
        if point.setting in kinds
    ]
    runs = [point.run_ids[0] for front in fronts for point in front.points][:_MOST_NAMED]
    chosen = [answer.choice.best.setting for answer in answers]
    verb = "--maximise" if wanted.better == "higher" else "--minimise"
    return ReportAnswer(
        sentence=_sentence(first),
        sure=f"How sure: {how_sure(first)}.",
        tiles=_tiles(first),
        others=[f"{_sentence(answer)} – {how_sure(answer)}" for answer in answers[1:]],
        changes=list(changes(first)),
        command=f"python -m framework advise {verb} {objective}"
        + "".join(f" --from {name}" for name in names),
        figure=front_figure(
            fronts, axes, read_parameters(store, runs), chosen, front_query(axes, names, found.groups, [])
        )
        if fronts and across
        else None,
    )


def _objective(store: StoreReader, run_ids: Sequence[str]) -> str | None:
    """Return the metric that advisors spoke of most, else the first headline metric that has a better direction."""
    advised = store.query(
        "SELECT metric FROM advice WHERE list_has_any(run_ids, ?::VARCHAR[])", [list(run_ids)]
    ).to_pydict()["metric"]
    candidates = [name for name, _ in Counter(advised).most_common()]
    definitions = plugins.metric_definitions()
    candidates += [name for name, item in definitions.items() if item.headline]
    candidates += [name for name, item in definitions.items() if item.better == "higher"]
    there = _measured(store, run_ids)
    return next(
        (n for n in candidates if n in there and n in definitions and definitions[n].better != "none"), None
    )


def _second(store: StoreReader, run_ids: Sequence[str], objective: str) -> str | None:
    """Return what is paid for the objective: the first headline metric of which less is better, else any such."""
    definitions, there = plugins.metric_definitions(), _measured(store, run_ids)
    lower = [n for n, item in definitions.items() if item.better == "lower" and n in there and n != objective]
    return next((name for name in lower if definitions[name].headline), lower[0] if lower else None)


def _measured(store: StoreReader, run_ids: Sequence[str]) -> set[str]:
    found = store.query(
        "SELECT DISTINCT name FROM metrics WHERE value IS NOT NULL AND run_id IN (SELECT unnest(?::VARCHAR[]))",
        [list(run_ids)],
    )
    return set(found.to_pydict()["name"])


def _sentence(answer: Answer) -> str:
    best, objective = answer.choice.best, answer.objective
    value = best.values[0]
    unit = f" {objective.unit}" if objective.unit else ""
    head = f"{', '.join(answer.choice.kind)}: " if answer.choice.kind else ""
    verb = "highest" if objective.better == "higher" else "lowest"
    return (
        f"{head}{answer.label(best)} gives the {verb} {objective.metric}, "
        f"{format_value(value.value, objective.unit)}{unit} ({band(value, objective.unit)})"
    )


def _tiles(answer: Answer) -> list[Tile]:
    choice, objective = answer.choice, answer.objective
    value = choice.best.values[0]
    unit = f" {objective.unit}" if objective.unit else ""
    tiles = [
        Tile(
            objective.metric,
            f"{format_value(value.value, objective.unit)}{unit}",
            f"{band(value, objective.unit)}, n = {len(choice.best.run_ids)}",
        )
    ]
    if choice.second is not None:
        margin = better_by(objective, value, choice.second.values[0])
        if margin is not None:
            low, high = margin.interval()
            note = f"{100 * low:.1f} to {100 * high:.1f} %"
            tiles.append(Tile("better than the next", f"{100 * margin.value:.1f} %", note))
    tiles.append(
        Tile(
            "as good within the noise",
            str(len(choice.as_good)),
            f"of {len(choice.ranked) - 1} other settings",
        )
    )
    return tiles
