"""The documentation as a web site: it builds without a warning and loads nothing from a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from framework.cli.verbs import build_app
from framework.configuration.search_path import config_groups, group_files
from framework.plugins import metric_definitions
from tests.docs.pages import ROOT

pytest.importorskip("mkdocs", reason="needs the extra docs")
pytestmark = pytest.mark.slow

_LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*?\bsrc=[\"']?([^\"' >]+)"
    r"|<link\b[^>]*?\bhref=[\"']?([^\"' >]+)|url\(([^)]+)\)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_nothing_on_a_page_is_loaded_from_a_network(site: Path) -> None:
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(files) > 30
    loaded = {
        (str(file.relative_to(site)), target)
        for file in files
        for match in _LOADED.finditer(file.read_text())
        if re.match(r"['\"]?(https?:)?//", target := next(filter(None, match.groups()), ""))
    }
    assert loaded == set()


def test_the_reference_has_every_verb_metric_and_option(site: Path) -> None:
    text = {page.stem: page.read_text() for page in (site / "reference").glob("*.html")}
    verbs = getattr(typer.main.get_command(build_app()), "commands", {})
    assert {verb for verb in verbs if f'id="{verb}' not in text["verbs"]} == set()
    assert {name for name in metric_definitions() if f"<code>{name}</code>" not in text["metrics"]} == set()
    options = {option for group in config_groups() for option in group_files(group)}
    assert {name for name in options if f"<code>{name}</code>" not in text["configuration"]} == set()


def test_pictures_are_small_and_every_one_is_shown() -> None:
    pictures = [*(ROOT / "docs" / "images").glob("*.png")]
    assert pictures
    assert {file.name for file in pictures if file.stat().st_size > 300_000} == set()
    shown = "".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    assert {file.name for file in pictures if f"images/{file.name})" not in shown} == set()
