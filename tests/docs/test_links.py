"""Links, paths and modules that the documentation names are there."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", flags=re.DOTALL | re.MULTILINE)


def _links(page: Path) -> Iterator[str]:
    for match in _LINK.finditer(_FENCE.sub("", page.read_text())):
        target = match.group(1) or match.group(2)
        if not re.match(r"[a-z]+:", target):
            yield target


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them."""
    anchors: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), flags=re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(
            " ", "-"
        )
        number = sum(known == anchor or known.startswith(f"{anchor}-") for known in anchors)
        anchors.add(anchor if anchor not in anchors else f"{anchor}-{number}")
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


def test_there_are_pages_and_links_to_follow() -> None:
    assert len(PAGES) >= 4
    assert sum(1 for page in PAGES for _ in _links(page)) >= 10


_NAMED = re.compile(
    r"(?<![\w./:@-])((?:framework|plugins|conf|docs|tests|experiments|examples|benchmarks|\.ci)/[\w./*-]+)"
)
_MODULE = re.compile(r"`(framework(?:_\w+)?(?:\.\w+)+)`")
_EXAMPLE = ROOT / "examples" / "thirdparty_queue" / "src" / "framework_queue"
"""The plugin whose files the pages on plugins and experiments show."""


def _paths(page: Path) -> list[str]:
    """Return the paths of the source tree that a page names; `NAME` and the like stand for a user's own."""
    found = {match.rstrip(".") for match in _NAMED.findall(page.read_text())}
    return sorted(path for path in found if not re.search(r"[A-Z]{3,}", path.replace("README", "")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    homes = [ROOT, page.parent, _EXAMPLE]
    assert [path for path in _paths(page) if not any(any(home.glob(path)) for home in homes)] == []


def _stands(name: str) -> bool:
    """Return whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        return all((found := getattr(found, part, None)) is not None for part in parts[end:])
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_that_a_page_names_is_there(page: Path) -> None:
    names = set(_MODULE.findall(page.read_text())) - {"framework.duckdb"}  # the database's file
    assert [name for name in sorted(names) if not _stands(name)] == []


def test_there_are_paths_and_modules_to_look_for() -> None:
    assert sum(len(_paths(page)) for page in PAGES) > 50
    assert sum(len(_MODULE.findall(page.read_text())) for page in PAGES) > 10
