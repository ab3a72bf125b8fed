"""The live view of a sweep: how far it is, how long it will take, and its first and latest results."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from framework import plugins
from framework.analysis.number_format import ABSENT, format_duration, format_value
from framework.report.terminal.console import error_console
from framework.report.terminal.paced_lines import PacedLines, percent

if TYPE_CHECKING:
    from framework.contracts import MetricDefinition
    from framework.run_record import RunOutcome

_FIRST_ROWS, _LATEST_ROWS = 3, 7
_MAX_METRICS = 5
_MOST_RUNNING = 3
_LEAST_RUN_WIDTH, _RUN_WIDTH, _COLUMN_GAP = 12, 30, 3  # with one metric, with more
_LINES_PER_SWEEP = 20
_REFRESH_PER_S = 4


class SweepProgress:
    """Context manager that shows a sweep while it runs, on standard error.

    On a terminal: a bar with counts and remaining time, below a table of the first and the latest results. In a
    log: a plain line for the first results, for every failure, and about twenty more over the sweep; now and then one
    on how far a long run is.

    The remaining time is that of the runs that are left at the mean pace of those carried out here; what was
    skipped took no time and gives no information.
    """

    def __init__(
        self,
        title: str,
        total: int,
        skipped: int = 0,
        enabled: bool = True,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the view of a sweep of `total` points, `skipped` of them done before."""
        self.title, self.total, self.skipped = title, total, skipped
        self.done = self.failed = 0
        self._enabled = enabled
        self._console = console or error_console()
        self._clock = clock
        self._started = clock()
        self._running: dict[str, str] = {}
        self._queue = ""
        self._metrics: list[MetricDefinition] = []
        self._first: list[list[str]] = []
        self._latest: deque[list[str]] = deque(maxlen=_LATEST_ROWS)
        self._next_line_at = 0.0
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._lines: PacedLines | None = None

    def __enter__(self) -> SweepProgress:
        self._started = self._clock()
        if self.skipped:
            self.note(f"{self.title}: {self.skipped} of {self.total} runs are done already and are skipped")
        if self._enabled and self._console.is_terminal and self.skipped < self.total:
            self._live = Live(
                get_renderable=self.render,
                console=self._console,
                refresh_per_second=_REFRESH_PER_S,
                transient=True,
                redirect_stdout=sys.stdout.isatty(),
            )
            self._live.start()
        elif self._enabled:
            self._lines = PacedLines(self.note).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._lines is not None:
            self._lines.__exit__()
            self._lines = None

    def note(self, text: str) -> None:
        """Print a line above the live view."""
        if self._enabled:
            self._console.print(Text(text), soft_wrap=True)

    def extend(self, more: int, skipped: int = 0) -> None:
        """Add points to the sweep that were not planned at its start, `skipped` of them done before."""
        with self._lock:
            self.total += more
            self.skipped += skipped

    def started(self, description: str) -> None:
        """Say which point is being run now."""
        self._show(description, "")

    def progress(self, description: str, fraction: float, text: str) -> None:
        """Say how far a point is that is being run; may be called from any thread.

        Args:
            description: as for `update`.
            fraction: 0 to 1.
            text: what it is doing.
        """
        self._show(description, f"{percent(fraction)} {text}")

    def _show(self, description: str, state: str) -> None:
        with self._lock:
            self._running[_short(description)] = state
        if self._lines is not None and state:
            self._lines.report(f"{self.title} running {_short(description)}  {state}")

    def queue(self, words: str) -> None:
        """Say how many points wait and run on a cluster; an empty text when none does."""
        self._queue = words

    def update(self, description: str, outcome: RunOutcome) -> None:
        """Count an outcome and show it; may be called from any thread.

        Args:
            description: overrides that name the point, e.g. `workload=rush backend.servers=4`.
            outcome: the result of it; a run that turned out to be done before counts as skipped.
        """
        with self._lock:
            if outcome.skipped:
                self.skipped += 1
            elif outcome.status == "done":
                self.done += 1
            else:
                self.failed += 1
            self._running.pop(_short(description), None)
            if self._lines is not None:
                self._lines.report("")
            if not self._metrics:
                self._metrics = headline_metrics(outcome.metrics)
            row = self._row(_short(description), outcome)
            if len(self._first) < _FIRST_ROWS:
                self._first.append(row)
            else:
                self._latest.append(row)
            if self._enabled and self._live is None:
                self._log(row, outcome)

    def remaining_s(self) -> float | None:
        """Return the expected remaining time; None before anything was carried out."""
        executed = self.done + self.failed
        if executed == 0:
            return None
        left = self.total - self.skipped - executed
        return (self._clock() - self._started) / executed * left

    def _row(self, point: str, outcome: RunOutcome) -> list[str]:
        mark = "skipped" if outcome.skipped else outcome.status
        if outcome.failure is not None:
            return [mark, f"{point}  {outcome.failure.stage}: {outcome.failure.message}"]
        return [
            mark,
            point,
            *(format_value(outcome.metrics.get(metric.name), metric.unit) for metric in self._metrics),
        ]

    def _log(self, row: Sequence[str], outcome: RunOutcome) -> None:
        finished = self.skipped + self.done + self.failed
        executed = self.done + self.failed
        due = finished >= self._next_line_at or finished == self.total
        if not (due or executed <= _FIRST_ROWS or outcome.status != "done"):
            return
        if due:
            self._next_line_at = finished + self.total / _LINES_PER_SWEEP
        share = 100 * finished // max(self.total, 1)
        line = f"{self.title} {finished}/{self.total} ({share} %)  {row[0]}  {row[1]}"
        shown = zip(self._metrics, row[2:], strict=False)  # a failed run has no metrics
        line += "".join(f"  {metric.name}={text}" for metric, text in shown if text != ABSENT)
        left = self.remaining_s()
        if left is not None and finished < self.total:
            line += f"  about {format_duration(left)} left"
        self._console.print(Text(line), soft_wrap=True)

    def render(self) -> Group:
        """Return the live view: results so far, and the bar."""
        with self._lock:
            parts = [self._results(), self._bar(), self._counts(), *self._states()]
        return Group(*(part for part in parts if part is not None))

    def _results(self) -> Table | None:
        if not self._first:
            return None
        rows = [*self._first, *self._latest]
        hidden = self.done + self.failed - len(rows)
        status = max(len(row[0]) for row in rows)
        metrics, room = self._that_fit(rows, self._console.width - status - _COLUMN_GAP)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("", width=status)
        run = max(len("run"), *(cell_len(row[1]) for row in rows))
        table.add_column("run", overflow="ellipsis", no_wrap=True, width=max(1, min(run, room)))
        for metric, width in metrics:
            unit = f"\n{metric.unit}" if metric.unit else ""
            table.add_column(f"{metric.name}{unit}", justify="right", no_wrap=True, width=width)
        for number, row in enumerate(rows):
            if number == len(self._first) and hidden > 0:
                table.add_row("", Text(f"… {hidden} more", style="dim"))
            style = {"done": "green", "failed": "red"}.get(row[0], "yellow")
            table.add_row(Text(row[0], style=style), *(Text(text) for text in row[1:][: len(metrics) + 1]))
        return table

    def _that_fit(
        self, rows: Sequence[Sequence[str]], room: int
    ) -> tuple[list[tuple[MetricDefinition, int]], int]:
        """Return the metrics that have room next to the runs' names, with their widths, and the names' room."""
        chosen: list[tuple[MetricDefinition, int]] = []
        for place, metric in enumerate(self._metrics, start=2):
            texts = [metric.name, metric.unit, *(row[place] for row in rows if place < len(row))]
            width = max(map(cell_len, texts))
            least = _RUN_WIDTH if chosen else _LEAST_RUN_WIDTH
            if room - width - _COLUMN_GAP < least:
                break
            chosen.append((metric, width))
            room -= width + _COLUMN_GAP
        return chosen, room

    def _bar(self) -> Table:
        finished = self.skipped + self.done + self.failed
        left = self.remaining_s()
        grid = Table.grid(padding=(0, 1))
        grid.add_row(
            Text(self.title, style="bold"),
            ProgressBar(max(self.total, 1), finished, width=30),
            Text(f"{finished}/{self.total}"),
            Text(format_duration(self._clock() - self._started)),
            Text(f"about {format_duration(left)} left" if left else "", style="cyan"),
        )
        return grid

    def _counts(self) -> Text:
        text = Text(f"{self.done} done")
        if self.skipped:
            text.append(f" · {self.skipped} skipped", style="yellow")
        if self.failed:
            text.append(f" · {self.failed} failed", style="red")
        if self._queue:
            text.append(f" · {self._queue}", style="cyan")
        return text

    def _states(self) -> Iterator[Text]:
        """Yield a line for each of the first few points that are being run."""
        for point, state in list(self._running.items())[:_MOST_RUNNING]:
            line = Text("running ", style="dim", no_wrap=True, overflow="ellipsis")
            yield line.append(point).append(f"  {state}", style="cyan")
        if len(self._running) > _MOST_RUNNING:
            yield Text(f"… and {len(self._running) - _MOST_RUNNING} more", style="dim")


def headline_metrics(metrics: Mapping[str, float | None]) -> list[MetricDefinition]:
    """Return up to five metrics with a value: the headlines; without any, those with a direction.

    Of the latter one of each kind: `itl_mean_ms` represents all metrics whose name starts with `itl`.
    """
    present = [d for d in plugins.metric_definitions().values() if metrics.get(d.name) is not None]
    directed = {d.name.split("_")[0]: d for d in reversed(present) if d.better != "none"}
    chosen = [d for d in present if d.headline] or [d for d in present if d in directed.values()]
    return chosen[:_MAX_METRICS]


def _short(description: str) -> str:
    """`workload=rush backend.servers=4` → `workload=rush servers=4`."""
    words = []
    for word in description.split():
        key, separator, value = word.partition("=")
        words.append(f"{key.rpartition('.')[2]}{separator}{value}" if separator else word)
    return " ".join(words)
