"""The live view of a sweep: plain lines in a log, counts, remaining time."""

import io

import pytest
from rich.console import Console

from framework.report.terminal import paced_lines
from framework.report.terminal.sweep_progress import SweepProgress, headline_metrics
from framework.run_record import Failure, RunOutcome
from tests.support.waiting import wait_for


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def outcome(total: float = 1000.0) -> RunOutcome:
    return RunOutcome("r", "done", metrics={"total_tok_s": total, "itl_mean_ms": 12.5, "itl_p99_ms": 20.0})


FAILED = RunOutcome("r", "failed", failure=Failure("backend", "MemoryError", "no room for one request"))


def log(total: int, skipped: int = 0) -> tuple[SweepProgress, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    console = Console(file=stream, width=200, force_terminal=False)
    return SweepProgress("study", total, skipped, console=console, clock=clock), stream, clock


def test_a_log_shows_the_first_results_at_once_with_point_and_metrics() -> None:
    progress, stream, clock = log(1000)
    with progress:
        clock.now += 2
        progress.update("model=opt-1.3b backend.max_num_seqs=32", outcome())
    line = stream.getvalue().strip()
    assert line.startswith("study 1/1000 (0 %)  done  model=opt-1.3b max_num_seqs=32")
    assert "total_tok_s=1000" in line
    assert "itl_mean_ms=12.50" in line
    assert line.endswith("about 33 min 18 s left")


def test_a_log_of_a_thousand_runs_stays_readable_and_ends_with_the_last_run() -> None:
    progress, stream, _ = log(1000)
    with progress:
        for _ in range(1000):
            progress.update("x=1", outcome())
    written = stream.getvalue().splitlines()
    assert 20 <= len(written) <= 26
    assert "1000/1000 (100 %)" in written[-1]


def test_every_failure_is_a_line_with_its_reason() -> None:
    progress, stream, _ = log(1000)
    with progress:
        for number in range(100):
            progress.update(f"x={number}", FAILED if number in (57, 58) else outcome())
    failures = [line for line in stream.getvalue().splitlines() if "failed" in line]
    assert len(failures) == 2
    assert "x=57  backend: no room for one request" in failures[0]
    assert (progress.done, progress.failed) == (98, 2)


def test_a_run_that_takes_long_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced_lines, "FIRST_LINE_AFTER_S", 0.05)
    progress, stream, _ = log(10)
    with progress:
        for step in range(100):
            progress.progress("backend.x=1", step / 100, f"step {step}")
        progress.progress("backend.x=1", 1.0, "the last step")
        wait_for(stream.getvalue)
    assert stream.getvalue() == "study running x=1  100 % the last step\n"


def test_remaining_time_counts_only_what_was_carried_out() -> None:
    progress, stream, clock = log(100, skipped=50)
    with progress:
        assert progress.remaining_s() is None
        clock.now += 10
        progress.update("x=1", outcome())
        progress.update("x=2", RunOutcome("r", "done", skipped=True))
        assert progress.remaining_s() == pytest.approx(10 * 48)
    assert "50 of 100 runs are done already and are skipped" in stream.getvalue()
    assert progress.skipped == 51


def test_a_disabled_view_counts_but_prints_nothing() -> None:
    stream = io.StringIO()
    with SweepProgress("study", 2, 1, enabled=False, console=Console(file=stream)) as progress:
        progress.note("hello")
        progress.update("x=1", FAILED)
    assert stream.getvalue() == ""
    assert progress.failed == 1


def test_the_live_view_shows_first_and_latest_results_and_the_running_point() -> None:
    progress, _, _ = log(100)
    progress.update("x=0", FAILED)
    for number in range(1, 31):
        progress.update(f"x={number}", outcome(1000.0 + number))
    progress.started("backend.x=31")
    screen = io.StringIO()
    Console(file=screen, width=100).print(progress.render())
    text = screen.getvalue()
    for shown in (
        "x=0",
        "x=1",
        "x=2",
        "x=24",
        "x=30",
        "1030",
        "… 21 more",
        "31/100",
        "30 done",
        "1 failed",
        "running x=31",
    ):
        assert shown in text
    assert "x=3 " not in text
    assert "tok/s" in text


@pytest.mark.parametrize(("columns", "shown"), [(60, 1), (70, 2), (200, 3)])
def test_a_narrow_terminal_shows_fewer_metrics_and_these_whole(columns: int, shown: int) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=columns)
    progress = SweepProgress("study", 2, enabled=False, console=console)
    metrics = {"total_tok_s": 1000.0, "itl_mean_ms": 12.5, "energy_j": 777.0}
    progress.update("model=llama-2-13b backend.max_num_seqs=1024", RunOutcome("r", "done", metrics=metrics))
    console.print(progress.render())
    text = screen.getvalue()
    values = ("total_tok_s", "1000"), ("itl_mean_ms", "12.50"), ("energy_j", "777")
    assert [name in text and value in text for name, value in values] == [True] * shown + [False] * (
        3 - shown
    )
    assert "model=llama-2-13b" in text


def test_on_a_terminal_the_view_is_live_and_leaves_nothing_behind_but_notes() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    with SweepProgress("study", 2, console=console) as progress:
        progress.update("x=1", outcome())
        progress.note("a note")
    assert "a note" in stream.getvalue()
    assert stream.getvalue().rstrip().endswith("\x1b[2K")  # the last thing is the erased view


def test_headline_metrics_are_one_of_a_kind_with_a_direction_and_a_value() -> None:
    metrics = {
        "itl_mean_ms": 1.0,
        "itl_p99_ms": 2.0,
        "total_tok_s": 3.0,
        "running_mean": 4.0,
        "energy_j": None,
    }
    assert [metric.name for metric in headline_metrics(metrics)] == ["total_tok_s", "itl_mean_ms"]
