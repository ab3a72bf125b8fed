"""The `validate` command: read a table of measured runs, predict it, show and write the errors."""

from __future__ import annotations

from pathlib import Path


def run_validate(file: Path, out: Path | None, json_path: Path | None, cross_validate: bool) -> int:
    """Validate the twin against `file`; return the exit status.

    Writes predictions to `out` (CSV) and the summary to `json_path`, where given. The status is 0 when at
    least one row could be predicted. Raises `InputError` for a table that can't be read.
    """
    from rich.console import Console

    from framework_twin.calibration.cross_validation import cross_validate as leave_families_out
    from framework_twin.measured.measured_runs import read_measured_runs
    from framework_twin.validation.validate import validate_runs
    from framework_twin.validation.validation_report import print_report, write_predictions, write_summary

    runs, bad = read_measured_runs(file)
    with _Bar("predicting runs") as bar:
        report = validate_runs(runs, bad, progress=bar.update)
    crossed = None
    if cross_validate:
        with _Bar("refitting without each family") as bar:
            crossed = leave_families_out(runs, progress=bar.update)
    if out is not None:
        write_predictions(report, out)
    if json_path is not None:
        write_summary(report, crossed, json_path)
    print_report(Console(), report, crossed)
    return 0 if report.rows else 1


class _Bar:
    """A Rich progress bar on stderr that is driven by (done, total)."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._progress = Progress(console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(title, total=None)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        self._progress.update(self._task, completed=done, total=total)
