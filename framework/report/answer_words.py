"""An answer in words: the setting first, then what it gives, what it beats, how sure that is, what changes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from framework.analysis import choice as choices
from framework.analysis.choice import Choice
from framework.analysis.number_format import count_noun, format_value
from framework.analysis.objectives import (
    KnownMetrics,
    Limit,
    Objective,
    check_names,
    comparable,
    full_parameters,
)
from framework.analysis.setting_fronts import (
    SettingPoint,
    called,
    front_query,
    names_among,
    read_points,
)
from framework.contracts import StoreReader
from framework.errors import NotInStoreError, UserError
from framework.quantity import Quantity
from framework.report.run_table import read_parameters

_MOST_COMPARED = 500  # settings whose parameters are read to name them


@dataclass(frozen=True)
class Answer:
    """What was asked, what was found, and how its settings are called.

    Attributes:
        parameters: full name → run → value, of what distinguishes the settings.
    """

    objective: Objective
    limits: Sequence[Limit]
    choice: Choice
    parameters: Mapping[str, Mapping[str, str]]

    def label(self, point: SettingPoint) -> str:
        """Return what distinguishes a setting from the best one (of the best: everything that was varied)."""
        own, best = point.run_ids[0], self.choice.best.run_ids[0]
        items = [
            f"{name.removesuffix('.name').split('.')[-1]}={values.get(own, '–')}"
            for name, values in self.parameters.items()
            if point is self.choice.best or values.get(own) != values.get(best)
        ]
        return ", ".join(items) or "the only setting"


@dataclass(frozen=True)
class Found:
    """What there is to answer.

    Attributes:
        query: the SQL behind the answers.
        groups: the parameters that have an answer for each of their values: those asked for, the model where there
            are several, the workload with its loads.
        without: why a model, workload or value has no answer, one line each.
    """

    answers: list[Answer]
    query: str
    groups: Sequence[str]
    without: Sequence[str]


def find_answers(
    store: StoreReader,
    objective: str,
    slos: Sequence[str],
    per: str | None,
    by: Sequence[str],
    names: Sequence[str],
    mixed: bool = False,
    mixed_models: bool = False,
    checked: bool = False,
) -> Found:
    """Return an answer for each model, workload and value of `by`.

    Args:
        objective, slos: as people write them.
        per: number in the configuration by which the objective is divided.
        by: parameters of which each value has an answer.
        names: experiments, sweeps or runs; empty: all.
        mixed, mixed_models: compare settings of different workloads, of different models, too.
        checked: the names are known to be there.

    Raises:
        NotInStoreError: an unknown metric, parameter or name; no run has all metrics.
        UserError: nothing keeps the limits.
    """
    known = KnownMetrics.read(store)
    wanted = known.objective(objective)
    limits = [known.limit(text) for text in slos]
    if not checked:
        check_names(store, names)
    axes = [
        wanted,
        *(Objective(limit.metric, "higher" if limit.most is None else "lower") for limit in limits),
    ]
    groups = comparable(store, by, mixed, names, mixed_models)
    query = front_query(axes, names, groups, limits)
    points, named = read_points(store, query), names_among(groups, len(by))
    kinds = called((point.kind for point in points), groups, named)
    points = [replace(point, kind=kinds[point.kind]) for point in points]
    if not points:
        metrics = ", ".join(dict.fromkeys(item.metric for item in axes))
        raise NotInStoreError(f"no finished run has all of {metrics}")
    if per:
        points = _divided(store, points, per)
        wanted = replace(wanted, metric=f"{wanted.metric} per {per}")
    points = _with_a_choice(points, named)
    found = choices.choose(points, wanted)
    if not found:
        raise UserError(_nothing(points, limits))
    answers = []
    for item in found:
        runs = [point.run_ids[0] for point in (*item.ranked, *item.outside)][:_MOST_COMPARED]
        answers.append(Answer(wanted, limits, item, read_parameters(store, runs, full=True)))
    answered = {item.kind for item in found}
    without: dict[tuple[str, ...], list[SettingPoint]] = {}
    for point in points:
        if point.kind not in answered:
            without.setdefault(point.kind, []).append(point)
    return Found(
        answers, query, groups, [f"{', '.join(k)}: {_nothing(p, limits)}" for k, p in without.items()]
    )


def _with_a_choice(points: Sequence[SettingPoint], named: int) -> list[SettingPoint]:
    """Return the points without the loads that were run with one setting only, where others had a choice.

    `named`: how many names a question has; what is behind them is a load.
    """
    settings = Counter(point.kind for point in points)
    if max(settings.values()) == 1:
        return list(points)
    return [point for point in points if settings[point.kind] > 1 or len(point.kind) <= named]


def answer_lines(answer: Answer) -> Iterator[str]:
    """Yield the answer in words, the setting first."""
    choice, objective = answer.choice, answer.objective
    best, unit = choice.best, f" {objective.unit}" if objective.unit else ""
    value = best.values[0]
    head = f"{', '.join(choice.kind)}: " if choice.kind else ""
    yield f"{head}use {answer.label(best)}"
    yield (
        f"  gives   {objective.metric} {format_value(value.value, objective.unit)}{unit} "
        f"({band(value, objective.unit)}; {count_noun(len(best.run_ids), 'run')}, band from {best.basis[0]})"
    )
    for limit, found, certain in choices.margins(choice, answer.limits):
        doubt = "" if certain else "  – the band crosses the limit, so it may be missed"
        yield f"  keeps   {limit} with {format_value(found.value)} ({band(found)}){doubt}"
    yield f"  beats   {_beaten(answer)}"
    yield f"  sure    {how_sure(answer)}"
    for line in changes(answer):
        yield f"  changes {line}"


def how_sure(answer: Answer) -> str:
    """Return in a sentence whether the others are worse beyond noise, and the limits kept for certain."""
    ties = answer.choice.as_good
    missed = [limit for limit, _, certain in choices.margins(answer.choice, answer.limits) if not certain]
    if len(answer.choice.ranked) == 1:
        text = "no other setting keeps the limits" if answer.limits else "there is no other setting"
    elif ties:
        text = f"{count_noun(len(ties), 'other setting')} as good within the noise, "
        text += f"the nearest: {answer.label(ties[0])}"
    else:
        text = "better than every other setting beyond the bands of both"
    return text + (f"; {', '.join(map(str, missed))} not certain" if missed else "")


def _beaten(answer: Answer) -> str:
    choice, second = answer.choice, answer.choice.second
    total, outside = len(choice.ranked) - 1, len(choice.outside)
    text = count_noun(total, "other setting")
    if second is not None:
        margin = choices.better_by(answer.objective, choice.best.values[0], second.values[0])
        if margin is not None:
            text += f", the next ({answer.label(second)}) by {_percent(margin)}"
    return text + (f"; {count_noun(outside, 'setting')} outside the limits" if outside else "")


def _percent(value: Quantity) -> str:
    low, high = value.interval()
    return f"{100 * value.value:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"


def changes(answer: Answer) -> Iterator[str]:
    """Yield what would change the answer: weaker and tighter limits, and the edge of what was run."""
    for item in choices.relaxations(answer.choice, answer.objective, answer.limits):
        sign = "≤" if item.limit.least is None else "≥"
        yield (
            f"a limit {item.limit.metric} {sign} {format_value(item.needed)} would allow "
            f"{answer.label(item.point)}: {100 * item.gain:+.1f} %"
        )
    for limit, found, _ in choices.margins(answer.choice, answer.limits):
        bound = found.value
        second = next((p for p in answer.choice.ranked[1:] if _keeps_more(p, answer, limit, bound)), None)
        word = "below" if limit.least is None else "above"
        then = f"then {answer.label(second)}" if second is not None else "then nothing that was run is left"
        yield f"a limit on {limit.metric} {word} {format_value(bound)} rules this out: {then}"
    settings = {
        name: values for name, values in answer.parameters.items() if name.split(".")[0] != "workload"
    }
    for name, value, end in choices.at_the_edge(answer.choice, settings):
        yield f"{name}={value:g} is the {end} that was run: beyond it may be better"


def _keeps_more(point: SettingPoint, answer: Answer, limit: Limit, bound: float) -> bool:
    value = point.values[1 + list(answer.limits).index(limit)].value
    return value < bound if limit.least is None else value > bound


def band(value: Quantity, unit: str = "") -> str:
    """Return the band around a value as text; `unit` as for `format_value`."""
    low, high = value.interval()
    return f"{format_value(low, unit)} to {format_value(high, unit)}"


def _divided(store: StoreReader, points: Sequence[SettingPoint], per: str) -> list[SettingPoint]:
    """Return the points with the objective divided by a number that the configuration states; 1 where it is unset."""
    (name,) = full_parameters(store, [per if per.endswith("s") else f"{per}s"])
    rows = store.query("SELECT run_id, value FROM params WHERE name = ?", [name]).to_pylist()
    counts: dict[str, float] = {}
    for row in rows:
        try:
            counts[row["run_id"]] = 1.0 if row["value"] in (None, "null") else float(row["value"])
        except ValueError:
            raise UserError(f"--per {per}: {name}={row['value']} is not a number") from None
    divided = []
    for point in points:
        count = counts.get(point.run_ids[0], 1.0)
        first = point.values[0]
        low, high = first.interval()
        divided.append(
            replace(
                point, values=(Quantity(first.value / count, low / count, high / count), *point.values[1:])
            )
        )
    return divided


def _nothing(points: Sequence[SettingPoint], limits: Sequence[Limit]) -> str:
    """Return that no setting keeps the limits, and the closest each limit was met."""
    closest = []
    for place, limit in enumerate(limits, start=1):
        values = [point.values[place].value for point in points]
        closest.append(f"{limit} (best: {format_value(min(values) if limit.least is None else max(values))})")
    return f"no setting keeps all limits ({len(points)} tried): {', '.join(closest)}"
