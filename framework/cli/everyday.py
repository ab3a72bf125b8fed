"""The verbs of everyday care as the command line offers them; what they do is in `care_verbs` and `label_verbs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Outputs = Annotated[Path, typer.Option(help="Outputs folder with the run bundles and the database.")]
DEFAULT_OUTPUTS = Path("outputs")
SweepName = Annotated[str | None, typer.Argument(help="Sweep or experiment. Default: the latest.")]
RunName = Annotated[str, typer.Argument(help="Run id, or its beginning.")]
Names = Annotated[list[str] | None, typer.Argument(help="Run ids, sweep ids or experiments.")]
Where = Annotated[str | None, typer.Option(help="SQL condition on table `runs`, in addition to the names.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print which runs it would be.")]


def add_everyday_verbs(app: typer.Typer) -> None:
    """Add the verbs to an application."""
    for verb in (status, watch, show, log, tag, note, rename, archive, delete, merge, version, completion):
        app.command()(verb)
    app.command("new-plugin")(new_plugin)


def status(name: SweepName = None, outputs: Outputs = DEFAULT_OUTPUTS) -> int:
    """Show how far sweeps are: points done, failed, running and open.

    Example: python -m framework status
    """
    from framework.cli.care_verbs import run_status

    return run_status(name, str(outputs))


def watch(
    name: SweepName = None,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.")] = 2.0,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Show the progress of a sweep until all of its points are done or failed.

    Example: python -m framework watch
    """
    from framework.cli.care_verbs import run_watch

    return run_watch(name, max(interval, 0.05), str(outputs))


def show(run: RunName, outputs: Outputs = DEFAULT_OUTPUTS) -> int:
    """Show a run: identity, settings, metrics, checks, why it failed, labels, files.

    Example: python -m framework show 20260101T120000-4f2a
    """
    from framework.cli.care_verbs import run_show

    return run_show(run, str(outputs))


def log(
    run: RunName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Print the logs of a run, also while it runs on this machine.

    Example: python -m framework log 20260101T120000-4f2a --follow
    """
    from framework.cli.care_verbs import run_log

    return run_log(run, follow, str(outputs))


def tag(
    tag: Annotated[str, typer.Argument(help="The tag.")],
    names: Names = None,
    where: Where = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag from the runs.")] = False,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Tag runs; the view `tags` lists them.

    Example: python -m framework tag baseline --where "backend = 'twin'"
    """
    from framework.cli.label_verbs import run_tag

    return run_tag(tag, names or [], where, remove, str(outputs))


def note(
    text: Annotated[str, typer.Argument(help="The note.")],
    names: Names = None,
    where: Where = None,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Attach a note to runs; `show` and the table `labels` list it.

    Example: python -m framework note "fan was broken" 20260101T120000-4f2a1b3c-9b0984
    """
    from framework.cli.label_verbs import run_note

    return run_note(text, names or [], where, str(outputs))


def rename(
    name: Annotated[str, typer.Argument(help="The new name of the experiment.")],
    names: Names = None,
    where: Where = None,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """List runs under another experiment name; their run keys stay.

    Example: python -m framework rename first_try adhoc
    """
    from framework.cli.label_verbs import run_rename

    return run_rename(name, names or [], where, str(outputs))


def archive(
    names: Names = None,
    where: Where = None,
    undo: Annotated[bool, typer.Option("--undo", help="Show the runs again.")] = False,
    dry_run: DryRun = False,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Hide runs from `results`, `latest` and `failures`; nothing is deleted.

    Example: python -m framework archive --where "sanity = 'fail'" --dry-run
    """
    from framework.cli.label_verbs import run_archive

    return run_archive(names or [], where, undo, dry_run, str(outputs))


def delete(
    names: Names = None,
    where: Where = None,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without a question.")] = False,
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Move runs to OUTPUTS/trash and remove them from the database; also clears runs that were lost.

    Example: python -m framework delete --where "status = 'stale'" --dry-run
    """
    from framework.cli.label_verbs import run_delete

    return run_delete(names or [], where, dry_run, yes, str(outputs))


def merge(
    source: Annotated[Path, typer.Argument(help="Outputs folder whose runs are brought in.")],
    outputs: Outputs = DEFAULT_OUTPUTS,
) -> int:
    """Copy the runs of another outputs folder into this one; runs that are there already are left alone.

    Example: python -m framework merge ../colleague/outputs
    """
    from framework.cli.label_verbs import run_merge

    return run_merge(source, str(outputs))


def version() -> int:
    """Print versions and the environment, for a bug report.

    Example: python -m framework version
    """
    from framework.cli.installed import show_version

    return show_version()


def completion(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(help="bash or zsh.")],
    line: Annotated[str | None, typer.Argument(hidden=True)] = None,
) -> int:
    """Print the script that completes verbs, options and overrides of `framework` in a shell.

    Put `eval "$(framework completion bash)"` into the shell's start-up file.

    Example: python -m framework completion bash
    """
    from framework.cli.completion import candidates, script

    verbs = getattr(context.find_root().command, "commands", {})
    print("\n".join(candidates(line or "", verbs)) if shell == "words" else script(shell))
    return 0


def new_plugin(
    name: Annotated[str, typer.Argument(help="Name of the plugin: lower-case letters, digits, underscores.")],
    into: Annotated[Path, typer.Option(help="Folder in which the plugin's folder is made.")] = Path("."),
) -> int:
    """Write a plugin that works and has tests, to be changed into yours: workload, backend, advisor, report section.

    Example: python -m framework new-plugin conveyor
    """
    from framework.cli.plugin_writer import write_plugin

    return write_plugin(name, into)
