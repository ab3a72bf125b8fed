"""How far a run, or a loop, is: a bar on a terminal, few plain lines in a log; all on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from framework.report.terminal.paced_lines import PacedLines, percent

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")


@contextmanager
def run_progress(
    title: str, enabled: bool = True, console: Console | None = None
) -> Iterator[Callable[[float, str], None]]:
    """Yield the callback (fraction 0–1, short text) that shows how far one run is.

    Args:
        title: what is being run.
        enabled: whether anything is shown.
        console: where; standard error if None.
    """
    if not enabled:
        yield lambda fraction, text: None
        return
    from framework.report.terminal.console import error_console

    out = console or error_console()
    if not out.is_terminal:
        from rich.text import Text

        with PacedLines(lambda line: out.print(Text(line), soft_wrap=True)) as lines:
            yield lambda fraction, text: lines.report(f"{title} {percent(fraction)}  {text}")
    else:
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
        )
        from rich.table import Column

        shown = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", style="bold", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}", markup=False, table_column=shown),
            console=out,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # else what a backend prints would leave its pipe or file
            expand=True,
        ) as bar:
            task = bar.add_task(title, total=1.0, text="")
            yield lambda fraction, text: bar.update(task, completed=fraction, text=text)


@contextmanager
def progress_bar(description: str, enabled: bool = True) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a callback (done, total or None) that draws on standard error while it is a terminal, else nothing."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from framework.report.terminal.console import error_console

    console = error_console()
    disable = not (enabled and console.is_terminal)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    redirected = sys.stdout.isatty()
    with Progress(
        *columns, console=console, transient=True, disable=disable, redirect_stdout=redirected
    ) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def progress_over(items: Iterable[Item], description: str) -> Iterator[Item]:
    """Yield the items under a progress bar on standard error; silent where that is not a terminal."""
    total = len(items) if isinstance(items, Sized) else None
    with progress_bar(description) as show:
        for done, item in enumerate(items):
            show(done, total)
            yield item
