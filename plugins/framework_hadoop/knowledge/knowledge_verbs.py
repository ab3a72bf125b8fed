"""Verbs over recorded executions: outliers, cost, knowledge; and the guided study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from framework.errors import ConfigError, InputError, UserError, did_you_mean

if TYPE_CHECKING:
    from framework_hadoop.executions.execution_files import Executions

File = Annotated[Path, typer.Argument(help="Executions in ALOJA's columns (CSV or .csv.gz).")]
Prices = Annotated[Path, typer.Option(help="Cluster prices (CSV with cluster, cost_per_hour …).")]
Outputs = Annotated[Path, typer.Option(help="Outputs folder.")]
DEFAULT_OUTPUTS = Path("outputs")


def add_verbs(app: typer.Typer) -> None:
    """Add the group `executions` and the verb `guide`."""
    group = typer.Typer(
        help="What recorded executions teach: outliers, cost, knowledge.", no_args_is_help=True
    )
    for verb in (outliers, cost, knowledge):
        group.command()(verb)
    app.add_typer(group, name="executions")
    app.command()(guide)


def outliers(
    file: Annotated[
        Path | None, typer.Argument(help="Executions in ALOJA's columns; without it, those in the store.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write every verdict to this CSV file.")] = None,
    ratio: Annotated[float, typer.Option(help="Least factor between time and expectation.")] = 1.75,
    deviations: Annotated[float, typer.Option(help="Least number of local robust deviations.")] = 5.0,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Flag executions that took much longer or shorter than runs like them.

    Without a file, the recorded executions in the store are judged, and the verdicts kept there: views `outliers`
    and `executions` show them, and cost and effects leave out whom not to trust.

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
    benchmark: Annotated[str, typer.Option(help="The benchmark to compare configurations of.")],
) -> int:
    """Show the cost-time front of a benchmark: medians over repeats, with intervals, outliers left out.

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
    benchmark: Annotated[str | None, typer.Option(help="Best configuration of this benchmark …")] = None,
    cluster: Annotated[str | None, typer.Option(help="… on this cluster.")] = None,
) -> int:
    """Tell what matters: a small tree, the effect of each knob with its interval, the best configuration.

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
    console().print("time over the benchmark's median:")
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


def guide(
    metric: Annotated[str, typer.Argument(help="What a run is made for; a positive metric.")],
    axes: Annotated[list[str], typer.Argument(help="key=a,b,c of every knob to explore.")],
    base: Annotated[list[str] | None, typer.Option(help="Override that every run has; repeat it.")] = None,
    budget: Annotated[int, typer.Option(help="Runs in all, those already there included.")] = 100,
    batch: Annotated[int, typer.Option(help="Runs between two looks at the results.")] = 10,
    method: Annotated[str, typer.Option(help="guided, medoids or random")] = "guided",
    experiment: Annotated[str, typer.Option(help="Experiment file of one run.")] = "guided_benchmarking",
    run: Annotated[bool, typer.Option(help="Make the runs; else only show the next batch.")] = False,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Choose the next runs of a study, those after which the least is unknown, and make them within a budget.

    Example: python -m framework guide exe_time_s workload=wordcount,sort backend.io_sort_mb=8,32,128
    --budget 20 --run
    """
    from framework.report.terminal.terminal_tables import print_note
    from framework.store.database.ingest import ingest
    from framework.store.database.reader import Store
    from framework.sweep.guided import GuidedStudy, Proposal, carry_out, propose, run_in_process_of_its_own

    if method not in ("guided", "medoids", "random"):
        raise ConfigError(f"unknown method '{method}'{did_you_mean(method, ('guided', 'medoids', 'random'))}")
    study = GuidedStudy(
        metric,
        parsed_axes(axes),
        tuple(base or ()),
        experiment,
        budget,
        batch,
        method,  # type: ignore[arg-type]
    )

    def open_store() -> Store | None:
        if not outputs.is_dir():
            return None
        ingest(outputs)
        return Store(outputs)

    def show(proposal: Proposal) -> None:
        error = proposal.expected_error
        told = f", expected error {error[0]:.1%}, after the batch {error[1]:.1%}" if error else ""
        print_note(f"{proposal.known} of {budget} runs known{told}")

    if run:
        carry_out(study, open_store, lambda words: run_in_process_of_its_own(words, str(outputs)), show)
        return 0
    proposal = propose(study, open_store())
    show(proposal)
    for overrides in proposal.overrides:
        print(" ".join(["python -m framework", *study.fixed, *overrides]))
    return 0


def parsed_axes(texts: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the values of each axis.

    Raises:
        UserError: a text that is not key=values, or a key that is given twice.
    """
    axes: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not values or key in axes:
            raise UserError(f"'{text}' is not key=a,b,c" if key not in axes else f"'{key}' is given twice")
        axes[key] = tuple(dict.fromkeys(value.strip() for value in values.split(",")))
    return axes
