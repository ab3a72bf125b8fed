"""The verb `report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from framework.analysis.number_format import count_noun
from framework.report.comparison import compare_tables
from framework.report.html.file_links import linked_files
from framework.report.html.page import render_report, save_report
from framework.report.scope import folder_name, select_runs, select_several
from framework.report.terminal.console import console, error_console
from framework.store.views.definitions_view import mixed_definitions


def run_report(names: Sequence[str], out: Path | None, outputs: Path) -> int:
    """Write the report of an experiment, or across several, and print its path.

    Args:
        names: experiments or ids of sweeps, the first two of them compared; empty: the experiment that was run last.
        out: folder for `report.html`; `reports/<experiment>` in the outputs folder if None.
        outputs: the outputs folder with the store.

    Returns:
        Exit status: 0, or 1 when a plugin's section is missing from the report.

    Raises:
        UserError: no such experiment, or the folder can't be written.
    """
    from framework.store.database.reader import Store

    store = Store(outputs)
    several = len(names) > 1
    chosen = (
        select_several(store, outputs, names)
        if several
        else select_runs(store, outputs, next(iter(names), None))
    )
    scope = chosen.scope
    notes = []
    mixed = mixed_definitions(store, scope.run_ids)
    if mixed is not None:
        notes.append(f"Warning: {mixed}.")
    if chosen.left_out:
        those = "these experiments" if several else "this experiment"
        notes.append(
            f"{count_noun(chosen.left_out, 'run')} of {those} from other sweeps (other settings) are not shown; "
            "give a sweep's id instead of the experiment's name to see that sweep."
        )
    folder = out or outputs / "reports" / folder_name(scope.experiment)
    compared = compare_tables(store, names[0], names[1]) if several else []
    report = render_report(
        scope,
        notes,
        linked_files(scope, outputs, folder),
        names=names if several else [scope.experiment],
        compared=compared,
    )
    file = save_report(report, folder)
    for problem in report.problems:
        error_console().print(f"report: {problem}", markup=False, soft_wrap=True)
    console().print(
        f"{file} · {count_noun(len(scope.run_ids), 'run')} of {scope.experiment}",
        markup=False,
        soft_wrap=True,
    )
    return 1 if report.problems else 0
