"""Verbs that ask the store: rows, reports, comparisons, predictions. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from framework.cli.everyday import DEFAULT_OUTPUTS, Outputs

Timeout = Annotated[
    float, typer.Option("--timeout", help="Seconds after which the query is stopped; 0: no limit.")
]


MaxMemory = Annotated[
    float,
    typer.Option(
        "--max-memory", help="Most memory of the query, in GiB; 0: half of the machine's, at most 4."
    ),
]

Attach = Annotated[
    list[str] | None,
    typer.Option(
        "--attach",
        help="NAME=FOLDER: another outputs folder, as NAME.results, NAME.pareto(...). May be repeated.",
    ),
]


def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            help="One SELECT over the tables, views and macros of the store. Without it: a shell."
        ),
    ] = None,
    format: Annotated[str, typer.Option(help="Output format: table, csv or json.")] = "table",
    timeout: Timeout = 60.0,
    max_memory: MaxMemory = 0.0,
    max_rows: Annotated[
        int, typer.Option(help="Most rows that are printed; 0: 200 in a table, all as csv or json.")
    ] = 0,
    attach: Attach = None,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Query the store with read-only SQL.

    Example: python -m framework sql "SELECT * FROM results ORDER BY total_tok_s DESC LIMIT 5"
    """
    from framework.cli.sql_verb import run_sql
    from framework.store.database.query_limits import QueryLimits

    limits = QueryLimits(timeout, max_memory, max_rows, alone=True)
    if query is not None:
        return run_sql(query, format, str(outputs), limits, attach or ())
    from framework.cli.sql_verb import query_shell

    return query_shell(lambda text, kind: run_sql(text, kind, str(outputs), limits, attach or ()), format)


def export(
    query: Annotated[str, typer.Argument(help="One SELECT, or the name of a table or view.")],
    file: Annotated[Path, typer.Argument(help="File to write: .csv, .json or .parquet.")],
    timeout: Timeout = 0.0,
    max_memory: MaxMemory = 0.0,
    attach: Attach = None,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Write the rows of a query to a CSV, JSON or Parquet file.

    Example: python -m framework export results results.parquet
    """
    from framework.cli.sql_verb import run_export
    from framework.store.database.query_limits import QueryLimits

    return run_export(query, file, str(outputs), QueryLimits(timeout, max_memory, alone=True), attach or ())


def report(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Experiments, or ids of sweeps; of several, the first two are compared."),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(help="Experiment, or id of a sweep. Default: the experiment that was run last."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report. Default: OUTPUTS/reports/EXPERIMENT.")
    ] = None,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Write a self-contained HTML report with plots, advice and provenance.

    Example: python -m framework report memory_gap
    """
    from framework.cli.report_verb import run_report

    return run_report([*(names or []), *([experiment] if experiment else [])], out, outputs)


def artifacts(
    name: Annotated[str | None, typer.Argument(help="Run, sweep or experiment. Default: all runs.")] = None,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """List the files that runs keep (logs, profiles, job histories), with their size and path.

    Example: python -m framework artifacts memory_gap
    """
    from framework.cli.store_verbs import run_artifacts

    return run_artifacts(name, str(outputs))


def compare(
    a: Annotated[
        str, typer.Argument(help="Run id, sweep id, experiment, name of what was run, or KEY=VALUE.")
    ],
    b: Annotated[str, typer.Argument(help="The same, or a law: `twin` shows what it predicts for each run.")],
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Compare settings and metrics of two runs, sweeps or experiments; mark differences larger than run-to-run noise.

    What was run can be named too: a model, a GPU, a cluster (`compare al-02 al-03`), or any setting with its value.

    Measured or imported runs can be shown next to a prediction: `compare import:vllm-bench twin`.

    Example: python -m framework compare memory_gap slm_pareto
    """
    from framework.cli.store_verbs import run_compare

    return run_compare(a, b, str(outputs))


def predict(
    metric: Annotated[str, typer.Argument(help="Metric to predict, e.g. total_tok_s.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="Parameters of the configuration, key=value.")
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="Predict all values: key=a,b,c, or key=* for all values in the store; may be repeated."
        ),
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="Learn only from runs that match this SQL condition on `results`.")
    ] = None,
    level: Annotated[float, typer.Option(help="Nominal coverage of the intervals.")] = 0.9,
    validation: Annotated[bool, typer.Option(help="Also print errors on held-out runs.")] = False,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Predict a metric, with an interval, for configurations that were never run, from all stored runs.

    Example: python -m framework predict total_tok_s model=opt-1.3b --grid max_num_seqs=48,160,320
    """
    from framework.cli.answers.predict_verb import run_predict

    return run_predict(metric, settings or [], where, grid or [], level, validation, str(outputs))
