"""The command line's verbs, and those that bring runs in, keep the store, or look at the machine.

Each imports what it needs when it runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from framework.cli.answers.advise_verb import advise
from framework.cli.answers.pareto_verb import pareto
from framework.cli.answers.verbs import artifacts, compare, export, predict, report, sql
from framework.cli.everyday import DEFAULT_OUTPUTS, Outputs, add_everyday_verbs
from framework.errors import ConfigError, did_you_mean

_HELP = """Performance studies as one YAML file and one command.

A study is a Hydra experiment. Arguments with '=', or with '+', '~' or '-' in front, compose and run it:

  python -m framework +experiment=memory_gap

  python -m framework +experiment=memory_gap model=opt-1.3b backend.max_num_seqs=1,8,64

  python -m framework backend=twin model=llama-2-7b gpu=h100-64gb workload=fixed --cfg job

(the last one prints the configuration only)

--config-dir DIR, before or after a verb, adds options of your own to every group: DIR/model/NAME.yaml is model=NAME,
DIR/experiment/NAME.yaml is +experiment=NAME.

Any other first argument is a verb:"""

_INTERRUPTED = 130  # what Typer makes of Ctrl-C
_DIAGNOSING = ("plugins", "doctor", "version", "--help", "-h", "--version")


def build_app() -> typer.Typer:
    """Return the Typer application with the core's verbs and those of the plugins."""
    app = typer.Typer(
        name="framework",
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_version_option)
    for verb in (
        sql,
        export,
        report,
        dashboard,
        artifacts,
        advise,
        compare,
        pareto,
        predict,
        guide,
        ingest,
        derive,
        compact,
        cancel,
        plugins,
        doctor,
    ):
        app.command()(verb)
    app.command("import")(import_runs)
    add_everyday_verbs(app)
    _add_plugin_verbs(app)
    return app


def _add_plugin_verbs(app: typer.Typer) -> None:
    """Add the plugins' verbs; one that is no function, or whose name is taken, is left out and its plugin named."""
    from framework.plugins import answers, discover, problem_of

    taken = {_name_of(command): command for command in app.registered_commands}
    for plugin, _, error in answers("verbs", None, {"app": app}):
        if error:
            discover().note(problem_of(plugin, "verbs", error))
        for command in list(app.registered_commands):
            name, wrong = _name_of(command), ""
            if not callable(command.callback):
                wrong = f"verb '{name}' is not a function"
            elif taken.setdefault(name, command) is not command:
                wrong = f"there is a verb '{name}' already"
            if wrong:
                app.registered_commands.remove(command)
                discover().note(problem_of(plugin, "verbs", ConfigError(wrong)))


def _name_of(command: Any) -> str:
    return str(command.name or getattr(command.callback, "__name__", "").replace("_", "-"))


def run_verb(arguments: list[str]) -> int:
    """Run one verb; return its exit status.

    Raises:
        ConfigError: no such verb.
    """
    from framework.plugins import check_names

    if arguments and arguments[0] not in _DIAGNOSING:
        check_names()
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
            if error.format_message():  # the page of help that stands for no arguments says it all
                print(f"error: {error.format_message()}", file=sys.stderr)
            return int(error.exit_code)
        raise
    if status == _INTERRUPTED:
        raise KeyboardInterrupt
    return int(status or 0)


def _version_option(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"framework-lab {installed('framework-lab')}")
        raise typer.Exit


