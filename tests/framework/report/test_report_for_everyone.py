"""The report of a real study for everyone: screen reader, keyboard alone, dark page, phone, paper."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from framework.store.database.reader import Store
from tests.support.browser import BROWSER, SCREENS, Watched

pytest.importorskip("playwright.sync_api", reason="needs the extra dev")
pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra dev")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.integration,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]

PICTURES = Path(__file__).parents[3] / "outputs" / "report"
"""A picture of the report is left here, light, dark and on a phone."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the main study on a toy scale."""
    folder = tmp_path_factory.mktemp("report")
    study = ["+experiment=memory_gap", "scale=toy", f"outputs_dir={folder}/outputs", "progress=false"]
    for words in (study, ["report", "--outputs", f"{folder}/outputs", "--out", str(folder)]):
        subprocess.run(
            [sys.executable, "-m", "framework", *words], check=True, capture_output=True, timeout=600
        )
    return folder / "report.html"


@pytest.mark.parametrize("screen", SCREENS)
def test_it_is_accessible_and_fits_the_screen(browser: Any, report: Path, screen: str) -> None:
    seen = Watched(browser, screen)
    page = seen.open(f"file://{report}")
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(PICTURES / f"{screen}.png"))
    found = seen.problems()
    seen.context.close()
    assert (found, seen.complaints) == ({}, [])


def test_a_thing_has_one_colour_in_all_figures_and_each_figure_has_n_band_and_sql(
    watched: Watched, report: Path
) -> None:
    page = watched.open(f"file://{report}")
    script = """[...document.querySelectorAll('.plot')].flatMap((plot) => plot.data
      .filter((trace) => trace.type === 'scatter' && trace.legendgroup && typeof trace.line?.color === 'string')
      .map((trace) => [trace.legendgroup.split(',')[0], trace.line.color]))"""
    pairs = {tuple(pair) for pair in page.evaluate(script)}
    models = {"opt-1.3b", "opt-2.7b", "llama-2-7b", "llama-2-13b"}
    assert {name for name, _ in pairs} >= models
    assert len({colour for name, colour in pairs if name in models}) == len(models)
    assert len(pairs) == len({name for name, _ in pairs})
    store = Store(report.parent / "outputs")
    captions = page.locator("figcaption").all()
    assert len(captions) > 10
    for caption in captions:
        text = caption.text_content()
        assert re.search(r"\bn = \d", text)
        assert re.search("Bars|Whiskers|Single values", text)
        assert store.query(caption.locator("code").text_content()).num_rows > 0


def test_everything_is_reached_and_used_with_the_keyboard(watched: Watched, report: Path) -> None:
    page = watched.open(f"file://{report}")
    reached: list[str] = []
    for _ in range(400):
        page.keyboard.press("Tab")
        focused = page.evaluate("""() => {
          const on = document.activeElement;
          const rings = getComputedStyle(on).outlineStyle !== 'none';
          return [on.tagName, on.getAttribute('aria-label') ?? on.textContent.trim(), rings];
        }""")
        tag, name, rings = focused
        if tag == "BODY":
            break
        assert rings, f"no sign of the focus on {tag} {name}"
        reached.append(name)
        if name == "SQL of figure 1":
            page.keyboard.press("Enter")
            page.get_by_role("button", name="Copy the SQL of figure 1", exact=True).wait_for(state="visible")
        if name.startswith("total_tok_s"):
            page.keyboard.press("Enter")
            assert page.locator("th[aria-sort=ascending]").inner_text().startswith("total_tok_s")
    for name in ("Answer", "Results", "Copy the command", "PNG", "CSV", "SQL of figure 1", "Save as CSV"):
        assert name in reached
    assert any(name.startswith("total_tok_s") for name in reached)


def test_on_paper_the_figures_fit_answers_are_open_and_controls_are_gone(
    watched: Watched, report: Path
) -> None:
    page = watched.open(f"file://{report}")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function(
        "[...document.querySelectorAll('.main-svg')].every((plot) => plot.getBoundingClientRect().width <= 660)"
    )
    assert page.locator("#answer details:not(figcaption details):not([open])").count() == 0
    for gone in ("nav", ".controls", ".copy", ".save", "figcaption details"):
        assert not any(part.is_visible() for part in page.locator(gone).all())
    assert page.pdf().startswith(b"%PDF")
