"""What the verb `advise` prints: the answers and what to paste, or what the advisors said."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from framework.analysis.number_format import format_value
from framework.analysis.objectives import check_names
from framework.cli.answers.followed_advice import follow
from framework.configuration.group_options import group_option
from framework.configuration.search_path import group_files
from framework.contracts import Json, StoreReader
from framework.errors import ConfigError, UserError
from framework.quantity import Quantity
from framework.report.answer_words import Answer, answer_lines, band, find_answers
from framework.report.terminal.terminal_tables import print_note
from framework.run.rebuild import chosen_options, stored_config
from framework.store.bundles.record_json import leaf_text, leaves
from framework.store.database.reader import Store


def show_answer(
    objective: str,
    slos: Sequence[str],
    per: str | None,
    by: Sequence[str],
    names: Sequence[str],
    outputs: Path,
    mixed: bool = False,
    mixed_models: bool = False,
) -> None:
    """Print the answers. Raises as `find_answers`."""
    store = Store(outputs)
    found = find_answers(store, objective, slos, per, by, names, mixed, mixed_models)
    for answer in found.answers:
        for line in answer_lines(answer):
            print(line)
        for line in _to_paste(store, answer):
            print(line)
        print()
    for line in found.without:
        print(f"no answer for {line}")
    print_note(f'the runs behind it: python -m framework sql "{found.query}"')


def _to_paste(store: StoreReader, answer: Answer) -> Iterator[str]:
    """Yield the command of the framework for the setting, and the engine's own."""
    run = answer.choice.best.run_ids[0]
    params = store.query("SELECT name, value FROM params WHERE run_id = ?", [run]).to_pylist()
    texts = {row["name"]: row["value"] for row in params}
    (place,) = store.query("SELECT experiment FROM runs WHERE run_id = ?", [run])["experiment"].to_pylist()
    words = overrides(store, answer, run, texts)
    if words and not (place or "").startswith("import:"):  # an imported run was composed of nothing
        yield f"  run it  python -m framework {words}"
    else:
        yield f"  run it  not from here: run {run} was imported"
    yield from _engine_commands(texts)


def _engine_commands(params: Mapping[str, str | None]) -> Iterator[str]:
    """Yield the engine's own commands for a configuration, dotted name → text."""
    from framework.plugins import ask

    for _, commands in ask("engine_commands", str, config=stored_config(params)):
        for command in commands:
            yield f"  engine  {command}"


def overrides(store: StoreReader, answer: Answer, run: str, params: Mapping[str, str | None]) -> str:
    """Return the overrides that compose a setting: the options of all groups, then all that the run has otherwise.

    What was varied is named last; what was set for all runs alike (their load) is needed to run the same again.
    """
    options = chosen_options(store, [run]).get(run, {})
    words = {group: option for group, option in options.items() if group in _GROUPS}
    for group, option in list(words.items()):
        for name, value in _changed(group, option, params):
            words[name] = value
    for name, values in answer.parameters.items():
        group = name.removesuffix(".name")
        if run in values and group not in words and not (options and name in words):
            words[group] = values[run].lower() if group != name else values[run]
    return " ".join(shlex.quote(f"{name}={value}") for name, value in words.items())


def _changed(group: str, option: str, params: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of a run's settings that its option of a group does not give; seeds make repeats."""
    try:
        usual = {name: leaf_text(value) for name, value in leaves({group: group_option(group, option)})}
    except ConfigError:
        return  # the option is a file that this machine lacks
    for name, value in params.items():
        if name not in usual or name.endswith((".seed", "._target_", ".name")):
            continue
        if usual[name] != value and not _same_number(usual[name], value):
            yield name, "null" if value is None else value


def _same_number(a: str | None, b: str | None) -> bool:
    try:
        return a is not None and b is not None and float(a) == float(b)
    except ValueError:
        return False


_GROUPS = frozenset({"backend", "model", "gpu", "workload"})


def show_advice(names: Sequence[str], outputs: Path, must: bool, run: bool = False) -> int:
    """Print what the advisors said of the runs, the latest of each on each subject; `run` follows it.

    Raises:
        UserError: there is none and `must` is set.
    """
    store = Store(outputs)
    check_names(store, names)
    rows = store.query(
        "SELECT experiment, advisor, subject, overrides, metric, predicted, low, high, reason, recommendation,"
        " run_ids, facts FROM advice"
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
        for line in _parts(json.loads(row["facts"])):
            print(line)
        print(f"  why     {row['reason']}")
        if row["overrides"]:
            print(f"  run it  python -m framework {_study(row)}")
            for line in _engine_commands(_advised(store, row["run_ids"], json.loads(row["recommendation"]))):
                print(line)
    again = [row for row in rows if run and row["overrides"] and row["predicted"] is not None]
    return max((follow(row, _study(row), outputs) for row in again), default=0)


def _study(advice: Mapping[str, str]) -> str:
    plus = "+" if advice["experiment"] in group_files("experiment") else ""
    return f"{plus}experiment={advice['experiment']} {advice['overrides']}"


def _parts(facts: Mapping[str, Json]) -> Iterator[str]:
    """Yield what advice says of other settings, as `answer_lines` does."""
    for name in ("beats", "sure", "changes"):
        said = facts.get(name) or []
        for text in said if isinstance(said, list) else [said]:
            yield f"  {name:7} {text}"


def _advised(
    store: StoreReader, run_ids: Sequence[str], recommended: Mapping[str, Json]
) -> dict[str, str | None]:
    """Return the settings that advice means: those of the run behind it that is most like it, and its own."""
    wanted = {name: leaf_text(value) for name, value in recommended.items()}
    rows = store.query(
        "SELECT run_id, name, value FROM params WHERE run_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY ALL",
        [list(run_ids)],
    ).to_pylist()
    runs: dict[str, dict[str, str | None]] = {}
    for row in rows:
        runs.setdefault(row["run_id"], {})[row["name"]] = row["value"]

    def alike(params: Mapping[str, str | None]) -> int:
        return sum(params.get(name, params.get(f"{name}.name")) == value for name, value in wanted.items())

    nearest = max(runs.values(), key=alike, default={})
    return nearest | {name: value for name, value in wanted.items() if "." in name}
