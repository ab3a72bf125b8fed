"""Tables, notes, failures and progress on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from framework import plugins
from framework.contracts import TableBlock
from framework.report.number_format import ABSENT, count_noun, format_value, is_number
from framework.report.terminal.console import console, error_console
from framework.report.terminal.sweep_progress import SweepProgress

if TYPE_CHECKING:
    from framework.run_record import Failure, RunOutcome

__all__ = [
    "SweepProgress",
    "console",
    "print_failures",
    "print_note",
    "print_outcome",
    "print_table",
]

MAX_ROWS = 200
_MAX_FAILURES = 50
_MAX_KEY_COLUMNS = 4
_WRAPPED_TEXT_WIDTH = 28
_PADDING = 2


def print_table(table: TableBlock, max_rows: int = MAX_ROWS) -> None:
    """Print a table to standard output.

    Numbers are rounded to four digits and aligned right, what is absent is a dash. A table that is wider than
    the terminal is folded: its columns are printed in several parts, each led by the columns that identify the
    rows apart.

    Args:
        table: the table.
        max_rows: rows beyond this are counted in a note, never dropped in silence.
    """
    out = console()
    cells = _Cells(table, _metric_units(), max_rows)
    for number, columns in enumerate(cells.fold(out.width)):
        part = cells.rich_table(columns)
        if number == 0 and table.title:
            part.title = Text(table.title, style="bold")
        out.print(part)
    if not table.rows:
        out.print("(no rows)", style="dim")
    if len(table.rows) > max_rows:
        out.print(f"… {count_noun(len(table.rows) - max_rows, 'more row')}", style="dim")
    if table.caption:
        out.print(Text(table.caption, style="dim"))
    out.print()


def _metric_units() -> dict[str, str]:
    return {name: definition.unit for name, definition in plugins.metric_definitions().items()}


class _Cells:
    """A table's cells as text, with what is needed to lay them out."""

    def __init__(self, table: TableBlock, units: Mapping[str, str], max_rows: int) -> None:
        rows = table.rows[:max_rows]
        has_units = any(units.get(name) for name in table.columns)
        # a blank second line keeps the names of columns without a unit on the first one
        self.headers = [
            f"{name}\n{units.get(name) or ' '}" if has_units else str(name) for name in table.columns
        ]
        self.texts = [[format_value(value) for value in row] for row in rows]
        self.numeric = [_is_numeric([row[i] for row in rows]) for i in range(len(table.columns))]
        self.widths = [self._width(i) for i in range(len(table.columns))]

    def _width(self, column: int) -> int:
        header = max(cell_len(line) for line in self.headers[column].split("\n"))
        widest = max((cell_len(row[column]) for row in self.texts), default=0)
        if not self.numeric[column]:
            widest = min(widest, _WRAPPED_TEXT_WIDTH)
        return max(header, widest) + _PADDING

    def fold(self, terminal_width: int) -> Iterator[list[int]]:
        """Yield the columns of each part: the key columns and as many others as fit, at least one."""
        columns = list(range(len(self.headers)))
        if sum(self.widths) <= terminal_width:
            yield columns
            return
        keys = self._key_columns(terminal_width)
        room = terminal_width - sum(self.widths[i] for i in keys)
        part: list[int] = []
        for column in columns[len(keys) :]:
            if part and sum(self.widths[i] for i in [*part, column]) > room:
                yield [*keys, *part]
                part = []
            part.append(column)
        yield [*keys, *part]

    def _key_columns(self, terminal_width: int) -> list[int]:
        """The fewest leading columns that identify the rows, within half of the terminal's width."""
        count = 1
        while (
            count < min(_MAX_KEY_COLUMNS, len(self.headers) - 1)
            and len({tuple(row[:count]) for row in self.texts}) < len(self.texts)
            and sum(self.widths[: count + 1]) <= terminal_width / 2
        ):
            count += 1
        return list(range(min(count, len(self.headers))))

    def rich_table(self, columns: Sequence[int]) -> Table:
        """Return the part of the table with these columns."""
        part = Table(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", show_edge=False)
        for i in columns:
            header = Text(self.headers[i])
            if self.numeric[i]:
                part.add_column(header, justify="right", no_wrap=True)
            else:
                part.add_column(header, overflow="fold", min_width=min(self.widths[i] - _PADDING, 12))
        for row in self.texts:
            part.add_row(*(Text(row[i], style="dim" if row[i] == ABSENT else "") for i in columns))
        return part


def _is_numeric(values: Sequence[Any]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(is_number(value) for value in present)


def print_note(text: str) -> None:
    """Print one line to standard error: something the reader should know, but no result."""
    error_console().print(Text(text), soft_wrap=True)


def print_failures(failed: Sequence[tuple[str, Failure | None]]) -> None:
    """Print what failed: the point of the sweep, the stage, and the reason."""
    rows = [
        (point, failure.stage, failure.kind, failure.message) if failure else (point, None, None, None)
        for point, failure in failed
    ]
    title = f"{count_noun(len(failed), 'run')} failed"
    print_table(TableBlock(title, ("point", "stage", "kind", "reason"), rows), max_rows=_MAX_FAILURES)


def print_outcome(outcome: RunOutcome) -> None:
    """Print the metrics of a single run, with their units, and its id."""
    definitions = plugins.metric_definitions()
    names = [name for name in definitions if name in outcome.metrics]
    names += [name for name in outcome.metrics if name not in definitions]
    rows = [
        (name, outcome.metrics[name], definitions[name].unit if name in definitions else "") for name in names
    ]
    skipped = "done before, skipped" + (" (re-derived)" if outcome.rederived else "")
    state = skipped if outcome.skipped else outcome.status
    print_table(TableBlock(f"{outcome.run_id} ({state})", ("metric", "value", "unit"), rows))
