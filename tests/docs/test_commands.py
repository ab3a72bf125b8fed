"""Every study that the documentation shows can be composed: groups, options and keys exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from framework.configuration.components import build_component
from framework.configuration.composition import compose
from tests.docs.pages import PAGES, ROOT

_BLOCK = re.compile(r"^```(?:bash)?\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^(?:\S*python -m )?framework ([^\n]*)", flags=re.MULTILINE)
_OVERRIDE = re.compile(r"[+~\w./@]+=")
_SWEPT = re.compile(r"[\w./]+=[^\[{]*,")  # an axis of a sweep: a single composition has no value for it


def _commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        if page.is_relative_to(ROOT / "examples"):
            continue  # their plugins are not installed here
        for block in _BLOCK.findall(page.read_text()):
            for command in _COMMAND.findall(block.replace("\\\n", " ")):
                text = command.partition(" #")[0].strip()
                if _OVERRIDE.match(text) and "=NAME" not in text:
                    yield str(page.relative_to(ROOT)), text


COMMANDS = list(_commands())


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 20


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_study_of_the_documentation_can_be_composed(page: str, command: str) -> None:
    words = [word for word in shlex.split(command) if not word.startswith("-")]
    config = compose([word for word in words if not _SWEPT.match(word)])
    build_component(config, "backend")
    build_component(config, "workload")
    swept = {word.partition("=")[0] for word in words if _SWEPT.match(word)}
    if "+experiment" not in command and str(config.backend.get("name")) == "twin":
        for group in ("model", "gpu"):
            named = any(config[group].get(key) for key in ("name", "id", "path"))
            assert group in swept or named, f"the twin needs {group}=NAME"
