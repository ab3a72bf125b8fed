"""The `validate` command: read a table of measured runs, predict it, show and write the errors."""

from __future__ import annotations

from pathlib import Path


def run_validate(
    source: str, out: Path | None, json_path: Path | None, cross_validate: bool, outputs: str = "outputs"
) -> int:
    """Validate the twin against measured runs; return the exit status.

    `source` is a table of measured runs or, where no such file exists, an experiment or run in the store of
    `outputs`: imported ones, or those of a real engine. Runs of the store are also shown one by one.

    Writes predictions to `out` (CSV) and the summary to `json_path`, where given. The status is 0 when at
    least one row could be predicted. Raises `InputError` for a table that can't be read, or a name that is none.
    """
    from rich.console import Console

    from framework.errors import InputError
    from framework.report.terminal.progress_bars import progress_bar
    from framework.report.terminal.terminal_tables import print_table
    from framework.store.database.reader import Store
    from framework_twin.calibration.cross_validation import cross_validate as leave_families_out
    from framework_twin.measured.measured_runs import read_measured_runs
    from framework_twin.measured.published_table import is_published_table
    from framework_twin.measured.stored_runs import stored_runs
    from framework_twin.validation.published_validation import run_published
    from framework_twin.validation.run_by_run import figures_table
    from framework_twin.validation.validate import validate_runs
    from framework_twin.validation.validation_report import print_report, write_predictions, write_summary

    file = Path(source)
    stored = not (file.exists() or file.suffix in (".csv", ".gz"))
    if not stored and is_published_table(file):
        if cross_validate:
            raise InputError(f"{file}: --cross-validate refits profiles; this table has runs of no profile")
        return run_published(file, out, json_path)
    runs, bad = stored_runs(Store(outputs), source) if stored else read_measured_runs(file)
    with progress_bar("predicting runs") as show:
        report = validate_runs(runs, bad, progress=show)
    crossed = None
    if cross_validate:
        with progress_bar("refitting without each family") as show:
            crossed = leave_families_out(runs, progress=show)
    if out is not None:
        write_predictions(report, out)
    if json_path is not None:
        write_summary(report, crossed, json_path)
    if stored:
        print_table(figures_table(runs, report.rows))
    print_report(Console(), report, crossed)
    return 0 if report.rows else 1
