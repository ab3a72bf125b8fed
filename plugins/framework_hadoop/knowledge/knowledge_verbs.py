"""Verbs over recorded executions: outliers, cost, knowledge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from framework.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from framework_hadoop.executions.execution_files import Executions

File = Annotated[Path, typer.Argument(help="Executions in ALOJA's columns (CSV or .csv.gz).")]
Prices = Annotated[Path, typer.Option(help="Cluster prices (CSV with cluster, cost_per_hour …).")]
Outputs = Annotated[Path, typer.Option(help="Outputs folder.")]
DEFAULT_OUTPUTS = Path("outputs")


def add_verbs(app: typer.Typer) -> None:
    """Add the group `executions`."""
    group = typer.Typer(
        help="Analyse executions of data engines: outliers, cost, effects of knobs.", no_args_is_help=True
    )
    for verb in (outliers, cost, knowledge):
        group.command()(verb)
    app.add_typer(group, name="executions")


def outliers(
    file: Annotated[
        Path | None,
        typer.Argument(help="Executions in ALOJA's columns. Default: the executions in the store."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write every verdict to this CSV file.")] = None,
    ratio: Annotated[
        float,
        typer.Option(help="Smallest ratio of time and prediction (or its inverse) that counts as deviating."),
    ] = 1.75,
    deviations: Annotated[
        float,
        typer.Option(help="Smallest number of local robust standard deviations that counts as deviating."),
    ] = 5.0,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Find executions that took much longer or shorter than similar executions.

    Without a file, the recorded executions in the store are judged, and the verdicts are stored. The views
    `outliers` and `executions` show them; cost and effects leave out outliers.

    Example: python -m framework executions outliers runs.csv --out verdicts.csv
    """
    from collections import Counter

    from framework.report.terminal.terminal_tables import print_note, print_table
    from framework_hadoop.executions.execution_files import read_executions
    from framework_hadoop.executions.outlier_table import outlier_table, write_verdicts
    from framework_hadoop.executions.outliers import OutlierRule, find_outliers

    rule = OutlierRule(ratio=ratio, deviations=deviations)
    if file is None:
        from framework.store.database.ingest import ingest
        from framework.store.database.reader import Store
        from framework_hadoop.executions.stored_executions import judge_stored

        ingest(outputs)
        executions, report, new = judge_stored(Store(outputs), outputs, rule)
        ingest(outputs)
        print_note(
            f"verdicts on {len(executions)} executions " + ("kept" if new else "were in the store already")
        )
    else:
        executions = read_executions(file)
        try:
            report = find_outliers(executions, rule)
        except ValueError as error:
            raise InputError(f"{file}: {error}") from None
    counts = Counter(report.verdict)
    print_table(
        outlier_table(executions, report, f"{counts['outlier']} outliers, {counts['warning']} warnings")
    )
    if out is not None:
        write_verdicts(executions, report, out)
    return 0


def cost(
    file: File,
    prices: Prices,
    benchmark: Annotated[str, typer.Option(help="Benchmark whose configurations are compared.")],
) -> int:
    """Print the cost-time front of a benchmark (medians of repeats with intervals, without outliers).

    Example: python -m framework executions cost runs.csv --prices clusters.csv --benchmark terasort
    """
    import numpy as np

    from framework.report.terminal.terminal_tables import print_note, print_table
    from framework_hadoop.executions.cost import execution_costs_usd, read_price_list
    from framework_hadoop.executions.effectiveness import front_table
    from framework_hadoop.executions.execution_files import read_executions
    from framework_hadoop.executions.execution_sql import file_query
    from framework_hadoop.executions.outliers import trusted

    executions = trusted(read_executions(file))
    costs = execution_costs_usd(executions, read_price_list(prices))
    try:
        table = front_table(file_query(executions, costs), executions, benchmark)
    except ValueError as error:
        raise InputError(
            f"{file}: {error}{did_you_mean(benchmark, _names(executions, 'benchmark'))}"
        ) from None
    print_table(table)
    unpriced = sorted(set(executions.columns["cluster"][~np.isfinite(costs)].tolist()) - {None})
    if unpriced:
        print_note(f"without a price: {', '.join(unpriced)}")
    return 0


def _names(executions: Executions, column: str) -> set[str]:
    return {name for name in executions.columns[column].tolist() if name}


def knowledge(
    file: File,
    benchmark: Annotated[str | None, typer.Option(help="Benchmark to optimise.")] = None,
    cluster: Annotated[str | None, typer.Option(help="Cluster to optimise it for.")] = None,
) -> int:
    """Print a tree of slow and fast executions, the effects of knobs with intervals, and the best configuration.

    Example: python -m framework executions knowledge runs.csv --benchmark terasort --cluster al-03
    """
    from framework.report.terminal.terminal_tables import console, print_table
    from framework_hadoop.executions.effectiveness import effects_table, setting_effects
    from framework_hadoop.executions.execution_files import BY_NAME, read_executions
    from framework_hadoop.executions.execution_sql import file_query
    from framework_hadoop.executions.outliers import trusted
    from framework_hadoop.knowledge.best_configuration import (
        KNOBS,
        best_configurations,
        execution_tree,
        tree_text,
    )

    executions = trusted(read_executions(file))
    console().print("Time relative to the benchmark's median:")
    console().print(tree_text(execution_tree(executions)), markup=False)
    query = file_query(executions)
    effects = setting_effects(query, [f"{BY_NAME[knob].group}.{knob}" for knob in KNOBS], benchmark)
    print_table(effects_table(effects, "Effect of single settings on time"))
    if benchmark and cluster:
        try:
            (best,) = best_configurations(query, executions, benchmark, cluster)
        except ValueError as error:
            hint = did_you_mean(cluster, _names(executions, "cluster"))
            hint = hint or did_you_mean(benchmark, _names(executions, "benchmark"))
            raise InputError(f"{file}: {error}{hint}") from None
        settings = ", ".join(f"{name}={value}" for name, value in best.settings.items())
        console().print(
            f"best of {benchmark} on {cluster}: {settings}: {best.time_s.median:.0f} s "
            f"({best.time_s.low:.0f} to {best.time_s.high:.0f}), from executions {', '.join(best.evidence)}",
            markup=False,
        )
    return 0
