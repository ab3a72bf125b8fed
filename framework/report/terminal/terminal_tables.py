"""Tables, notes, failures and progress on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from framework import plugins
from framework.analysis.number_format import ABSENT, count_noun, format_data, format_value, is_number
from framework.contracts import TableBlock
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
_LONGEST_WORD = 64  # words up to this long (ids, keys) are never broken
_GAP = 3  # what the renderer puts between two columns
_CONTROL = {code: repr(chr(code))[1:-1] for code in (*range(32), 127) if chr(code) != "\n"}


def print_table(table: TableBlock, max_rows: int = MAX_ROWS, more: str = "", as_data: bool = False) -> None:
    """Print a table to standard output.

    Numbers are rounded to four digits and aligned right, what is absent is a dash. A table that is wider than
    the terminal is folded: its columns are printed in several parts, each led by the columns that identify the
    rows apart. No digit is cropped and no id broken: what is wider than the terminal sticks out.

    Args:
        table: the table.
        max_rows: rows beyond this are counted in a note, never dropped in silence.
        more: how to see them, for that note.
        as_data: columns are any data, not metrics: whole numbers without separators, no units.
    """
    out = console()
    cells = _Cells(
        table, {} if as_data else _metric_units(), max_rows, format_data if as_data else format_value
    )
    if table.title:
        out.print(Text(table.title, style="bold"), soft_wrap=True)
    for columns in cells.fold(out.width):
        widths = cells.widths(columns, out.width)
        wide_enough = console()
        wide_enough.width = max(out.width, sum(widths) + _GAP * len(widths))
        wide_enough.print(cells.rich_table(columns, widths))
    if not table.rows:
        out.print("(no rows)", style="dim")
    if len(table.rows) > max_rows:
        out.print(
            f"… {count_noun(len(table.rows) - max_rows, 'more row')}{more}", style="dim", soft_wrap=True
        )
    if table.caption:
        out.print(Text(table.caption, style="dim"))
    out.print()


def fits(table: TableBlock, as_data: bool = False) -> bool:
    """Return whether a table is printed in one part on this terminal."""
    shown = format_data if as_data else format_value
    return (
        len(list(_Cells(table, {} if as_data else _metric_units(), MAX_ROWS, shown).fold(console().width)))
        == 1
    )


def _metric_units() -> dict[str, str]:
    return {name: definition.unit for name, definition in plugins.metric_definitions().items()}


class _Cells:
    """A table's cells as text, with what is needed to lay them out."""

    def __init__(
        self, table: TableBlock, units: Mapping[str, str], max_rows: int, shown: Callable[[Any, str], str]
    ) -> None:
        rows = table.rows[:max_rows]
        has_units = any(units.get(name) for name in table.columns)
        # a blank second line keeps the names of columns without a unit on the first one
        self.headers = [
            f"{name}\n{units.get(name) or ' '}" if has_units else str(name) for name in table.columns
        ]
        of_column = [units.get(name, "") for name in table.columns]
        self.texts = [
            [shown(value, unit).translate(_CONTROL) for value, unit in zip(row, of_column, strict=True)]
            for row in rows
        ]
        self.numeric = [_is_numeric([row[i] for row in rows]) for i in range(len(table.columns))]
        columns = range(len(table.columns))
        self._full = [self._over_cells(i, lambda text: text.split("\n")) for i in columns]
        self._least = [full if self.numeric[i] else self._unbroken(i) for i, full in enumerate(self._full)]
        self._wanted = [max(self._least[i], min(self._full[i], _WRAPPED_TEXT_WIDTH)) for i in columns]

    def _over_cells(self, column: int, parts: Callable[[str], list[str]]) -> int:
        texts = [self.headers[column], *(row[column] for row in self.texts)]
        return max((cell_len(part) for text in texts for part in parts(text)), default=1) or 1

    def _unbroken(self, column: int) -> int:
        """Width of the longest word that is not broken; a longer one is."""
        return self._over_cells(
            column, lambda text: [w for w in text.split() if cell_len(w) <= _LONGEST_WORD]
        )

    def _room(self, columns: Sequence[int]) -> int:
        return sum(self._wanted[i] + _GAP for i in columns) - _GAP

    def fold(self, terminal_width: int) -> Iterator[list[int]]:
        """Yield the columns of each part: the key columns and as many others as fit, at least one."""
        columns = list(range(len(self.headers)))
        if self._room(columns) <= terminal_width:
            yield columns
            return
        keys = self._key_columns(terminal_width)
        part: list[int] = []
        for column in columns[len(keys) :]:
            if part and self._room([*keys, *part, column]) > terminal_width:
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
            and self._room(range(count + 1)) <= terminal_width / 2
        ):
            count += 1
        return list(range(min(count, len(self.headers))))

    def widths(self, columns: Sequence[int], terminal_width: int) -> list[int]:
        """Return the width of each column: no less than keeps numbers and words whole; texts share what is left."""
        widths = {i: self._least[i] for i in columns}
        left = terminal_width - sum(widths.values()) - _GAP * (len(columns) - 1)
        open_ = sorted(columns, key=lambda i: self._full[i] - widths[i])
        for place, i in enumerate(open_):
            extra = max(0, min(self._full[i] - widths[i], left // (len(open_) - place)))
            widths[i] += extra
            left -= extra
        return [widths[i] for i in columns]

    def rich_table(self, columns: Sequence[int], widths: Sequence[int]) -> Table:
        """Return the part of the table with these columns."""
        part = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for i, width in zip(columns, widths, strict=True):
            part.add_column(
                Text(self.headers[i]),
                justify="right" if self.numeric[i] else "left",
                overflow="fold",
                width=width,
            )
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
    """Print the metrics of a single run with units and bands, its id, and what its checks found."""
    definitions = plugins.metric_definitions()
    names = [name for name in definitions if name in outcome.metrics]
    names += [name for name in outcome.metrics if name not in definitions]
    headers = ("metric", "value", "unit", *(("low", "high") if outcome.bands else ()))
    rows = [
        (
            name,
            outcome.metrics[name],
            definitions[name].unit if name in definitions else "",
            *(outcome.bands.get(name, (None, None)) if outcome.bands else ()),
        )
        for name in names
    ]
    skipped = "done before, skipped" + (" (re-derived)" if outcome.rederived else "")
    state = skipped if outcome.skipped else outcome.status
    print_table(TableBlock(f"{outcome.run_id} ({state})", headers, rows))
    for finding in outcome.findings:
        print_note(finding)
