"""The `calibrate` command: fit profiles to tables of measured runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from framework_twin.measured_runs import BadRow, MeasuredRun
    from framework_twin.profile import TwinProfile


def run_calibrate(
    sources: Sequence[str], out: Path, cross_validate: bool = False, outputs: str = "outputs"
) -> int:
    """Fit one profile for each model, GPU and engine in the sources; write them to the folder `out`.

    A source is a table of measured runs or, where no such file exists, an experiment in the store of `outputs`.

    With `cross_validate`, every family of runs is also left out in turn, which gives held-out errors and
    prediction intervals and takes longer. Returns 0 when at least one profile was written. Raises
    `InputError` for a table that can't be read, `UserError` when SciPy is missing.
    """
    from rich.console import Console

    from framework_twin.cross_validation import fit_group
    from framework_twin.profile import find_profile, write_profile
    from framework_twin.profile_fit import ProfileLabel, fit_profile

    console = Console(stderr=True)
    groups: dict[tuple[str, str, str, str], list[MeasuredRun]] = {}
    for source in sources:
        runs, bad = _read(source, outputs)
        for row in bad:
            console.print(f"{source}: row {row.row} ({row.run_id}) left out: {row.reason}", markup=False)
        for run in runs:
            groups.setdefault(fit_group(run.setup), []).append(run)
    written = 0
    for (model, gpu, generation, engine), runs in sorted(groups.items()):
        name = "_".join(filter(None, (model, gpu.lower(), generation, engine.split(" ")[-1])))
        if not any(run.clean for run in runs):
            console.print(f"{name}: no clean run, no profile", markup=False)
            continue
        shipped = find_profile(model, gpu, generation, engine=engine)
        label = ProfileLabel(name, (model,), engine=engine, loads=shipped.loads if shipped else None)
        with console.status(f"fitting {name} to {len(runs)} runs"):
            profile = fit_profile(label, runs, leave_families_out=cross_validate)
        path = out / f"{name}.yaml"
        write_profile(profile, path)
        written += 1
        _print_fit(Console(), profile, path)
    return 0 if written else 1


def _read(source: str, outputs: str) -> tuple[list[MeasuredRun], list[BadRow]]:
    from framework.store.database import Store
    from framework_twin.measured_runs import read_measured_runs
    from framework_twin.stored_runs import stored_runs

    if Path(source).exists() or Path(source).suffix in (".csv", ".gz"):
        return read_measured_runs(Path(source))
    return stored_runs(Store(outputs), source)


def _print_fit(console: Console, profile: TwinProfile, path: Path) -> None:
    """Print the median absolute percentage errors of one profile."""
    from rich.table import Table

    table = Table(title=f"{path}: {profile.fit.runs} runs", title_justify="left")
    table.add_column("metric")
    table.add_column("in-sample %", justify="right")
    table.add_column("held out %", justify="right")
    for metric, error in profile.fit.in_sample.items():
        left_out = profile.fit.held_out.get(metric)
        table.add_row(metric, f"{error:.2f}", "–" if left_out is None else f"{left_out:.2f}")
    console.print(table)
