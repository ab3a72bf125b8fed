"""Tables on the terminal."""

import pytest

from framework.contracts import TableBlock
from framework.report.terminal.progress_bars import progress_over
from framework.report.terminal.terminal_tables import (
    print_failures,
    print_note,
    print_outcome,
    print_table,
)
from framework.run_record import Failure, RunOutcome


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_numbers_are_rounded_aligned_right_and_absent_ones_are_a_dash(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [("opt-1.3b", 21734.21, None), ("llama-2-13b", 8.25, 0.5)]
    print_table(TableBlock("Results", ("model", "total_tok_s", "energy_j"), rows))
    title, head, units, _, first, second, *_ = lines(capsys)
    assert title == "Results"
    assert units.split() == ["tok/s", "J"]
    assert first.split() == ["opt-1.3b", "21,734", "–"]
    assert second.split() == ["llama-2-13b", "8.250", "0.5"]
    assert first.index("21,734") + len("21,734") == second.index("8.250") + len("8.250")
    assert head.split() == ["model", "total_tok_s", "energy_j"]


@pytest.mark.usefixtures("width")
def test_a_wide_table_is_folded_and_every_part_names_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ("model", "batch", *(f"metric_number_{i}" for i in range(9)))
    rows = [("opt", batch, *(1000.0 * i + batch for i in range(9))) for batch in (1, 2)]
    print_table(TableBlock("Wide", columns, rows))
    shown = lines(capsys)
    assert max(len(line) for line in shown) <= 60
    heads = [line.split() for line in shown if line.startswith("model")]
    assert len(heads) > 1
    assert all(head[:2] == ["model", "batch"] for head in heads)
    assert [name for head in heads for name in head[2:]] == list(columns[2:])
    assert "8002" in " ".join(shown)


@pytest.mark.usefixtures("width")
def test_long_texts_wrap_and_lose_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    text = "a reason that is far too long for one line of a narrow terminal"
    print_table(TableBlock("", ("run", "reason"), [("r1", text)]))
    body = " ".join(line.strip().removeprefix("r1") for line in lines(capsys)[2:])
    assert text.split() == body.split()


def test_rows_that_are_not_shown_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(TableBlock("", ("n",), [(n,) for n in range(1300)]), max_rows=100)
    assert "… 1,200 more rows" in lines(capsys)


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(TableBlock("Nothing", ("a", "b"), [], caption="why"))
    assert "(no rows)" in (shown := lines(capsys))
    assert "why" in shown


def test_brackets_in_cells_are_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(TableBlock("[bold]", ("a[/]", "b"), [("[red]x[/red]", "[/]")]))
    print_note("[1,2] done")
    captured = capsys.readouterr()
    assert "[red]x[/red]" in captured.out
    assert "a[/]" in captured.out
    assert captured.err == "[1,2] done\n"


def test_failures_show_where_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    print_failures([("batch=9", Failure("backend", "MemoryError", "no room")), ("batch=10", None)])
    shown = " ".join(lines(capsys))
    assert "2 runs failed" in shown
    assert "backend MemoryError no room" in " ".join(shown.split())


def test_a_single_runs_metrics_come_in_their_defined_order_with_units(
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = {"other": 1.0, "energy_j": None, "total_tok_s": 1234.5}
    print_outcome(RunOutcome("r1", "done", metrics=metrics))
    words = [line.split() for line in lines(capsys) if line]
    assert words[0] == ["r1", "(done)"]
    assert words[3:] == [["total_tok_s", "1234", "tok/s"], ["energy_j", "–", "J"], ["other", "1"]]


def test_progress_over_yields_everything_and_keeps_standard_output_clean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(progress_over([1, 2, 3], "counting")) == [1, 2, 3]
    assert capsys.readouterr().out == ""
