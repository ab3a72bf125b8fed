"""The HTML report: what is in it, what is escaped, what happens at the edges."""

import json
import os
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from framework.contracts import Figure, ReportScope, ReportSection, TableBlock
from framework.errors import StoreError
from framework.report.html import page
from framework.report.html.figure_spec import plotly_spec
from framework.report.plugin_blocks import PluginProblem
from framework.report.series_colours import SeriesColours
from framework.store.database.reader import Store
from tests.framework.report.conftest import Contribute
from tests.framework.report.sample_study import advice, done_run, failed_run, store_of, study

VOID = {"meta", "input", "br", "hr", "img", "link"}


class Outline(HTMLParser):
    """Checks that elements nest, and collects what a test wants to see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store_of(tmp_path_factory.mktemp("outputs"), study(), [advice(["2026-00003"])])


def scope_of(store: Store, *run_ids: str) -> ReportScope:
    known = store.query("SELECT run_id FROM runs ORDER BY run_id").column(0).to_pylist()
    return ReportScope(store, "study", list(run_ids) or known)


def rendered(scope: ReportScope) -> str:
    return page.render_report(scope).html


def test_a_report_says_how_many_runs_were_done_failed_and_doubtful(sample: Store) -> None:
    text = Outline(rendered(scope_of(sample))).text
    assert "runs done 15 runs failed 1 sanity pass 14 sanity warn 1" in text
    assert "client_lag 1 the client was late by 1.2 s 2026-00020" in text


@pytest.mark.slow
def test_results_show_what_varied_and_what_came_out(sample: Store) -> None:
    outline = Outline(rendered(scope_of(sample)))
    heads = re.search(r'<tr class="groups">.*?</tr>\s*<tr>(.*?)</tr>', rendered(scope_of(sample)), re.S)
    assert heads is not None
    labels = re.findall(r'class="sort">([\w.]+)', heads.group(1))
    assert labels == [
        *("run", "backend", "sanity", "model", "max_num_seqs"),
        *("total_tok_s", "energy_j", "itl_mean_ms", "itl_p50_ms", "itl_p99_ms"),
    ]
    assert "2026-00002 twin pass opt-1.3b 16 119.0 – 5.600 5.600 11.20" in outline.text


def test_repeats_are_told_apart(tmp_path: Path) -> None:
    store = store_of(tmp_path, [done_run(1), replace(done_run(2), repeat=1)])
    text = Outline(rendered(scope_of(store))).text
    assert "sanity repeat total_tok_s" in text
    assert "2026-00002 twin pass 1 10.16" in text


def test_an_absent_metric_is_a_dash_with_its_reason_on_hover_and_in_a_list(sample: Store) -> None:
    html = rendered(scope_of(sample))
    assert '<td class="absent n" title="the twin has no &lt;power&gt; model">–</td>' in html
    assert "energy_j the twin has no <power> model 15" in Outline(html).text


def test_failures_have_their_stage_and_reason_and_no_row_among_the_results(sample: Store) -> None:
    outline = Outline(rendered(scope_of(sample)))
    assert "2026-00021 failed max_num_seqs=4096 model=opt-1.3b backend MemoryError no room" in outline.text
    assert "15 finished runs;" in outline.text


def test_nothing_from_a_run_becomes_markup(sample: Store) -> None:
    html = rendered(scope_of(sample))
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_advice_can_be_pasted_back(sample: Store) -> None:
    text = Outline(rendered(scope_of(sample))).text
    assert "opt-1.3b · bca total_tok_s 312.5 (300 … 325)" in text
    assert "python -m framework +experiment=study backend.max_num_seqs=128" in text
    assert "freed_gib 12.35" in text


def test_provenance_names_code_packages_host_and_command(sample: Store) -> None:
    text = Outline(rendered(scope_of(sample))).text
    for shown in (
        "code 0123abcd",
        "packages feed",
        "host laptop",
        "GPU none visible",
        "command python -m framework",
    ):
        assert shown in text


def test_gpus_are_named_and_counted_in_provenance(tmp_path: Path) -> None:
    provenance = {"gpu": [{"name": "NVIDIA H100", "driver_version": "550"}, {"name": "NVIDIA H100"}]}
    store = store_of(tmp_path, [replace(done_run(1), provenance=provenance)])
    assert "GPU 2 × NVIDIA H100" in Outline(rendered(scope_of(store))).text


def test_sections_of_plugins_come_with_figures_tables_and_escaped_texts(
    sample: Store, contribute: Contribute, plotted_section: ReportSection
) -> None:
    contribute(plotted_section)
    html = rendered(scope_of(sample))
    text = Outline(html).text
    assert (
        "Curves & more First. Second with <b>tags</b>. Throughput Figure 2. What is to be <seen>. n = "
        in text
    )
    assert "Claims claim paper a <claim> 33.70 none – Noise 4 %." in text
    assert html.count('id="plotly"') == 1


def test_a_figures_specification_survives_numpy_nan_and_script_ends(
    sample: Store, contribute: Contribute
) -> None:
    trace = {"x": np.arange(3), "y": [1.0, np.inf, np.float64("nan")], "name": "</script>"}
    contribute(ReportSection("s", [Figure("t", {"data": [trace], "layout": {}})]))
    body = re.findall(r'<script type="application/json"[^>]*>(.*)</script>', rendered(scope_of(sample)))[-1]
    assert "<" not in body
    trace = json.loads(body)["data"][0]
    assert {**trace, "line": 0, "marker": 0} == {
        **{"x": [0, 1, 2], "y": [1.0, None, None], "name": "</script>"},
        **{"line": 0, "marker": 0},
    }


def test_below_every_figure_stand_its_n_its_band_and_sql_that_gives_what_is_drawn(
    sample: Store, contribute: Contribute, plotted_section: ReportSection
) -> None:
    trace = {"x": [1, 2], "y": [3, None], "error_y": {"array": [1, 1]}, "name": "a"}
    spec = {"data": [trace], "layout": {}}
    own = Figure("own", spec, "What it is.", metrics=("itl_mean_ms",), band="Bars: all of them.")
    contribute(ReportSection("own", [own, *plotted_section.blocks]))
    html = rendered(scope_of(sample))
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html, re.DOTALL)
    assert len(captions) == html.count("<figure>") >= 3
    for caption in captions:
        text = Outline(caption).text
        assert re.search(r"\bn = \d", text)
        assert "Bars: " in text or "Single values, without a band." in text
        (sql,) = re.findall(r"<pre.*?><code>(.*?)</code></pre>", caption, re.DOTALL)
        assert sample.query(unescape(sql)).num_rows > 0
    (mine,) = [caption for caption in captions if "What it is." in caption]
    assert "n = 1 value." in mine
    assert "itl_mean_ms" in mine
    assert "Bars: all of them." in mine


def test_titles_that_are_plain_texts_reach_plotly_as_objects() -> None:
    spec = {"data": [{"marker": {"colorbar": {"title": "ms"}}}], "layout": {"xaxis": {"title": "batch"}}}
    assert plotly_spec(Figure("t", spec), SeriesColours()) == {
        "data": [{"marker": {"colorbar": {"title": {"text": "ms"}}}}],
        "layout": {"xaxis": {"title": {"text": "batch"}}},
    }


def test_a_title_that_repeats_the_heading_is_left_out_of_the_plot() -> None:
    assert plotly_spec(Figure("t", {"data": [], "layout": {"title": "t"}}), SeriesColours())["layout"] == {}
    other = plotly_spec(Figure("t", {"data": [], "layout": {"title": {"text": "u"}}}), SeriesColours())
    assert other["layout"] == {"title": {"text": "u"}}


def test_every_table_has_a_caption_and_scoped_heads_and_every_plot_a_description(
    sample: Store, contribute: Contribute, plotted_section: ReportSection
) -> None:
    contribute(plotted_section)
    outline = Outline(rendered(scope_of(sample)))
    tables = [tag for tag, _ in outline.tags if tag == "table"]
    assert len(tables) == len([tag for tag, _ in outline.tags if tag == "caption"]) >= 5
    assert all("scope" in attributes for tag, attributes in outline.tags if tag == "th")
    plots = [attributes for _, attributes in outline.tags if attributes.get("class") == "plot"]
    ids = {attributes.get("id") for _, attributes in outline.tags}
    assert plots
    assert all(plot["role"] == "img" and plot["aria-labelledby"] in ids for plot in plots)
    labels = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(labels) == len(set(labels))


def test_the_page_asks_for_nothing_from_a_network(
    sample: Store, contribute: Contribute, plotted_section: ReportSection
) -> None:
    contribute(plotted_section)
    outline = Outline(rendered(scope_of(sample)))
    for tag, attributes in outline.tags:
        assert "src" not in attributes, tag
        assert tag != "link"
        assert str(attributes.get("href", "#")).startswith("#")
    policy = next(a["content"] for t, a in outline.tags if t == "meta" and "http-equiv" in a)
    assert str(policy).startswith("default-src 'none'")


def test_a_plugin_that_failed_is_named_and_the_rest_is_there(sample: Store, contribute: Contribute) -> None:
    contribute(problems=(PluginProblem("plugin 'third' failed in report_sections", "KeyError: 'x'"),))
    report = page.render_report(scope_of(sample))
    assert (
        "A section is missing: plugin 'third' failed in report_sections: KeyError: 'x'."
        in Outline(report.html).text
    )
    assert len(report.problems) == 1


def test_an_experiment_without_runs_has_a_report_that_says_so(sample: Store) -> None:
    text = Outline(rendered(ReportScope(sample, "empty", []))).text
    assert "This experiment has no runs yet." in text
    assert "No run has finished" in text


@pytest.mark.slow
def test_a_report_of_failures_alone_and_one_of_a_single_run(tmp_path: Path) -> None:
    store = store_of(tmp_path / "outputs", [failed_run(1), failed_run(2, "<oops>"), done_run(3)])
    failures = Outline(rendered(scope_of(store, "2026-00001", "2026-00002"))).text
    assert "runs done 0 runs failed 2" in failures
    assert "No run has finished" in failures
    single = Outline(rendered(scope_of(store, "2026-00003"))).text
    assert "1 finished run;" in single
    assert "Failures" not in single


def test_rows_beyond_the_limit_are_counted(sample: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_RUNS", 4)
    assert "4 of 15 finished runs are shown" in Outline(rendered(scope_of(sample))).text


def test_a_table_is_cut_to_the_bytes_that_the_page_has_room_for(
    sample: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framework.report.html.results_table.MAX_BYTES", 2000)
    shown = re.search(r"(\d+) of 15 finished runs are shown", Outline(rendered(scope_of(sample))).text)
    assert shown is not None
    assert 0 < int(shown.group(1)) < 15


def test_a_long_table_of_a_plugin_is_cut_and_says_so(sample: Store, contribute: Contribute) -> None:
    contribute(ReportSection("Long", [TableBlock("t", ("n",), [(n,) for n in range(1234)])]))
    html = rendered(scope_of(sample))
    assert html.partition('id="long-1"')[2].partition("</section>")[0].count("<tr>") == 501
    assert "The first 500 of 1,234 rows are shown." in html


@pytest.mark.slow
def test_a_report_of_a_thousand_runs_is_below_3_mb(
    tmp_path: Path, contribute: Contribute, plotted_section: ReportSection
) -> None:
    store = store_of(tmp_path, [done_run(number, batch=number + 1) for number in range(1000)])
    contribute(plotted_section)
    assert len(rendered(scope_of(store)).encode()) < 3e6


def test_a_report_opens_with_the_answer_its_numbers_and_how_sure_it_is(sample: Store) -> None:
    html = rendered(scope_of(sample))
    opening = Outline(html.partition('id="answer">')[2].partition("</section>")[0]).text
    assert "gives the highest total_tok_s" in opening
    assert "How sure: " in opening
    assert "better than the next" in opening
    assert "python -m framework advise --maximise total_tok_s --from study Copy" in opening
    assert "FROM setting_front(['total_tok_s'" in opening
    assert html.index('id="answer"') < html.index('id="results"')


def test_at_most_eight_series_are_shown_first_and_the_reader_is_told(
    sample: Store, contribute: Contribute
) -> None:
    traces = [{"x": [1], "y": [1], "name": f"s{number}"} for number in range(10)]
    figure = Figure("t", {"data": traces, "layout": {}})
    assert [trace.get("visible") for trace in plotly_spec(figure, SeriesColours())["data"]] == [None] * 8 + [
        "legendonly"
    ] * 2
    contribute(ReportSection("s", [figure]))
    assert "The first 8 of 10 series are shown" in Outline(rendered(scope_of(sample))).text


def test_a_folder_that_cant_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"can't write .*report\.html: ") as caught:
        page.save_report(page.RenderedReport("", ()), tmp_path / "file" / "folder")
    assert "\n" not in str(caught.value)


def test_of_two_writers_of_one_report_each_writes_a_whole_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (page.RenderedReport(letter * 100_000, ()) for letter in "ab")
    replace_file = os.replace

    def interleaved(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "replace", replace_file)
        page.save_report(other, tmp_path)  # the other writer begins and ends before this one's rename
        assert (tmp_path / "report.html").read_text() == other.html
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", interleaved)
    page.save_report(one, tmp_path)
    assert (tmp_path / "report.html").read_text() == one.html
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
