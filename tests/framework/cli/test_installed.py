from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from framework.cli.installed import show_doctor, show_plugins
from framework.contracts import TableBlock

Install = Callable[..., None]
Tables = dict[str, list[tuple[object, ...]]]


@pytest.fixture
def shown(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """The rows of every table that is printed, by its title."""
    tables: Tables = {}

    def keep(table: TableBlock) -> None:
        tables[table.title] = [tuple(row) for row in table.rows]

    monkeypatch.setattr("framework.report.terminal.terminal_tables.print_table", keep)
    return tables


def test_plugins_are_listed_with_hooks_groups_and_importers(shown: Tables) -> None:
    assert show_plugins() == 0
    ((name, distribution, module, hooks),) = shown["Plugins"]
    assert (name, distribution, module) == ("toy", "toy-study 1.0", "toy_study.plugin")
    assert "config_search_path" in str(hooks)
    options = dict(shown["Configuration groups"])
    assert "llama-2-7b" in str(options["model"])
    assert str(options["metrics"]).split(", ").count("toy") == 1
    assert "toy_schema" not in str(options)
    assert ("toy", "one speed a line") in shown["Importers"]


def test_a_plugin_that_failed_to_load_is_shown_and_is_the_exit_status(
    install: Install, monkeypatch: pytest.MonkeyPatch, shown: Tables
) -> None:
    install("broken-plugin", "broken = broken_plugin", broken_plugin="raise RuntimeError('no licence')")
    monkeypatch.setenv("FRAMEWORK_PLUGINS", "toy,broken")
    assert show_plugins() == 1
    assert ("broken", "broken-plugin 1.0", "broken_plugin", "FAILED: RuntimeError: no licence") in shown[
        "Plugins"
    ]


def test_the_doctor_lists_what_this_machine_has_and_what_mends_the_rest(shown: Tables) -> None:
    assert show_doctor() == 0
    rows = {row[1]: row for row in shown["This machine"]}
    assert rows["toy"] == ("–", "toy", "no toy here", "buy one")
    assert rows["python"][0] == "✓"
    assert rows["python"][3] == ""


def test_a_folder_that_cannot_be_written_comes_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, shown: Tables
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    show_doctor()
    (row,) = [row for row in shown["This machine"] if row[1] == "outputs folder"]
    assert row[0] == "✗"
    assert row[3] == "outputs_dir=FOLDER on the command line"
