"""A real browser for tests: pages with what the browser complained about, and what axe-core finds on them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
SCREENS = {"light": ("light", 1400), "dark": ("dark", 1400), "phone": ("light", 390)}
"""Name → colour scheme and width in pixels."""
_DRAWN = "[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg'))"
_PATIENCE_MS = 240_000


@contextmanager
def opened_browser() -> Iterator[Any]:
    """Yield Playwright's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Watched:
    """A page, with what the browser complained about."""

    def __init__(self, browser: Any, screen: str = "light") -> None:
        scheme, self.width = SCREENS[screen]
        self.context = browser.new_context(color_scheme=scheme, viewport={"width": self.width, "height": 900})
        self.context.set_default_timeout(_PATIENCE_MS)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda item: self._note(item.type, item.text))
        self.page.on("pageerror", lambda error: self._note("error", str(error)))
        self.page.on("requestfailed", self._note_failure)

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _note_failure(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # the browser's own end of a request when it leaves a page
            self._note("error", f"failed: {request.url} ({request.failure})")

    def open(self, address: str) -> Any:
        self.page.goto(address)
        self.drawn()
        return self.page

    def follow(self, control: Any) -> None:
        """Click what leads to another page, and wait until that page is here and drawn."""
        with self.page.expect_navigation():
            control.click()
        self.drawn()

    def drawn(self) -> None:
        """Wait until every figure is drawn."""
        self.page.wait_for_function(_DRAWN)

    def problems(self) -> dict[str, str]:
        """Return what axe-core finds, with its first place, and how wide the page is if it sticks out."""
        from axe_playwright_python.sync_playwright import Axe

        found = {
            problem["id"]: problem["nodes"][0]["html"][:200]
            for problem in Axe().run(self.page).response["violations"]
        }
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        return found | ({"wide": str(wide)} if wide > self.width else {})
