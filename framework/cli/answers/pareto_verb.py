"""The verb `pareto`: the settings that nothing beats, beyond noise, in any number of objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from framework.analysis.objectives import Objective
    from framework.analysis.setting_fronts import SettingFront
    from framework.contracts import TableBlock


_MOST_COMPARED = 2000  # runs whose parameters are read to tell the settings apart


def pareto(
    objectives: Annotated[
        list[str],
        typer.Argument(metavar="METRIC...", help="Objectives: NAME, or NAME:higher, NAME:lower."),
    ],
    source: Annotated[
        list[str] | None,
        typer.Option("--from", help="Experiment, sweep or run; may be repeated. Default: all runs."),
    ] = None,
    slo: Annotated[
        list[str] | None,
        typer.Option(help="Limit: NAME=V (on the worse side), 'NAME<=V' or 'NAME>=V'; may be repeated."),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Parameter whose values have a front each, e.g. model; may be repeated."),
    ] = None,
    mix_workloads: Annotated[
        bool, typer.Option("--mix-workloads", help="Compare settings of different workloads too.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="Also list settings that are beaten.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Also write a file: .html (plot), .csv, .json or .parquet.")
    ] = None,
    outputs: Annotated[
        Path, typer.Option(help="Outputs folder with the run bundles and the database.")
    ] = Path("outputs"),
) -> int:
    """List the settings on the Pareto front; one that is beaten only within the noise stays on it.

    Example: python -m framework pareto total_tok_s itl_mean_ms --by model --slo ttft_p99_ms=500 --out front.html
    """
    return run_pareto(objectives, source or [], slo or [], by or [], all_, out, outputs, mix_workloads)


def run_pareto(
    wanted: Sequence[str],
    names: Sequence[str],
    slos: Sequence[str],
    by: Sequence[str],
    everything: bool,
    out: Path | None,
    outputs: Path,
    mixed: bool = False,
) -> int:
    """Print the fronts, and write them to `out`.

    Raises:
        UserError: an unknown metric, name or parameter; a metric without direction; nothing has all objectives.
        StoreError: there is no store, or `out` can't be written.
    """
    from framework.analysis.objectives import KnownMetrics, check_names, comparable
    from framework.analysis.setting_fronts import front_query, setting_fronts
    from framework.cli.answers.answer_files import check_suffix, write_answer
    from framework.errors import UserError
    from framework.report.run_table import read_parameters
    from framework.report.terminal.terminal_tables import print_note, print_table
    from framework.store.database.reader import Store

    check_suffix(out)
    store = Store(outputs)
    known = KnownMetrics.read(store)
    objectives = [known.objective(text) for text in wanted]
    limits = [known.limit(text) for text in slos]
    check_names(store, names)
    groups = comparable(store, by, mixed)
    by = [*by, *(name.removesuffix(".name") for name in groups[len(by) :])]
    query = front_query(objectives, names, groups, limits)
    fronts = setting_fronts(store, query, objectives)
    if not fronts:
        raise UserError(f"no finished run has all of {', '.join(item.metric for item in objectives)}")
    if not any(front.points for front in fronts):
        broken = sum(front.outside for front in fronts)
        raise UserError(f"none of {broken} settings keeps all limits: {', '.join(map(str, limits))}")
    listed = [point for front in fronts for point in (front.points if everything else front.members)]
    candidates = [point.run_ids[0] for front in fronts for point in front.points]
    runs = [point.run_ids[0] for point in listed]
    parameters = read_parameters(store, candidates[:_MOST_COMPARED])
    varying, same = telling_apart(parameters, runs)
    print_table(front_table(fronts, objectives, by, varying, everything))
    if same:
        print_note(f"all of them: {same}")
    for line in front_notes(fronts):
        print_note(line)
    print_note(f'the same in SQL: python -m framework sql "{query}"')
    if out is not None:
        write_answer(out, fronts, objectives, by, parameters, query)
        print_note(f"written to {out}")
    return 0


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
    from framework.contracts import TableBlock
    from framework.report.answer_words import band

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
    shares = [(front.kind, front.volume_share) for front in fronts if front.volume_share is not None]
    if shares:
        texts = [f"{', '.join(kind)} {share:.3f}".strip() for kind, share in shares]
        notes.append(
            "hypervolume, as a share of the box between the worst and the best values: " + "; ".join(texts)
        )
    if outside := sum(front.outside for front in fronts):
        notes.append(f"{outside} more settings break a limit")
    bases = sorted({basis for front in fronts for point in front.members for basis in point.basis})
    notes.append(f"bands from: {', '.join(bases)}; 'within noise': beaten by less than the bands of both")
    return notes
