"""The blocks of a report section as HTML: figures, tables, paragraphs. All text is escaped here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from framework.contracts import Figure, ReportSection, TableBlock
from framework.report.number_format import ABSENT, count_noun, format_value, is_number

MAX_BLOCK_ROWS = 500


def section_html(section: ReportSection, anchor: str, figure_numbers: FigureNumbers) -> str:
    """Return a section; consecutive figures share a grid."""
    parts: list[str] = []
    figures: list[str] = []
    for block in section.blocks:
        if isinstance(block, Figure):
            figures.append(figure_html(block, figure_numbers.next()))
            continue
        parts += _figure_grid(figures)
        figures = []
        parts.append(table_html(block) if isinstance(block, TableBlock) else text_html(block))
    parts += _figure_grid(figures)
    return wrap_section(section.title, anchor, "\n".join(parts))


class FigureNumbers:
    """Numbers the figures of a page from 1; `count` says how many there are."""

    def __init__(self) -> None:
        self.count = 0

    def next(self) -> int:
        """Return the next number."""
        self.count += 1
        return self.count


def wrap_section(title: str, anchor: str, body: str) -> str:
    """Return a titled section that the table of contents can point at."""
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>\n{body}\n</section>'


def _figure_grid(figures: Sequence[str]) -> list[str]:
    return ['<div class="figures">' + "\n".join(figures) + "</div>"] if figures else []


def figure_html(figure: Figure, number: int) -> str:
    """Return a figure: its specification as JSON, drawn by the page's script; the caption is its description."""
    caption = f"<b>Figure {number}.</b> {escape(figure.caption or figure.title)}"
    return (
        f"<figure><h3>{escape(figure.title)}</h3>"
        f'<div class="plot" id="figure-{number}" role="img" aria-labelledby="caption-{number}"></div>'
        f'<script type="application/json" class="spec" data-plot="figure-{number}">{_spec_json(figure)}</script>'
        f'<figcaption id="caption-{number}">{caption}</figcaption></figure>'
    )


def _spec_json(figure: Figure) -> str:
    layout = dict(figure.spec.get("layout") or {})
    if _title_text(layout.get("title")) == figure.title:
        del layout["title"]  # the heading above the plot says it already
    spec = {"data": list(figure.spec.get("data") or []), "layout": layout}
    text = json.dumps(_plain(spec), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    # `</script>` or `<!--` inside a string would end the element
    return text.replace("<", "\\u003c")


def _title_text(title: Any) -> Any:
    return title.get("text") if isinstance(title, Mapping) else title


def _plain(value: Any) -> Any:
    """Return a JSON value: arrays as lists, NaN and infinities as null (a gap in a plot), titles as objects.

    People write `"title": "batch"`; plotly.js since version 3 takes `"title": {"text": "batch"}` only.
    """
    if isinstance(value, Mapping):
        return {
            str(key): {"text": item} if key == "title" and isinstance(item, str) else _plain(item)
            for key, item in value.items()
        }
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return str(value)


def table_html(table: TableBlock) -> str:
    """Return a small table; beyond 500 rows it is cut and says so."""
    numeric = [
        any(is_number(row[column]) for row in table.rows)
        and all(is_number(row[column]) or row[column] is None for row in table.rows)
        for column in range(len(table.columns))
    ]
    head = "".join(
        f'<th scope="col"{_number_class(numeric[i])}>{escape(str(name))}</th>'
        for i, name in enumerate(table.columns)
    )
    shown = table.rows[:MAX_BLOCK_ROWS]
    body = "\n".join(
        f"<tr>{''.join(cell_html(value, numeric[i]) for i, value in enumerate(row))}</tr>" for row in shown
    )
    notes = [table.caption] if table.caption else []
    if not table.rows:
        notes.append("No rows.")
    if len(shown) < len(table.rows):
        notes.append(f"The first {len(shown):,} of {count_noun(len(table.rows), 'row')} are shown.")
    note = f'<p class="note">{escape(" ".join(notes))}</p>' if notes else ""
    return (
        f'<div class="scroll"><table><caption>{escape(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}"
    )


def cell_html(value: Any, numeric: bool) -> str:
    """Return one cell; a missing value is a dash, never empty."""
    text = format_value(value)
    if text == ABSENT:
        return f'<td class="absent{" n" if numeric else ""}">{ABSENT}</td>'
    return f"<td{_number_class(numeric)}>{escape(text)}</td>"


def _number_class(numeric: bool) -> str:
    return ' class="n"' if numeric else ""


def text_html(text: str) -> str:
    """Return plain text as paragraphs; an empty line separates them."""
    paragraphs = [part.strip() for part in text.split("\n\n")]
    return "\n".join(f"<p>{escape(part)}</p>" for part in paragraphs if part)
