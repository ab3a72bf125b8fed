"""`sql` without a query: a small shell with history; or, where standard input is a pipe, the query from there."""

from __future__ import annotations

import sys
from collections.abc import Callable

from framework.configuration.resources import cache_folder
from framework.errors import UserError

_HELP = """One SELECT ending in ';' (may span lines). Also:
  .tables            tables, views and macros
  .schema NAME       columns of a table or view
  .format NAME       table, csv or json
  .help              this text
  .quit              leave (or Ctrl-D); Ctrl-C ends a query"""
_TABLES = """SELECT name, kind FROM (
    SELECT table_name AS name, 'table' AS kind FROM duckdb_tables()
        WHERE NOT internal AND table_name <> 'results_wide'
    UNION ALL SELECT view_name, 'view' FROM duckdb_views() WHERE NOT internal
    UNION ALL SELECT DISTINCT function_name, 'macro' FROM duckdb_functions()
        WHERE NOT internal AND function_type LIKE '%macro') ORDER BY kind, name"""
_PROMPT, _MORE = "sql> ", "...> "


def query_shell(answer: Callable[[str, str], int], format: str) -> int:
    """Read queries and answer each; return 0, or the status of the one query of a pipe.

    Args:
        answer: prints the rows of a query in a format.
        format: how to begin.
    """
    if not sys.stdin.isatty():
        return answer(sys.stdin.read(), format)
    _remember_lines()
    print("SELECT over the store; .help, .tables, .quit", file=sys.stderr)
    text = ""
    while True:
        try:
            line = input(_MORE if text else _PROMPT)
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:
            print()
            text = ""
            continue
        if not text and line.strip().startswith("."):
            word, _, rest = line.strip().partition(" ")
            if word in (".quit", ".exit", ".q"):
                return 0
            format = _command(word, rest.strip(), answer, format)
            continue
        text += line + "\n"
        if text.strip() and text.rstrip().endswith(";"):
            _answered(answer, text, format)
            text = ""
        elif not text.strip():
            text = ""


def _command(word: str, rest: str, answer: Callable[[str, str], int], format: str) -> str:
    """Carry out a command of the shell; return the format from now on."""
    if word == ".tables":
        _answered(answer, _TABLES, "table")
    elif word == ".schema" and rest:
        _answered(answer, f'DESCRIBE "{rest}"', "table")
    elif word == ".format" and rest in ("table", "csv", "json"):
        return rest
    else:
        print(_HELP)
    return format


def _answered(answer: Callable[[str, str], int], query: str, format: str) -> None:
    try:
        answer(query, format)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)


def _remember_lines() -> None:
    """Give the prompt line editing, and a history that outlives the shell, where this Python has readline."""
    try:
        import atexit
        import readline
    except ImportError:
        return
    history = cache_folder("shell") / "sql_history"
    try:
        history.parent.mkdir(parents=True, exist_ok=True)
        if history.exists():
            readline.read_history_file(history)
    except OSError:
        return
    readline.set_history_length(1000)
    atexit.register(_save_history, str(history))


def _save_history(file: str) -> None:
    import contextlib
    import readline

    with contextlib.suppress(OSError):
        readline.write_history_file(file)