def dashboard(
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0: any that is free.", min=0, max=65535)] = 8765,
    token: Annotated[
        str | None,
        typer.Option(help="Token that the address must hold. Default: a new one, where one is needed."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Further host name under which a browser may ask; may be repeated."),
    ] = None,
    refresh: Annotated[float, typer.Option(help="Seconds between looks for finished runs; 0: none.")] = 20.0,
    timeout: Annotated[
        float, typer.Option(help="Seconds after which a query of the page SQL is stopped.")
    ] = 10.0,
    max_rows: Annotated[int, typer.Option(help="Most rows that the page SQL shows.")] = 1000,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Show the store as web pages on this machine, until Ctrl-C.

    Example: python -m framework dashboard --port 8765
    """
    from framework.dashboard.web_server import Listening, run_dashboard

    return run_dashboard(Listening(host, port, token, name or []), refresh, timeout, max_rows, outputs)


def ingest(
    folder: Annotated[
        str | None, typer.Argument(help="Outputs folder, or URL of a folder with bundles. Default: outputs.")
    ] = None,
    rebuild: Annotated[bool, typer.Option(help="Rebuild the database from all bundles.")] = False,
    outputs: Annotated[
        Path | None, typer.Option(help="Outputs folder of the database, if FOLDER is a URL.")
    ] = None,
) -> int:
    """Add new run bundles to the database; may be repeated at any time.

    Example: python -m framework ingest outputs --rebuild
    """
    from framework.cli.store_verbs import run_ingest

    return run_ingest(folder, rebuild, None if outputs is None else str(outputs))


def derive(
    names: Annotated[
        list[str] | None, typer.Argument(help="Run ids, sweep ids or experiments; default: all.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also runs whose metrics are up to date.")] = False,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Compute metrics and checks again from stored tables, for runs with an earlier definition of a metric.

    Example: python -m framework derive memory_gap
    """
    from framework.cli.store_verbs import run_derive

    return run_derive(names or [], every, str(outputs))


def compact(outputs: Outputs = DEFAULT_OUTPUTS) -> int:
    """Pack many run bundles into few large Parquet files.

    Example: python -m framework compact --outputs outputs
    """
    from framework.cli.store_verbs import run_compact

    return run_compact(str(outputs))


def cancel(
    sweep: Annotated[
        str | None, typer.Argument(help="Id of the sweep; needed if several sweeps have jobs.")
    ] = None,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Cancel a sweep: its Slurm jobs, or the process that runs it on this machine; finished runs are kept.

    Example: python -m framework cancel
    """
    from framework.jobs.cancelling import cancel_sweep

    return cancel_sweep(sweep, str(outputs))


def guide(
    metric: Annotated[str, typer.Argument(help="Metric to learn, e.g. exe_time_s (must be > 0).")],
    axes: Annotated[list[str], typer.Argument(help="Values of each setting to explore, key=a,b,c.")],
    base: Annotated[list[str] | None, typer.Option(help="Override of every run; may be repeated.")] = None,
    budget: Annotated[int, typer.Option(help="Total number of runs, including those already stored.")] = 100,
    batch: Annotated[int, typer.Option(help="Runs to launch before the model is refitted.")] = 10,
    method: Annotated[
        str, typer.Option(help="guided, or one of the baselines medoids and random")
    ] = "guided",
    experiment: Annotated[
        str, typer.Option(help="Experiment file of each run; it must not contain a grid.")
    ] = "guided",
    run: Annotated[
        bool, typer.Option(help="Run the batches. Without it, only print the next batch.")
    ] = False,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Pick the most informative next configurations and run them until the budget is used up.

    Example: python -m framework guide total_tok_s backend.max_num_seqs=8,32,128 model=opt-1.3b gpu=h100-64gb --run
    """
    from framework.sweep.guided import run_guide

    return run_guide(metric, axes, base or [], budget, batch, method, experiment, run, outputs)


def import_runs(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[KIND] FILE|FOLDER... [KEY=VALUE...]",
            help="Files or folders; before them their kind, if it can't be seen from their content (the verb"
            " `plugins` lists the kinds); settings that the files don't say, such as gpu=h100-80gb or"
            " backend.max_num_seqs=256.",
        ),
    ],
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Import recorded runs into the store; importing a file twice adds nothing.

    Example: python -m framework import result.json gpu=h100-80gb
    """
    from framework.run.importing import import_files

    return import_files(words, str(outputs))


def plugins() -> int:
    """List installed plugins with their hooks or load errors, configuration groups and importers.

    Example: python -m framework plugins
    """
    from framework.cli.installed import show_plugins

    return show_plugins()


def doctor() -> int:
    """Check which backends and collectors work on this machine, and how to enable the others.

    Example: python -m framework doctor
    """
    from framework.cli.installed import show_doctor

    return show_doctor()
