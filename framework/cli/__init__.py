"""The command line: a Hydra app, or a verb when the first argument is a bare word."""

from __future__ import annotations

import os
import re
import sys

from framework.processes.end_signals import exit_status_of, interrupted_by, not_lost, signals_end_in_order

_VERB = re.compile(r"[A-Za-z][\w-]*")


def main() -> None:
    """Carry out the command line of this process and raise `SystemExit` with its status."""
    arguments = sys.argv[1:]
    if "--debug" in arguments:
        os.environ["FRAMEWORK_DEBUG"] = "1"
        arguments = [argument for argument in arguments if argument != "--debug"]
    sys.exit(_guarded(arguments))


def _guarded(arguments: list[str]) -> int:
    """Dispatch, turn what a user can cause into one clear line, and name the plugins that failed at something."""
    try:
        with signals_end_in_order():
            status = _one_line_for_errors(arguments)
    finally:
        _name_failed_plugins()
    if status != 0:
        _name_unloaded_plugins(arguments)
    return status


def _one_line_for_errors(arguments: list[str]) -> int:
    from framework.errors import UserError, one_line

    debugging = os.environ.get("FRAMEWORK_DEBUG") == "1"
    try:
        with not_lost():
            return _dispatch(arguments)
    except UserError as error:
        if debugging:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except (BrokenPipeError, SystemExit) as error:
        # Click and Rich make an exit of the reader that went away (`| head`)
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # a defect, ours or a plugin's
        if debugging:
            raise
        kind = type(error).__name__
        print(f"error: unexpected {kind}: {one_line(error)} (--debug shows where)", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"{interrupted_by(interrupt)}; the same command resumes", file=sys.stderr)
        return exit_status_of(interrupt)


def _name_failed_plugins() -> None:
    """Print a line for each hook that failed; the command went on without what it would have contributed."""
    plugins = sys.modules.get("framework.plugins")
    if plugins is None or not plugins.discover.cache_info().currsize:
        return
    for problem in plugins.discover().problems:
        print(f"warning: {problem}", file=sys.stderr)
    plugins.discover().problems.clear()


def _name_unloaded_plugins(arguments: list[str]) -> None:
    """After a failure, name the plugins that could not be loaded: what was not found may be theirs."""
    plugins = sys.modules.get("framework.plugins")
    if plugins is None or not plugins.discover.cache_info().currsize or arguments[:1] == ["plugins"]:
        return
    for plugin in plugins.discover().plugins:
        if plugin.error and plugin.error not in plugins.discover().clashes:
            print(f"note: plugin '{plugin.name}' failed to load: {plugin.error}", file=sys.stderr)


def _dispatch(arguments: list[str]) -> int:
    if any(word.partition("=")[0] in ("--config-dir", "-cd") for word in arguments):
        from framework.configuration.search_path import take_config_dir

        arguments = take_config_dir(arguments)
    if not arguments or arguments[0] in ("--help", "-h", "--version") or _VERB.fullmatch(arguments[0]):
        from framework.cli.verbs import run_verb

        return run_verb(arguments)
    from framework.cli.study_command import run_study

    return run_study(arguments)
