"""The verb `report`."""

from __future__ import annotations

from pathlib import Path

from framework.report.html.file_links import linked_files
from framework.report.html.page import render_report, save_report
from framework.report.number_format import count_noun
from framework.report.scope import folder_name, select_runs
from framework.report.terminal.console import console, error_console
from framework.store.views.definitions_view import mixed_definitions


def run_report(experiment: str | None, out: Path | None, outputs: Path) -> int:
    """Write the report of an experiment and print its path.

    Args:
        experiment: name of an experiment or id of a sweep; the experiment that was run last if None.
        out: folder for `report.html`; `reports/<experiment>` in the outputs folder if None.
        outputs: the outputs folder with the store.

    Returns:
        Exit status: 0, or 1 when a plugin's section is missing from the report.

    Raises:
        UserError: no such experiment, or the folder can't be written.
    """
    from framework.store.database.reader import Store

    store = Store(outputs)
    chosen = select_runs(store, outputs, experiment)
    scope = chosen.scope
    notes = []
    mixed = mixed_definitions(store, scope.run_ids)
    if mixed is not None:
        notes.append(f"Warning: {mixed}.")
    if chosen.left_out:
        notes.append(
            f"{count_noun(chosen.left_out, 'run')} of this experiment from other sweeps (other settings) "
            "are not shown; give a sweep's id instead of the experiment's name to see that sweep."
        )
    folder = out or outputs / "reports" / folder_name(scope.experiment)
    report = render_report(scope, notes, linked_files(scope, outputs, folder))
    file = save_report(report, folder)
    for problem in report.problems:
        error_console().print(f"report: {problem}", markup=False, soft_wrap=True)
    console().print(
        f"{file} · {count_noun(len(scope.run_ids), 'run')} of {scope.experiment}",
        markup=False,
        soft_wrap=True,
    )
    return 1 if report.problems else 0
