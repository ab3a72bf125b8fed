"""A front as a file: a page with the plot, or data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from framework.analysis.front_question import FrontAnswer
    from framework.report.series_colours import SeriesColours

SUFFIXES = (".html", ".csv", ".json", ".parquet")


def check_suffix(out: Path | None) -> None:
    """Raise `UserError` for a file of a kind that can't be written."""
    if out is not None and out.suffix.lower() not in SUFFIXES:
        raise UserError(f"{out}: unknown format '{out.suffix}'{did_you_mean(out.suffix, SUFFIXES)}")


def write_answer(
    out: Path,
    asked: FrontAnswer,
    parameters: Mapping[str, Mapping[str, str]],
    colours: SeriesColours,
) -> None:
    """Write the fronts, whole or not at all: `.html` a page with the plot, else the settings on them as data.

    Raises:
        StoreError: the file can't be written.
    """
    from framework.analysis.setting_fronts import export_rows
    from framework.report.front_figure import front_figure
    from framework.store import result_formats

    suffix = out.suffix.lower()
    if suffix == ".html":
        from framework.report.html.rendering import figure_page
        from framework.store.durable import write_whole

        figure = front_figure(asked.called, asked.objectives, parameters, query=asked.query)
        write_whole(out, figure_page(figure, colours).encode("utf-8", "backslashreplace"))
        return
    columns, rows = export_rows(asked.fronts, asked.objectives, asked.by, parameters)
    if suffix == ".parquet":
        import pyarrow as pa

        table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(columns)})
        result_formats.write_parquet(table.to_reader(), out)
        return
    write = result_formats.write_csv if suffix == ".csv" else result_formats.write_json
    with result_formats.whole_file(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        write(columns, [rows], file)
