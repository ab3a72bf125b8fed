"""Tables on the terminal."""

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from framework.analysis.number_format import format_value
from framework.contracts import TableBlock
from framework.report.terminal.progress_bars import progress_over
from framework.report.terminal.sweep_progress import SweepProgress
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


_RUN_ID = "20261128T101131-34efedc5-9b0984"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    width=st.integers(40, 200),
    numbers=st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=9),
    text=st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=40),
    rows=st.integers(1, 3),
)
def test_at_every_width_no_digit_is_cropped_and_no_id_broken(
    width: int,
    numbers: list[int],
    text: str,
    rows: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    columns = ("run_id", "note", *(f"n{i}" for i in range(len(numbers))))
    print_table(TableBlock(f"{_RUN_ID} (done)", columns, [(_RUN_ID, text, *numbers)] * rows), as_data=True)
    shown = capsys.readouterr().out
    words = shown.split()
    assert shown.splitlines()[0] == f"{_RUN_ID} (done)"
    assert words.count(_RUN_ID) > rows
    for number in numbers:
        assert str(number) in words
    assert "…" not in shown.replace(text, "")


@settings(max_examples=40)
@given(
    width=st.integers(40, 200), value=st.floats(-1e12, 1e12), name=st.text("abcdef_", min_size=1, max_size=40)
)
def test_at_every_width_the_live_view_of_a_sweep_crops_no_digit(width: int, value: float, name: str) -> None:
    screen = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    progress = SweepProgress("toy", 3, enabled=False, console=screen)
    for count in range(12):
        progress.update(f"a.long.key.{name}={count}", RunOutcome("r", "done", metrics={"total_tok_s": value}))
    screen.print(progress.render())
    shown = screen.file.getvalue()
    if "total_tok_s" in shown:
        assert shown.count(format_value(value)) >= 10
    assert all(cell_len(line) <= width for line in shown.splitlines())


def test_a_query_shows_ids_years_and_tabs_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(TableBlock("", ("day", "port", "path"), [(20261128, 65535, "a\tb")]), as_data=True)
    assert lines(capsys)[2].split() == ["20261128", "65535", "a\\tb"]
