"""Pictures of the documentation: what a terminal and a browser show of a small study.

Usage: python docs/site/pictures.py OUTPUTS, where OUTPUTS holds the runs of `+experiment=memory_gap`. Needs Chromium.
"""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = Path(__file__).parents[1] / "images"
_TERMINAL = (
    "<meta charset='utf-8'><body style='margin:0;background:#1b1e25;color:#e6e6e6'>"
    "<pre style='font:14px/1.35 monospace;padding:14px 18px;margin:0'>{}</pre>"
)
_COMMANDS = {
    "advise": (["advise", "--maximise", "output_tok_s", "--slo", "itl_p99_ms=30"], 21),
    "pareto": (["pareto", "total_tok_s", "itl_mean_ms", "--by", "model"], 22),
}


def screenshot(page: str, picture: Path, width: int, height: int) -> None:
    """Save what a browser shows of a page (a URL) as a PNG."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as profile:
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
        ]
        size = [f"--window-size={width},{height}", "--virtual-time-budget=15000", f"--screenshot={picture}"]
        subprocess.run([browser, *flags, *size, page], check=True, capture_output=True, timeout=120)


def terminal(arguments: list[str], lines: int, picture: Path, outputs: str) -> None:
    """Save what a command prints, up to a number of lines."""
    command = [sys.executable, "-m", "framework", *arguments, "--outputs", outputs]
    environment = {**os.environ, "COLUMNS": "124"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    shown = [
        f"$ python -m framework {' '.join(arguments)}",
        *(line.rstrip()[:124] for line in done.stdout.splitlines()),
    ]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(_TERMINAL.format(html.escape("\n".join(shown[:lines]))))
        screenshot(f"file://{page}", picture, 1090, 28 + 19 * min(lines, len(shown)))


def main(outputs: str) -> None:
    """Make all pictures."""
    for name, (arguments, lines) in _COMMANDS.items():
        terminal(arguments, lines, IMAGES / f"{name}.png", outputs)
    command = [
        sys.executable,
        "-m",
        "framework",
        "report",
        "--experiment",
        "memory_gap",
        "--outputs",
        outputs,
    ]
    subprocess.run(command, check=True)
    report = Path(outputs).resolve() / "reports" / "memory_gap" / "report.html"
    screenshot(f"file://{report}", IMAGES / "answer.png", 1100, 900)


if __name__ == "__main__":
    main(sys.argv[1])
