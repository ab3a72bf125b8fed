"""The report in a real browser, opened from file:// with every name unresolvable."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from framework.contracts import Figure, ReportScope, ReportSection
from framework.report.html.page import render_report, save_report
from tests.framework.report.conftest import Contribute
from tests.framework.report.sample_study import advice, store_of, study
from tests.support.browser import BROWSER

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]

READER = Path(__file__).with_name("reader.js")


def opened(file: Path, profile: Path) -> tuple[str, str]:
    """Return the page as the browser has it after its scripts ran, and what the browser logged."""
    assert BROWSER is not None
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND"),
        *("--enable-logging=stderr", "--window-size=1400,2000", "--virtual-time-budget=20000"),
        "--allow-file-access-from-files",
        *(f"--user-data-dir={profile}", "--dump-dom", f"file://{file}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


def test_the_report_works_from_a_file_without_network_or_console_errors(
    tmp_path: Path, contribute: Contribute, plotted_section: ReportSection
) -> None:
    contribute(plotted_section)
    store = store_of(tmp_path / "outputs", study(), [advice(["2026-00003"])])
    runs = store.query("SELECT run_id FROM runs").column(0).to_pylist()
    file = save_report(render_report(ReportScope(store, "study", runs)), tmp_path)
    html = file.read_text(encoding="utf-8")
    file.write_text(
        html.replace("</body>", f"<script>{READER.read_text()}</script></body>"), encoding="utf-8"
    )

    dom, log = opened(file, tmp_path / "profile")
    assert re.findall(r"CONSOLE.*", log) == []
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom)
    assert found is not None
    seen = json.loads(found.group(1).replace("&gt;", ">").replace("&lt;", "<"))

    ascending = [float(text) for text in seen["ascending"]]
    assert ascending == sorted(ascending)
    assert seen["descending"] == seen["ascending"][::-1]
    assert seen["aria"] == "descending"
    assert set(seen["filtered"]) == {"llama-2-7b"}
    assert seen["said"] == f"{len(seen['filtered'])} of 15 runs match"
    assert seen["all"] == 15
    assert seen["hidden"] == 3
    assert seen["plots"] == [4, 1]  # curves of the answer's figure, and of the section


# A phone is an iframe: headless Chromium's own window is never narrower than 500 pixels.
PHONE = """<iframe src="report.html" style="width:390px; height:1600px; border:0"></iframe>
<script>addEventListener("load", () => setTimeout(() => {
  const page = document.querySelector("iframe").contentDocument;
  const plot = [...page.querySelectorAll(".plot")].at(-1); // the first is the answer's
  const box = (selector) => plot.querySelector(selector).getBoundingClientRect().toJSON();
  const seen = { width: page.documentElement.scrollWidth, title: box(".xtitle"), legend: box(".legend") };
  const shown = document.body.appendChild(document.createElement("pre"));
  Object.assign(shown, { id: "seen", textContent: JSON.stringify(seen) });
}, 5000));</script>"""


def test_on_a_phone_nothing_sticks_out_and_the_legend_stands_clear_of_the_axis(
    tmp_path: Path, contribute: Contribute
) -> None:
    traces = [{"type": "scatter", "name": f"model {i}", "x": [1, 2], "y": [i, i + 1]} for i in range(12)]
    layout = {"xaxis": {"title": "batch ceiling max_num_seqs (requests per replica)"}}
    contribute(ReportSection("Curves", [Figure("Throughput", {"data": traces, "layout": layout}, "All.")]))
    store = store_of(tmp_path / "outputs", study(), [advice(["2026-00003"])])
    runs = store.query("SELECT run_id FROM runs").column(0).to_pylist()
    save_report(render_report(ReportScope(store, "study", runs)), tmp_path)
    phone = tmp_path / "phone.html"
    phone.write_text(PHONE)

    dom, _ = opened(phone, tmp_path / "profile")
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom)
    assert found is not None
    seen = json.loads(found.group(1))
    assert seen["width"] <= 390
    assert seen["title"]["left"] >= 0
    assert seen["title"]["right"] <= 390
    assert seen["legend"]["top"] >= seen["title"]["bottom"]
