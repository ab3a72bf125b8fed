"""The verbs `sql` and `export`: rows of one SELECT as a table, a stream of data, or a file; a small shell."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from framework.configuration.resources import cache_folder
from framework.errors import ConfigError, StoreError, UserError, did_you_mean
from framework.processes.end_signals import stay_after
from framework.store.database.query_limits import QueryLimits
from framework.store.database.reader import Store, runs_not_ingested

FORMATS = ("table", "csv", "json", "parquet")
SHOWN_ROWS = 200
_EVERYTHING = re.compile(r"\s*(?:SELECT\s+\*\s+)?FROM\s", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z_]\w*")

Row = tuple[Any, ...]


def run_sql(
    query: str, format: str, outputs: str, limits: QueryLimits | None = None, attach: Sequence[str] = ()
) -> int:
    """Print the rows of a SELECT. CSV and JSON print nothing but data to stdout, as the rows are made.

    `attach` are `NAME=FOLDER` of other stores that the query names.
    """
    if format not in FORMATS:
        raise ConfigError(f"unknown format '{format}'{did_you_mean(format, FORMATS)}")
    if format == "parquet":
        raise ConfigError(
            "--format parquet: a file is needed; python -m framework export QUERY FILE.parquet writes it"
        )
    limits = limits or QueryLimits()
    store = _store(outputs, limits, attach)
    cut = False
    with store.stream(query) as (columns, batches):
        if format == "table":
            _print_table(query, columns, batches, limits.rows or SHOWN_ROWS)
        else:
            from framework.store import result_formats

            write = result_formats.write_csv if format == "csv" else result_formats.write_json
            counted = _Counted(batches, limits.rows)
            write(columns, counted, sys.stdout)
            cut = counted.cut
    _say_what_else_there_is(store, outputs)
    if cut:
        raise StoreError(f"SQL: stopped after {limits.rows:,} rows; --max-rows N allows more, 0 any number")
    return 0


def _store(outputs: str, limits: QueryLimits, attach: Sequence[str]) -> Store:
    if not attach:
        return Store(outputs, limits)
    from framework.store.views.attached_store import attaching

    return Store(outputs, limits, attaching(attach))


class _Counted:
    """Batches of rows up to a number of rows; `cut` tells whether there were more."""

    def __init__(self, batches: Iterator[list[Row]], most: int) -> None:
        self.batches, self.most = batches, most
        self.cut = False

    def __iter__(self) -> Iterator[list[Row]]:
        left = self.most
        for rows in self.batches:
            if self.most and len(rows) > left:
                self.cut = True
                yield rows[:left]
                return
            yield rows
            left -= len(rows)


def _say_what_else_there_is(store: Store, outputs: str) -> None:
    from framework.store.views.definitions_view import mixed_definitions

    waiting = runs_not_ingested(Path(outputs))
    mixed = mixed_definitions(store, None)
    if mixed is not None:
        print(f"warning: {mixed}", file=sys.stderr)
    if waiting:
        print(
            f"{waiting} finished runs are not in the store yet: framework ingest {outputs}", file=sys.stderr
        )


def _print_table(query: str, columns: Sequence[str], batches: Iterator[list[Row]], most: int) -> None:
    from framework.contracts import TableBlock
    from framework.report.terminal.terminal_tables import fits, print_note, print_table

    rows = list(islice((row for batch in batches for row in batch), most + 1))
    more = len(rows) > most
    table = TableBlock("", columns, rows[:most])
    left_out = ""
    if _EVERYTHING.match(query) and not fits(table, as_data=True):
        table, left_out = _those_that_vary(table)
    print_table(table, max_rows=most, as_data=True)
    if left_out:
        print_note(left_out)
    if more:
        print_note(f"the first {most} rows; --max-rows N shows more, --format csv prints all")


def _those_that_vary(table: Any) -> tuple[Any, str]:
    """Return the columns that tell the rows apart, as many as fit, and what is left out in words."""
    from framework.contracts import TableBlock
    from framework.report.terminal.terminal_tables import fits

    rows = table.rows
    varies = [len(rows) < 2 or len({str(row[i]) for row in rows}) > 1 for i in range(len(table.columns))]
    empty = [all(row[i] is None for row in rows) for i in range(len(table.columns))]
    order = [i for i, vary in enumerate(varies) if vary and not empty[i]] or [0]
    chosen: list[int] = []
    for i in order:
        tried = TableBlock(
            "", [table.columns[j] for j in [*chosen, i]], [[row[j] for j in [*chosen, i]] for row in rows]
        )
        if chosen and not fits(tried, as_data=True):
            continue
        chosen.append(i)
    same = [f"{name}={rows[0][i]}" for i, name in enumerate(table.columns) if not varies[i] and not empty[i]]
    narrow = [name for i, name in enumerate(table.columns) if varies[i] and not empty[i] and i not in chosen]
    parts = [f"the same in all rows: {', '.join(same)}"] if same else []
    parts += [f"without room: {', '.join(narrow)}"] if narrow else []
    parts += [f"without a value: {sum(empty)} columns"] if any(empty) else []
    block = TableBlock("", [table.columns[i] for i in chosen], [[row[i] for i in chosen] for row in rows])
    words = "; ".join(parts)
    return block, f"left out ({words}); name columns in SELECT, or --format csv prints all" if parts else ""


def run_export(query: str, file: Path, outputs: str, limits: QueryLimits, attach: Sequence[str] = ()) -> int:
    """Write the rows of a SELECT, or of a table or view that a bare word names, to a file; its suffix says how.

    Raises:
        ConfigError: a suffix that is none of .csv, .json, .parquet.
        StoreError: the query is refused or stopped, or the file can't be written; no file is left then.
    """
    from framework.store import result_formats

    suffix = file.suffix.lower().lstrip(".")
    if suffix not in FORMATS[1:]:
        raise ConfigError(f"{file}: unknown format '{suffix}'{did_you_mean(suffix, FORMATS[1:])}")
    if _WORD.fullmatch(query):
        query = f'FROM "{query}"'
    store = _store(outputs, limits, attach)
    if suffix == "parquet":
        with store.arrow_stream(query) as reader:
            rows = result_formats.write_parquet(reader, file)
    else:
        write = result_formats.write_csv if suffix == "csv" else result_formats.write_json
        rows = 0
        with store.stream(query) as (columns, batches), result_formats.whole_file(file) as temporary:

            def counted() -> Iterator[list[Row]]:
                nonlocal rows
                for batch in batches:
                    rows += len(batch)
                    yield batch

            with temporary.open("w", encoding="utf-8") as out:
                write(columns, counted(), out)
    print(f"{rows:,} rows written to {file}")
    _say_what_else_there_is(store, outputs)
    return 0


_HELP = """One SELECT ending in ';' (may span lines). Also:
  .tables            tables, views and macros
  .schema NAME       columns of a table or view
  .format NAME       table, csv or json
  .help              this text
  .quit              leave (or Ctrl-D); Ctrl-C ends a query"""
_TABLES = """SELECT if(store = 'store', '', store || '.') || name AS name, kind FROM (
    SELECT database_name AS store, table_name AS name, 'table' AS kind FROM duckdb_tables() WHERE NOT internal
    UNION ALL SELECT database_name, view_name, 'view' FROM duckdb_views() WHERE NOT internal
    UNION ALL SELECT DISTINCT database_name, function_name, 'macro' FROM duckdb_functions()
        WHERE NOT internal AND function_type LIKE '%macro')
WHERE name <> 'results_wide' AND NOT contains(store, ' ') ORDER BY store <> 'store', store, kind, name"""
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
        except KeyboardInterrupt as interrupt:
            stay_after(interrupt)
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
    except KeyboardInterrupt as interrupt:
        stay_after(interrupt)
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
