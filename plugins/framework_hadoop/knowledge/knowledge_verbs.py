"""Verbs over recorded executions: outliers, cost, best within limits, knowledge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from framework.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framework_hadoop.executions.effectiveness import Query
    from framework_hadoop.executions.execution_table import Executions

File = Annotated[Path, typer.Argument(help="Executions in ALOJA's columns (CSV or .csv.gz).")]
Outputs = Annotated[Path, typer.Option(help="Outputs folder.")]
DEFAULT_OUTPUTS = Path("outputs")


def add_verbs(app: typer.Typer) -> None:
    """Add the group `executions`."""
    group = typer.Typer(
        help="Analyse executions of data engines: outliers, cost, effects of knobs.", no_args_is_help=True
    )
    for verb in (outliers, cost, best, knowledge):
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
    benchmark: Annotated[str, typer.Option(help="Benchmark whose configurations are compared.")],
    file: Annotated[
        Path | None,
        typer.Argument(help="Executions in ALOJA's columns. Default: the executions in the store."),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(help="Cluster prices of FILE (CSV with cluster, cost_per_hour …, valid_on, source)."),
    ] = None,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Print the cost-time front of a benchmark (medians of repeats with intervals, without outliers).

    Example: python -m framework executions cost runs.csv --prices clusters.csv --benchmark terasort
    """
    if file is None:
        return _stored_front(benchmark, outputs)
    if prices is None:
        raise InputError(f"{file}: costs need the clusters' prices: --prices FILE")
    import numpy as np

    from framework.report.terminal.terminal_tables import print_note, print_table
    from framework_hadoop.executions.cost import execution_costs_usd, price_facts, read_price_list
    from framework_hadoop.executions.effectiveness import front_table
    from framework_hadoop.executions.execution_files import read_executions
    from framework_hadoop.executions.execution_sql import file_query
    from framework_hadoop.executions.outliers import trusted

    executions = trusted(read_executions(file))
    listed = read_price_list(prices)
    costs, facts = execution_costs_usd(executions, listed), price_facts(executions, listed)
    try:
        table = front_table(file_query(executions, costs, facts.leaves_out), executions, benchmark)
    except ValueError as error:
        raise InputError(
            f"{file}: {error}{did_you_mean(benchmark, _names(executions, 'benchmark'))}"
        ) from None
    print_table(table)
    unpriced = sorted(set(executions.columns["cluster"][~np.isfinite(costs)].tolist()) - {None})
    if unpriced:
        print_note(f"without a price: {', '.join(unpriced)}")
    undated = sorted(
        name
        for name, found in listed.items()
        if any(price.per_hour and not price.valid_on for price in found)
    )
    if undated:
        print_note(f"prices without a day (column 'valid_on'): {', '.join(undated)}")
    return 0


def _stored_front(benchmark: str, outputs: Path) -> int:
    """Print the cost-time front of a benchmark's executions in the store."""
    query = _stored(outputs)
    figures = ("time_s", "time_low", "time_high", "cost_usd", "cost_low", "cost_high", "cost_leaves_out")
    rows = query(
        f"SELECT experiment, run_id, cluster, repeats, {', '.join(figures)} FROM cost_time_front(benchmark := ?) "
        "WHERE cost_usd IS NOT NULL",
        [benchmark],
    )
    if not rows:
        raise InputError(
            f"no execution of '{benchmark}' has both a time and a price{_other(query, benchmark)}"
        )
    _print_configurations(query, f"{benchmark}: cost-time front", ("cluster", "repeats", *figures), rows)
    return 0


def best(
    budget: Annotated[
        float | None, typer.Option(help="Most that one execution may cost, in US dollars.")
    ] = None,
    deadline: Annotated[float | None, typer.Option(help="Most time that it may take, in seconds.")] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="The only benchmark. Default: all of the store.")
    ] = None,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Print the fastest and the cheapest configuration of each benchmark within a budget and a deadline.

    A configuration keeps a limit if the upper end of its interval does. One without a price keeps no budget.

    Example: python -m framework executions best --benchmark terasort --budget 1.5 --deadline 1800
    """
    for name, limit in (("budget", budget), ("deadline", deadline)):
        if limit is not None and not 0 < limit < float("inf"):
            raise InputError(f"--{name} {limit:g}: must be a positive number")
    query = _stored(outputs)
    figures = ("time_s", "time_low", "time_high", "cost_usd", "cost_low", "cost_high", "cost_leaves_out")
    rows = query(
        f"SELECT experiment, run_id, goal, benchmark, cluster, repeats, {', '.join(figures)} "
        "FROM best_within(budget_usd := ?, deadline_s := ?, benchmark := ?)",
        [budget, deadline, benchmark],
    )
    if not rows:
        counted = query(
            "SELECT count(*), count(cost_usd), min(time_high), min(cost_high) FROM configuration_times "
            "WHERE benchmark = coalesce(?, benchmark)",
            [benchmark],
        )[0]
        if not counted[0]:
            raise InputError(f"no execution of '{benchmark}' in {outputs}{_other(query, str(benchmark))}")
        least = "" if counted[3] is None else f", the cheapest costs up to {counted[3]:.3g} USD"
        raise InputError(
            f"none of {counted[0]} configurations ({counted[1]} with a price) is within the limits for certain: the "
            f"fastest takes up to {counted[2]:.0f} s{least}"
        )
    _print_configurations(
        query, "best within the limits", ("goal", "benchmark", "cluster", "repeats", *figures), rows
    )
    return 0


def _stored(outputs: Path) -> Query:
    """Return what answers SQL over the store, its newest bundles included."""
    from framework.store.database.ingest import ingest
    from framework.store.database.reader import Store

    ingest(outputs)
    store = Store(outputs)
    return lambda statement, parameters: store.rows(statement, list(parameters))[1]


def _other(query: Query, benchmark: str) -> str:
    names = query("SELECT DISTINCT benchmark FROM executions WHERE benchmark IS NOT NULL", [])
    return did_you_mean(benchmark, [str(row[0]) for row in names])


def _print_configurations(
    query: Query, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Print rows of (experiment, run, columns …) with what is set otherwise than usual in each."""
    from framework.contracts import TableBlock
    from framework.report.terminal.terminal_tables import print_note, print_table
    from framework_hadoop.knowledge.stored_report.execution_figures import settings_of

    for experiment in dict.fromkeys(row[0] for row in rows):
        own = [row for row in rows if row[0] == experiment]
        settings = settings_of(query, experiment, [row[1] for row in own])
        shown = [(*row[2:], settings.otherwise.get(row[1], "usual")) for row in own]
        print_table(TableBlock(f"{experiment}: {title}", (*columns, "settings"), shown))
        print_note(f"usual settings: {settings.usual}")


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
    from framework_hadoop.executions.execution_files import read_executions
    from framework_hadoop.executions.execution_sql import file_query
    from framework_hadoop.executions.execution_table import BY_NAME
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
