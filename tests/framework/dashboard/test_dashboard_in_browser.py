"""The real dashboard in a real browser, over a store made by the main study on a toy scale."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.store.database.reader import Store
from framework.store.side_files.sweep_plans import SweepPlan, save_plan
from tests.support.browser import BROWSER, SCREENS, Watched

pytest.importorskip("playwright.sync_api", reason="needs the extra dev")
pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra dev")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "outputs" / "dashboard"
"""A picture of each page is left here, light, dark and on a phone."""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the main study, with samples and requests, and a prediction."""
    folder = tmp_path_factory.mktemp("browser") / "outputs"
    study = ["+experiment=memory_gap", "scale=toy", f"outputs_dir={folder}", "progress=false"]
    subprocess.run([sys.executable, "-m", "framework", *study], check=True, capture_output=True, timeout=300)
    asked = ["predict", "total_tok_s", "--grid", "max_num_seqs=*", "--outputs", str(folder)]
    subprocess.run([sys.executable, "-m", "framework", *asked], capture_output=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def home(outputs: Path) -> Iterator[str]:
    """The address of the running dashboard."""
    command = [sys.executable, "-m", "framework", "dashboard", "--port", "0", "--outputs", str(outputs)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = re.match(r"(http://\S+)", server.stdout.readline())
        assert address is not None
        yield address.group(1).rstrip("/")
    finally:
        os.kill(server.pid, signal.SIGINT)
        server.wait(30)


def addresses(outputs: Path) -> dict[str, str]:
    _, [(run_id,)] = Store(outputs).rows(
        "SELECT run_id FROM runs WHERE status = 'done' ORDER BY run_id LIMIT 1"
    )
    return {
        "overview": "/",
        "runs": "/runs",
        "experiment": "/experiment?name=memory_gap",
        "evidence": "/experiment?name=memory_gap&part=evidence",
        "run": f"/run/{run_id}",
        "pareto": "/pareto?by=model",
        "effects": "/effects",
        "cost": "/cost?price=2.5",
        "predictions": "/predictions",
        "compare": "/compare?a=memory_gap&b=memory_gap",
        "what_if": "/what-if",
        "live": "/live",
        "sql": "/sql?q=SELECT * FROM latest",
        "refused": "/nothing",
    }


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_is_free_of_errors_accessible_and_fits_the_screen(
    browser: Any, home: str, outputs: Path, screen: str
) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    seen = Watched(browser, screen)
    for name, address in addresses(outputs).items():
        if name == "evidence" and screen != "light":
            continue  # the figures of the report, which has tests of its own for screens
        page = seen.open(home + address)
        page.screenshot(path=str(PICTURES / f"{name}_{screen}.png"), full_page=name != "runs")
        found |= {f"{name}: {problem}": place for problem, place in seen.problems().items()}
    seen.context.close()
    complaints = [
        text for text in seen.complaints if "404 (Not Found)" not in text
    ]  # of the page that is not there
    assert (found, complaints) == ({}, [])


def test_filters_choose_runs_and_stay_in_the_address(watched: Watched, home: str) -> None:
    page = watched.open(f"{home}/runs")
    everything = page.locator("#total").inner_text()
    page.get_by_label("words or conditions").fill("max_num_seqs>=4")
    watched.follow(page.get_by_role("button", name="Apply"))
    assert "q=max_num_seqs" in page.url
    filtered = page.locator("#total").inner_text()
    assert filtered != everything
    assert watched.open(page.url).locator("#total").inner_text() == filtered
    watched.follow(page.get_by_role("link", name="total_tok_s"))
    texts = page.locator("table.listing tbody tr").count()
    assert texts > 1


def test_the_axes_of_the_front_change_the_figure(watched: Watched, home: str) -> None:
    page = watched.open(f"{home}/pareto?up=total_tok_s&across=itl_mean_ms")
    assert "itl_mean_ms" in page.locator(".xtitle").first.text_content()
    page.get_by_label("axis across").select_option("ttft_p99_ms")
    watched.follow(page.get_by_role("button", name="Show"))
    assert "ttft_p99_ms" in page.locator(".xtitle").first.text_content()


def test_a_query_has_rows_and_files_and_an_error_has_words(watched: Watched, home: str) -> None:
    page = watched.open(f"{home}/sql")
    page.get_by_label("One SELECT").fill("SELECT model, count(*) AS runs FROM runs GROUP BY ALL")
    watched.follow(page.get_by_role("button", name="Run"))
    assert page.get_by_role("columnheader", name="runs").count() == 1
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert Path(download.value.path()).read_text().startswith("model,runs\n")
    page.get_by_label("One SELECT").fill("DROP TABLE runs")
    watched.follow(page.get_by_role("button", name="Run"))
    assert "read-only" in page.get_by_role("alert").inner_text()


def test_a_slider_asks_the_twin_again(watched: Watched, home: str) -> None:
    page = watched.open(f"{home}/what-if")
    before = page.locator("#what-if-answer p").first.inner_text()
    slider = page.locator('input[data-name="rate_rps"]')
    slider.focus()
    slider.press("End")
    page.wait_for_function(
        "(text) => document.querySelector('#what-if-answer p').innerText !== text", arg=before
    )
    watched.drawn()
    assert "rate_rps=100" in page.url
    assert page.locator("#what-if-answer table").count() == 1


def test_the_live_view_shows_a_sweep_that_begins_while_it_is_open(
    watched: Watched, home: str, outputs: Path
) -> None:
    page = watched.open(f"{home}/live")
    plan = SweepPlan(
        "later-123", "later", "2099-01-01T00:00:00+00:00", "code", {}, [{"overrides": ["x=1"]}], ["k"]
    )
    file = save_plan(outputs, plan)
    page.get_by_role("heading", name="later-123").wait_for()
    assert "1 open" in page.locator("#live").inner_text()
    file.unlink()
