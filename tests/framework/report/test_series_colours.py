"""One colour for one thing, in every figure; told from the page and from the other series."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.report.series_colours import NEUTRAL, PALETTE, SeriesColours

NAMES = st.lists(
    st.sampled_from([f"series {number}" for number in range(30)]), unique=True, max_size=len(PALETTE)
)


@given(st.lists(NAMES, max_size=8))
def test_a_name_keeps_its_colour_and_new_names_of_a_figure_differ_from_all_others_in_it(
    figures: list[list[str]],
) -> None:
    colours, dealt = SeriesColours(), {}
    for names in figures:
        new = [name for name in names if name not in dealt]
        found = colours.of(names)
        for name in names:
            assert dealt.setdefault(name, found[name]) == found[name]
        for a, b in combinations(names, 2):
            assert found[a] != found[b] or not {a, b} & set(new)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("page", ["#ffffff", "#14171c"])
@pytest.mark.parametrize("colour", [*PALETTE, NEUTRAL])
def test_every_colour_stands_out_on_a_light_and_on_a_dark_page(colour: str, page: str) -> None:
    low, high = sorted([luminance(colour), luminance(page)])
    assert (high + 0.05) / (low + 0.05) >= 3


def test_a_series_is_its_thing_else_its_group_else_its_name_and_what_has_a_colour_keeps_it() -> None:
    colours = SeriesColours(["model"])
    ring = {"color": [1, 2], "coloraxis": "coloraxis", "line": {"color": "series", "width": 2}}
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "name": "model, chat", "thing": "model"},
        {"type": "scatter", "name": "model · 2", "legendgroup": "model", "line": {"dash": "dot"}},
        {"type": "bar", "name": "model"},
        {"type": "scatter", "name": "model", "marker": ring},
        {"type": "scatter", "name": "limit", "line": {"color": "#7f7f7f"}},
        {"type": "heatmap", "z": [[1]]},
        {"type": "scatter"},
    ]
    colours.paint(traces)
    own = PALETTE[0]
    assert traces[0] == {
        "type": "scatter",
        "name": "model, chat",
        "line": {"color": own},
        "marker": {"color": own},
    }
    assert traces[1]["line"] == {"dash": "dot", "color": own}
    assert traces[2]["marker"] == {"color": own}
    assert traces[3]["marker"]["line"]["color"] == own
    assert traces[3]["marker"]["color"] == [1, 2]
    assert traces[4]["line"]["color"] == "#7f7f7f"
    assert "marker" not in traces[5]
    assert traces[6]["line"]["color"] == NEUTRAL
