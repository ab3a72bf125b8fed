"""Where text goes: results to standard output, progress and notes to standard error."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console

_FILE_WIDTH = 160
"""Columns when the output is a file or a pipe; `COLUMNS` overrides it."""


def console() -> Console:
    """Return a console on standard output."""
    return _console(sys.stdout)


def error_console() -> Console:
    """Return a console on standard error, for progress, notes and warnings."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    # the streams of a notebook say that they are terminals, but their cursor can't be moved
    notebook = type(stream).__module__.startswith("ipykernel")
    width = None if (stream.isatty() and not notebook) or "COLUMNS" in os.environ else _FILE_WIDTH
    terminal = False if notebook else None
    return Console(file=stream, width=width, highlight=False, force_jupyter=False, force_terminal=terminal)
