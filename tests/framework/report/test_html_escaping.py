"""Whatever text a run, an advisor or a plugin brings, the page's markup is the same as without it."""

import functools
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from framework.contracts import Figure, MetricDefinition, ReportSection, TableBlock
from framework.report.html.file_links import LinkedFile
from framework.report.html.rendering import ReportContent, page_html
from framework.report.overview import FailedRun, GivenAdvice, Overview, ProvenanceItem, SanityFinding
from framework.report.run_table import MeasuredValue, RunRow, RunTable
from framework.store.bundles.artifact_files import ArtifactFile

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "</title></style></textarea></pre></table><h1>",
    "<!--",
    "]]>",
    "&lt;b&gt;",
    "{{ 7 * 7 }}{% include 'page' %}",
    "javascript:alert(1)",
)
# one paragraph, neither empty nor a number; `.` and `_` in a name say where its parts begin
texts = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=8), min_size=1, max_size=3).map(
    lambda parts: " ".join(("hostile", *re.sub(r"[\0._]", "", "".join(parts)).split()))
)


class Markup(HTMLParser):
    """The elements of a page with the names of their attributes, and the texts that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}",))

    def handle_comment(self, data: str) -> None:
        self.elements.append(("comment",))

    def handle_decl(self, decl: str) -> None:
        self.elements.append((decl,))

    def handle_data(self, data: str) -> None:
        (self.scripts if self.elements[-1][0] == "script" else self.texts).append(data)


def page_full_of(text: str) -> Markup:
    """Return a page that has this text in every place that takes a text."""
    values = {text: MeasuredValue(None, text, None, None), f"{text}_b": MeasuredValue(1.0, None, 0.5, 2.0)}
    parameters = (f"model.{text}", f"backend.{text}")
    definitions = tuple(MetricDefinition(f"{text}{end}", text, text) for end in ("", "_b", "_c"))
    spec = {"data": [{"name": text, text: [text]}], "layout": {"xaxis": {"title": text}}}
    table = TableBlock(text, (text, "n"), [(text, 1), ([text], None)], text)
    html = page_html(
        ReportContent(
            experiment=text,
            overview=Overview({"failed": 2}, {text: 1}, (text,), 1, None, None),
            warnings=[text],
            contributed=[ReportSection(text, [text, Figure(text, spec, text, sql=text, band=text), table])],
            advice=[GivenAdvice(text, text, text, text, 1.0, 0.5, 2.0, text, 1, {text: text})],
            runs=RunTable(
                parameters,
                definitions,
                (RunRow(text, text, "done", text, None, {parameters[0]: text}, values),),
                total=2,
            ),
            failures=[FailedRun(text, text, text, text, text, text, {text: text})],
            findings=[SanityFinding(text, text, 1, text, text)],
            files=[
                LinkedFile(ArtifactFile(text, text, text, 1, text, text), text),
                LinkedFile(ArtifactFile(text, text, text, None, text, text), None),
            ],
            provenance=[ProvenanceItem(text, ((text, 1),)), ProvenanceItem("gpu", ((text, 1),))],
        )
    )
    return Markup(html)


PLAIN = functools.cache(lambda: page_full_of("harmless"))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(text=texts)
@example(text="hostile " + "".join(HOSTILE))
def test_no_text_changes_the_markup_of_the_page_and_every_text_is_shown(text: str) -> None:
    plain, hostile = PLAIN(), page_full_of(text)
    assert hostile.elements == plain.elements
    in_sql = text.replace("'", "''")
    assert sum(text in shown or in_sql in shown for shown in hostile.texts) == sum(
        "harmless" in shown for shown in plain.texts
    )
    (spec,) = (script for script in hostile.scripts if script.startswith('{"data"'))
    assert "<" not in spec
    (trace,) = json.loads(spec)["data"]
    assert {key: trace[key] for key in ("name", text)} == {"name": text, text: [text]}
