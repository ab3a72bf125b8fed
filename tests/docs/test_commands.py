"""Every command that the documentation shows is one: studies can be composed, verbs take their options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from framework.cli.verbs import build_app
from framework.configuration.components import build_component
from framework.configuration.composition import compose
from tests.docs.pages import PAGES, ROOT, blocks

_OVERRIDE = re.compile(r"[+~\w./@]+=")
_SWEPT = re.compile(r"[\w./]+=[^\[{]*,")  # an axis of a sweep: a single composition has no value for it


def _commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        if page.is_relative_to(ROOT / "examples"):
            continue  # their plugins are not installed here
        for block in blocks(page):
            if block.language in ("", "bash"):
                yield from (
                    (str(page.relative_to(ROOT)), shlex.join(words)) for _, words in block.commands() if words
                )


def _is_study(command: str) -> bool:
    return bool(_OVERRIDE.match(shlex.split(command)[0]))


EVERY = sorted(set(_commands()))
OWN_FOLDER = "--config-dir"  # options of the reader's own: the test that runs the tutorials has them
PLUGIN = (
    "queue_staffing",
    "=conveyor",
    "maritime_",
    "cova_",
    "phases",
    "erlang-c",
)  # distributions of their own
COMMANDS = [
    (page, command)
    for page, command in EVERY
    if _is_study(command) and "=NAME" not in command and not any(name in command for name in PLUGIN)
]
VERBS = [
    (page, command)
    for page, command in EVERY
    if re.match(r"[a-z]", command)
    and not _is_study(command)
    and OWN_FOLDER not in command
    and not any(name in command for name in PLUGIN)
]


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 20
    assert len(VERBS) > 60


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_study_of_the_documentation_can_be_composed(page: str, command: str) -> None:
    words = [word for word in shlex.split(command) if not word.startswith(("-", "experiment="))]
    config = compose([word for word in words if not _SWEPT.match(word)])
    build_component(config, "backend")
    build_component(config, "workload")
    swept = {word.partition("=")[0] for word in words if _SWEPT.match(word)}
    if "+experiment" not in command and str(config.backend.get("name")) == "twin":
        for group in ("model", "gpu"):
            named = any(config[group].get(key) for key in ("name", "id", "path"))
            assert group in swept or named, f"the twin needs {group}=NAME"


def test_a_verb_of_the_documentation_takes_the_options_that_are_shown() -> None:
    app: Any = typer.main.get_command(build_app())
    refused = {}
    for page, command in VERBS:
        words = shlex.split(command)
        verb = app
        while words and words[0] in getattr(verb, "commands", {}):
            verb = verb.commands[words.pop(0)]
        try:
            assert verb is not app, f"no verb {words[0]}"
            if "--help" not in words:
                verb.make_context("framework", list(words))
        except Exception as error:
            refused[f"{page}: {command}"] = str(getattr(error, "message", error))
    assert refused == {}
