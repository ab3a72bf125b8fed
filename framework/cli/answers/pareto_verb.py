"""The verb `pareto`: the settings that nothing beats, beyond noise, in any number of objectives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    pass


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
    from framework.analysis.front_question import ask_fronts
    from framework.cli.answers.answer_files import check_suffix, write_answer
    from framework.report.front_table import front_notes, front_table, telling_apart
    from framework.report.run_table import read_parameters
    from framework.report.series_colours import store_colours
    from framework.report.terminal.terminal_tables import print_note, print_table
    from framework.store.database.reader import Store

    check_suffix(out)
    store = Store(outputs)
    asked = ask_fronts(store, wanted, names, slos, by, mixed)
    fronts = asked.fronts
    listed = [point for front in fronts for point in (front.points if everything else front.members)]
    candidates = [point.run_ids[0] for front in fronts for point in front.points]
    runs = [point.run_ids[0] for point in listed]
    parameters = read_parameters(store, candidates[:_MOST_COMPARED])
    varying, same = telling_apart(parameters, runs)
    print_table(front_table(fronts, asked.objectives, asked.by, varying, everything))
    if same:
        print_note(f"all of them: {same}")
    for line in front_notes(asked.called):
        print_note(line)
    print_note(f'the same in SQL: python -m framework sql "{asked.query}"')
    if out is not None:
        write_answer(out, asked, parameters, store_colours(store))
        print_note(f"written to {out}")
    return 0
