"""The command line: a Hydra app, or a verb when the first argument is a bare word."""

from __future__ import annotations

import os
import re
import sys

_VERB = re.compile(r"[A-Za-z][\w-]*")


def main() -> None:
    """Entry point of `python -m framework` and of the console script `framework`."""
    arguments = sys.argv[1:]
    if "--debug" in arguments:
        os.environ["FRAMEWORK_DEBUG"] = "1"
        arguments = [argument for argument in arguments if argument != "--debug"]
    sys.exit(_guarded(arguments))


def _guarded(arguments: list[str]) -> int:
    """Dispatch, and turn what a user can cause into one clear line."""
    from framework.errors import UserError, one_line

    try:
        return _dispatch(arguments)
    except UserError as error:
        if os.environ.get("FRAMEWORK_DEBUG") == "1":
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # a defect, ours or a plugin's
        if os.environ.get("FRAMEWORK_DEBUG") == "1":
            raise
        kind = type(error).__name__
        print(f"error: unexpected {kind}: {one_line(error)} (--debug shows where)", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130


def _dispatch(arguments: list[str]) -> int:
    if any(word.partition("=")[0] in ("--config-dir", "-cd") for word in arguments):
        from framework.configuration.search_path import take_config_dir

        arguments = take_config_dir(arguments)
    if not arguments or arguments[0] in ("--help", "-h", "--version") or _VERB.fullmatch(arguments[0]):
        from framework.cli.verbs import run_verb

        return run_verb(arguments)
    from framework.cli.study_command import run_study

    return run_study(arguments)
