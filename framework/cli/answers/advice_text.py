"""What the verb `advise` prints: the answers and what to paste, or what the advisors said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from framework.analysis.objectives import check_names
from framework.contracts import StoreReader
from framework.errors import UserError
from framework.quantity import Quantity
from framework.report.answer_words import Answer, answer_lines, band, find_answers
from framework.report.number_format import format_value
from framework.report.terminal.terminal_tables import print_note
from framework.run.rebuild import chosen_options, stored_config
from framework.store.database.reader import Store


def show_answer(
    objective: str,
    slos: Sequence[str],
    per: str | None,
    by: Sequence[str],
    names: Sequence[str],
    outputs: Path,
    mixed: bool = False,
) -> None:
    """Print the answers. Raises as `find_answers`."""
    store = Store(outputs)
    answers, query = find_answers(store, objective, slos, per, by, names, mixed)
    for answer in answers:
        for line in answer_lines(answer):
            print(line)
        for line in _to_paste(store, answer):
            print(line)
        print()
    print_note(f'the runs behind it: python -m framework sql "{query}"')


def _to_paste(store: StoreReader, answer: Answer) -> Iterator[str]:
    """Yield the command of the framework for the setting, and the engine's own."""
    from framework.plugins import ask

    run = answer.choice.best.run_ids[0]
    params = store.query("SELECT name, value FROM params WHERE run_id = ?", [run]).to_pylist()
    yield f"  run it  python -m framework {overrides(store, answer, run)}"
    config = stored_config({row["name"]: row["value"] for row in params})
    for _, commands in ask("engine_commands", str, config=config):
        for command in commands:
            yield f"  serve   {command}"


def overrides(store: StoreReader, answer: Answer, run: str) -> str:
    """Return the overrides that compose a setting: the options of all groups, then what was varied beside them."""
    options = chosen_options(store, [run]).get(run, {})
    words = {group: option for group, option in options.items() if group in _GROUPS}
    for name, values in answer.parameters.items():
        group = name.removesuffix(".name")
        if run in values and group not in words:
            words[group] = values[run].lower() if group != name else values[run]
    return " ".join(f"{name}={value}" for name, value in words.items())


_GROUPS = frozenset({"backend", "model", "gpu", "workload"})


def show_advice(names: Sequence[str], outputs: Path, must: bool) -> int:
    """Print what the advisors said of the runs, the latest of each on each subject.

    Raises:
        UserError: there is none and `must` is set.
    """
    store = Store(outputs)
    check_names(store, names)
    rows = store.query(
        "SELECT experiment, advisor, subject, overrides, metric, predicted, low, high, reason FROM advice"
        " WHERE len(?::VARCHAR[]) = 0 OR list_has_any(?::VARCHAR[], list_concat([experiment, sweep_id], run_ids))"
        " QUALIFY advised_at = max(advised_at) OVER (PARTITION BY experiment, advisor, subject)"
        " ORDER BY ALL",
        [list(names), list(names)],
    ).to_pylist()
    if not rows:
        if must:
            raise UserError(
                "no advisor has spoken about these runs; ask with --maximise METRIC or --minimise METRIC"
            )
        return 0
    if not must:
        advisors = ", ".join(sorted({row["advisor"] for row in rows}))
        command = " ".join(["advise", *(f"--from {name}" for name in names)])
        print_note(f"what the advisors ({advisors}) say of these runs: python -m framework {command}")
        return 0
    for row in rows:
        print(
            f"{row['subject'] or row['experiment']} ({row['advisor']}): use {row['overrides'] or 'nothing: see why'}"
        )
        if row["predicted"] is not None:
            within = (
                ""
                if row["low"] is None
                else f" ({band(Quantity(row['predicted'], row['low'], row['high']))})"
            )
            print(f"  gives   {row['metric']} {format_value(row['predicted'])}{within}")
        print(f"  why     {row['reason']}")
        if row["overrides"]:
            print(f"  run it  python -m framework +experiment={row['experiment']} {row['overrides']}")
    return 0
