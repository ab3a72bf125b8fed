"""The `calibrate` command: fit profiles to tables of measured runs and to experiments in the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framework_twin.calibration.run_groups import Fitted, Measurements


def run_calibrate(
    sources: Sequence[str], out: Path | None, cross_validate: bool = False, outputs: str = "outputs"
) -> int:
    """Fit one profile for each model, GPU and engine in the sources; write them to the folder `out`.

    A source is a table of measured runs or, where no such file exists, an experiment in the store of `outputs`.
    Without `out` the profiles go to where the twin looks for the user's own: `profiles` below `outputs`.

    With `cross_validate`, every family of runs is also left out in turn, which gives held-out errors and
    prediction intervals and takes longer. Returns 0 when at least one profile was written. Raises
    `InputError` for a table that can't be read, `UserError` when SciPy is missing.
    """
    from rich.console import Console

    from framework.report.terminal.progress_bars import progress_bar
    from framework_twin.calibration.run_groups import Measurements, fit_groups

    console = Console(stderr=True)
    everything = Measurements()
    for source in sources:
        found = _read(source, outputs)
        for row in found.bad:
            console.print(f"{source}: row {row.row} ({row.run_id}) left out: {row.reason}", markup=False)
        everything.runs += found.runs
        everything.steps += found.steps
    folder = Path(outputs) / "profiles" if out is None else out
    written = 0
    with progress_bar(f"fitting {len(everything.runs)} runs and {len(everything.steps)} series of steps"):
        for fitted in fit_groups(everything, folder, leave_families_out=cross_validate):
            if isinstance(fitted, str):
                console.print(fitted, markup=False)
            else:
                written += 1
                _print_fit(fitted)
    return 0 if written else 1


def _read(source: str, outputs: str) -> Measurements:
    from framework.store.database.reader import Store
    from framework_twin.calibration.run_groups import measurements_in, measurements_of

    if Path(source).exists() or Path(source).suffix in (".csv", ".gz"):
        return measurements_in(Path(source))
    return measurements_of(Store(outputs), source)


def _print_fit(fitted: Fitted) -> None:
    """Print the median absolute percentage errors of one profile."""
    from framework.contracts import TableBlock
    from framework.report.terminal.terminal_tables import print_table

    fit = fitted.profile.fit
    rows = [(metric, error, fit.held_out.get(metric)) for metric, error in fit.in_sample.items()]
    title = f"{fitted.path}: {fit.runs} runs"
    print_table(TableBlock(title, ("metric", "in-sample %", "held out %"), rows))
