"""Verbs: what can be asked of the store, the plugins and the machine. Each imports what it needs when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from framework.errors import ConfigError, did_you_mean

_HELP = """Performance studies as one YAML file and one command.

A study is a Hydra experiment; arguments that hold '=' or start with '+', '~' or '-' compose one:

  python -m framework +experiment=memory_gap

  python -m framework +experiment=memory_gap model=opt-1.3b backend.max_num_seqs=1,8,64

  python -m framework backend=twin model=llama-2-7b workload=fixed --cfg job     (show, don't run)

A bare word is a verb:"""

Outputs = Annotated[Path, typer.Option(help="Outputs folder with the run bundles and the database.")]
DEFAULT_OUTPUTS = Path("outputs")


def build_app() -> typer.Typer:
    """Return the Typer application with the core's verbs and those of the plugins."""
    from framework.plugins import plugin_manager

    app = typer.Typer(
        name="framework",
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_version_option)
    for verb in (sql, report, compare, predict, guide, ingest, compact, cancel, plugins, doctor):
        app.command()(verb)
    app.command("import")(import_runs)
    plugin_manager().hook.verbs(app=app)
    return app


def run_verb(arguments: list[str]) -> int:
    """Run one verb; return its exit status.

    Raises:
        ConfigError: no such verb.
    """
    app = build_app()
    command = typer.main.get_command(app)
    names = list(getattr(command, "commands", {}))
    if arguments and not arguments[0].startswith("-") and arguments[0] not in names:
        raise ConfigError(f"unknown verb '{arguments[0]}'{did_you_mean(arguments[0], names)}")
    try:
        status = command.main(args=arguments, prog_name="python -m framework", standalone_mode=False)
    except typer.Exit as done:
        return int(done.exit_code)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # Click's own usage errors
            print(f"error: {error.format_message()}", file=sys.stderr)
            return int(error.exit_code)
        raise
    return int(status or 0)


def _version_option(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"framework-lab {installed('framework-lab')}")
        raise typer.Exit


def sql(
    query: Annotated[str, typer.Argument(help="A SELECT over the store's tables, views and macros.")],
    format: Annotated[str, typer.Option(help="table, csv or json")] = "table",
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Query the store, read-only.

    Example: python -m framework sql "SELECT * FROM results ORDER BY total_tok_s DESC LIMIT 5"
    """
    from framework.store.store_cli import run_sql

    return run_sql(query, format, str(outputs))


def report(
    experiment: Annotated[str | None, typer.Option(help="Experiment; the latest one by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report.")] = None,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Write a self-contained HTML report with plots, advice and provenance.

    Example: python -m framework report --experiment memory_gap
    """
    from framework.report.report_cli import run_report

    return run_report(experiment, out, outputs)


def compare(
    a: Annotated[str, typer.Argument(help="Run id, sweep id or experiment.")],
    b: Annotated[str, typer.Argument(help="Run id, sweep id or experiment.")],
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Show two runs, sweeps or experiments side by side: what was set, what came out, beyond noise or not.

    Example: python -m framework compare memory_gap memory_gap_vllm
    """
    from framework.store.store_cli import run_compare

    return run_compare(a, b, str(outputs))


def ingest(
    folder: Annotated[str, typer.Argument(help="Outputs folder or fsspec URL with bundles.")] = "outputs",
    rebuild: Annotated[bool, typer.Option(help="Build the database anew from all bundles.")] = False,
    outputs: Annotated[Path, typer.Option(help="With a URL: the folder of the database.")] = DEFAULT_OUTPUTS,
) -> int:
    """Pull finished run bundles into DuckDB; may be repeated at any time.

    Example: python -m framework ingest outputs --rebuild
    """
    from framework.store.store_cli import run_ingest

    return run_ingest(folder, rebuild, str(outputs))


def compact(outputs: Outputs = DEFAULT_OUTPUTS) -> int:
    """Pack many run bundles into few large Parquet files; nothing is lost.

    Example: python -m framework compact --outputs outputs
    """
    from framework.store.store_cli import run_compact

    return run_compact(str(outputs))


def cancel(
    sweep: Annotated[str | None, typer.Argument(help="Sweep id; needed if several have jobs.")] = None,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """End the Slurm jobs of a sweep, waiting and running; what is finished is kept.

    Example: python -m framework cancel memory_gap-0123456789
    """
    from framework.slurm.cancelling import cancel_sweep

    return cancel_sweep(sweep, str(outputs))


def predict(
    metric: Annotated[str, typer.Argument(help="Metric to predict, e.g. total_tok_s.")],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value of the configuration.")] = None,
    grid: Annotated[
        list[str] | None, typer.Option(help="key=a,b,c or key=* (all that were run); may be repeated.")
    ] = None,
    where: Annotated[str | None, typer.Option(help="SQL condition on `results`: runs to learn from.")] = None,
    level: Annotated[float, typer.Option(help="Nominal coverage of the intervals.")] = 0.9,
    validation: Annotated[bool, typer.Option(help="Also print errors on held-out runs.")] = False,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Predict a metric for configurations that were never run, with an interval, from all logged runs.

    Example: python -m framework predict total_tok_s model=opt-1.3b --grid max_num_seqs=48,160,320
    """
    from framework.analysis.predict_cli import run_predict

    return run_predict(metric, settings or [], where, grid or [], level, validation, str(outputs))


def guide(
    metric: Annotated[str, typer.Argument(help="Metric to learn, e.g. exe_time_s (must be > 0).")],
    axes: Annotated[list[str], typer.Argument(help="key=a,b,c of every setting to explore.")],
    base: Annotated[list[str] | None, typer.Option(help="Override of every run; may be repeated.")] = None,
    budget: Annotated[int, typer.Option(help="Total number of runs, including those already stored.")] = 100,
    batch: Annotated[int, typer.Option(help="Runs to launch before the model is refitted.")] = 10,
    method: Annotated[str, typer.Option(help="guided, medoids or random")] = "guided",
    experiment: Annotated[str, typer.Option(help="Experiment file of one run, without a grid.")] = "guided",
    run: Annotated[bool, typer.Option(help="Run them; otherwise only show the next batch.")] = False,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Pick the most informative next configurations and run them until the budget is used up.

    Example: python -m framework guide total_tok_s backend.max_num_seqs=8,32,128,512 --budget 3 --run
    """
    from framework.sweep.guided import run_guide

    return run_guide(metric, axes, base or [], budget, batch, method, experiment, run, outputs)


def import_runs(
    kind: Annotated[str, typer.Argument(help="What the file holds: see `plugins` for the kinds.")],
    file: Annotated[Path, typer.Argument(help="The file to read.")],
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Bring recorded runs into the store; importing a file twice adds nothing.

    Example: python -m framework import serving runs.csv.gz
    """
    from framework.run.importing import import_file

    return import_file(kind, file, str(outputs))


def plugins() -> int:
    """List installed plugins, the hooks they implement, and what failed to load.

    Example: python -m framework plugins
    """
    from framework.cli.installed import show_plugins

    return show_plugins()


def doctor() -> int:
    """Tell what this machine can run and, for what it can't, the one line that fixes it.

    Example: python -m framework doctor
    """
    from framework.cli.installed import show_doctor

    return show_doctor()
