"""Pareto fronts as a table and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from framework.analysis.number_format import count_noun
from framework.analysis.objectives import Objective
from framework.analysis.setting_fronts import SettingFront
from framework.contracts import TableBlock
from framework.report.answer_words import band


def telling_apart(
    parameters: Mapping[str, Mapping[str, str]], runs: Sequence[str]
) -> tuple[dict[str, Mapping[str, str]], str]:
    """Return the parameters that tell the runs apart, and those that all of them share, as text."""
    varying = {
        name: values for name, values in parameters.items() if len({values.get(run) for run in runs}) > 1
    }
    same = [
        f"{name}={values[runs[0]]}"
        for name, values in parameters.items()
        if name not in varying and runs[0] in values
    ]
    return varying, ", ".join(same)


def front_table(
    fronts: Sequence[SettingFront],
    objectives: Sequence[Objective],
    by: Sequence[str],
    parameters: Mapping[str, Mapping[str, str]],
    everything: bool = False,
) -> TableBlock:
    """Return the settings of all fronts as a table: parameters, each objective with its band, the place."""
    shown = [name for name in parameters if name not in by]
    columns = [*by, *shown]
    for item in objectives:
        columns += [item.metric, "band"]
    rows = []
    for front in fronts:
        for point in front.points if everything else front.members:
            row: list[object] = [*front.kind, *(parameters[name].get(point.run_ids[0]) for name in shown)]
            for value in point.values:
                row += [value.value, band(value)]
            place = "front" if point.on_front else "within noise" if point.maybe_on_front else "beaten"
            rows.append([*row, place + (", knee" if point is front.knee else ""), len(point.run_ids)])
    total = sum(len(front.members) for front in fronts)
    title = f"{total} of {sum(len(front.points) for front in fronts)} settings are on the Pareto front"
    return TableBlock(title, [*columns, "place", "runs"], rows)


def front_notes(fronts: Sequence[SettingFront]) -> list[str]:
    """Return what else is to be known of the fronts: how much they dominate, what breaks a limit."""
    notes = []
    shares = [
        (front.kind, front.volume_share)
        for front in fronts
        if front.volume_share is not None and sum(point.on_front for point in front.points) > 1
    ]
    if shares:
        texts = [": ".join(filter(None, (", ".join(kind), f"{share:.3f}"))) for kind, share in shares]
        notes.append(
            "hypervolume, as a share of the box between the worst and the best values: " + "; ".join(texts)
        )
    if outside := sum(front.outside for front in fronts):
        notes.append(f"{count_noun(outside, 'setting')} outside the limits")
    bases = sorted({basis for front in fronts for point in front.members for basis in point.basis})
    notes.append(f"bands from: {', '.join(bases)}; 'within noise': beaten by less than the bands of both")
    return notes
