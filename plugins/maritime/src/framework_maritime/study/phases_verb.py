"""`python -m framework phases RUN`: where did a run's behaviour change?"""

from __future__ import annotations

from typing import Annotated

import typer


def phases(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run that holds samples.")],
    series: Annotated[str, typer.Option(help="Series to use, by comma; default: all that change.")] = "",
    method: Annotated[
        str, typer.Option(help="pelt (change points) or crbm (activations, clusters).")
    ] = "pelt",
    most: Annotated[int, typer.Option(min=2, max=20, help="Most different phases.")] = 5,
    outputs: Annotated[str, typer.Option(help="Folder of the store.")] = "outputs",
) -> None:
    """Show where the behaviour of a run changed: its phases, from the samples of any run in the store.

    Example: python -m framework phases 20261128T060000-1a2b3c4d-5e6f70 --series running,power_w
    """
    from framework.errors import InputError
    from framework.report.terminal.terminal_tables import print_table
    from framework.store.database.reader import Store
    from framework_maritime.study.phases_report import phase_table
    from framework_maritime.study.run_phases import run_phases

    names = [name.strip() for name in series.split(",") if name.strip()]
    store = Store(outputs)
    if store.query("SELECT 1 FROM runs WHERE run_id = ?", [run_id]).num_rows == 0:
        raise InputError(f"no run '{run_id}' in {outputs}")
    found = run_phases(store, run_id, names, method, most)
    if found is None:
        of = f" called {', '.join(names)}" if names else ""
        raise InputError(f"run {run_id} holds no series{of} with at least 20 samples that change")
    print_table(phase_table(found))
