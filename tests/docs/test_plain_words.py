"""Documentation, help texts and messages use plain words: no phrase of a dialect that a reader has to guess."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from framework.cli.verbs import build_app
from tests.docs.pages import PAGES, ROOT

PLAIN = {
    r"tell(?:s|ing)?|told": "report, show, predict; tell apart: distinguish",
    r"is none": "is not a …, there is no …",
    r"(?<!there )(?<!here )(?:is|are) no (?!longer)": "is not a …",
    r"tak(?:e|es|ing) no part": "is not used, is held out",
    r"what (?:came|comes) (?:of|out)|(?:came|comes?) out": "result, is",
    r"whoever|whomever|whom": "name the process or the person",
    r"however (?:that|it|they|the)": "even if …",
    r"stands|stood": "is, is in",
    r"beside": "with, next to, in addition to",
    r"alike|likewise": "the same, both",
    r"known by|the like|one's own": "say what it is",
    r"at hand": "available",
    r"mend(?:s|ed)?": "fix",
    r"leans? on": "uses, is based on",
    r"lies": "is",
    r"nobody|somebody": "no process, no user, another program",
    r"anew": "again",
    r"dear(?:er|est)": "most expensive, slowest",
    r"pass(?:es)? for|taken for": "is treated as",
    r"flatters?": "is too optimistic",
    r"dealt": "assigned",
    r"holds? (?:no|a|an|the)": "contains; keep 'hold' for locks",
    r"setups": "configurations",
}
_ANY = re.compile(rf"\b(?:{'|'.join(PLAIN)})\b", re.IGNORECASE)
_PATTERN = {re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE): plain for phrase, plain in PLAIN.items()}
_FENCE = re.compile(r"^(```|~~~).*?^\1", flags=re.DOTALL | re.MULTILINE)
_SOURCES = sorted(
    [*(ROOT / "framework").rglob("*.py"), *(file for file in (ROOT / "plugins").glob("framework_*/**/*.py"))]
)


def found(text: str) -> list[str]:
    """Return each phrase in a text that has a plainer word, with that word."""
    flat = " ".join(text.split())
    return [
        f"'{flat[max(0, match.start() - 30) : match.end() + 30]}': instead of '{match.group()}' say: {plain}"
        for pattern, plain in _PATTERN.items()
        for match in pattern.finditer(flat)
    ]


def _skipped(nodes: list[ast.AST]) -> set[int]:
    """Return docstrings, and the parts of f-strings."""
    bodies = [node.body for node in nodes if isinstance(getattr(node, "body", None), list)]
    parts = [part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values]
    docstrings = [statement.value for body in bodies for statement in body if isinstance(statement, ast.Expr)]
    return {id(node) for node in (*docstrings, *parts)}


def messages(source: str) -> Iterator[str]:
    """Yield the texts of a module with more than one word, its docstrings apart; parts of an f-string as one."""
    nodes = list(ast.walk(ast.parse(source)))
    skipped = _skipped(nodes)
    for node in nodes:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield text


def helps(command: Any, words: str = "framework") -> Iterator[tuple[str, str]]:
    """Yield (verb, everything that its --help says) for a command and the ones below it."""
    texts = [command.help or "", *(getattr(option, "help", None) or "" for option in command.params)]
    yield words, "\n".join(texts)
    for name, verb in getattr(command, "commands", {}).items():
        yield from helps(verb, f"{words} {name}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_of_the_documentation_uses_plain_words(page: Path) -> None:
    assert found(_FENCE.sub("", page.read_text())) == []


def test_the_help_of_every_verb_uses_plain_words_and_has_an_example() -> None:
    verbs = dict(helps(typer.main.get_command(build_app())))
    assert {verb: phrases for verb, text in verbs.items() if (phrases := found(text))} == {}
    groups = {"framework", "framework executions"}
    assert [
        verb for verb, text in verbs.items() if verb not in groups and "Example: python -m" not in text
    ] == []


@pytest.mark.slow
def test_messages_in_the_sources_use_plain_words() -> None:
    phrases = {
        str(file.relative_to(ROOT)): [phrase for text in messages(source) for phrase in found(text)]
        for file in _SOURCES
        if _ANY.search(source := file.read_text())  # the parser is slow
    }
    assert {file: of_file for file, of_file in phrases.items() if of_file} == {}


@pytest.mark.parametrize(
    "text",
    [
        "index: 'x' is none",
        "The twin tells the latency.",
        "Which lies in the cache, likewise.",
        "is no number",
    ],
)
def test_a_phrase_of_the_list_is_found(text: str) -> None:
    assert found(text)


@pytest.mark.parametrize("text", ["There is no report.", "It is no longer used.", "a stand-in for NVML"])
def test_plain_english_is_not_reported(text: str) -> None:
    assert found(text) == []
