"""Heat maps of a study of adapter slots: throughput, waiting and loads, and what can not be served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.contracts import Figure, ReportSection
from framework_serving.sweeps.adapter_points import ADAPTERS, SLOTS, mix_of, slot_points
from framework_serving.sweeps.sweep_points import SweepPoint

if TYPE_CHECKING:
    from framework.contracts import StoreReader

_MAPS: tuple[tuple[str, str, float, str, bool], ...] = (
    ("Throughput", "total_tok_s", 1.0, "tok/s, input + output", True),
    (
        "Time to first token",
        "ttft_censored_ms",
        1e-3,
        "s; what had not begun counts with the whole run",
        False,
    ),
    ("Adapter loads", "adapter_loads", 1.0, "copies from host memory into a slot", False),
)
Cell = tuple[int, int]


def adapter_section(
    store: StoreReader, points: Sequence[SweepPoint], run_ids: Sequence[str]
) -> ReportSection | None:
    """Return the heat maps of every mix; None unless a sweep varied adapters or slots."""
    swept = slot_points(points)
    if not swept:
        return None
    refused = _refused(store, run_ids)
    figures: list[Any] = []
    for mix in dict.fromkeys(map(mix_of, swept)):
        own = {_cell(point): point for point in swept if mix_of(point) == mix}
        figures.extend(_maps(mix, own, refused.get(mix, {})))
    return ReportSection("Adapters and slots", figures, order=22)


def _maps(
    mix: tuple[str, str], own: Mapping[Cell, SweepPoint], refused: Mapping[Cell, str]
) -> Iterator[Figure]:
    adapters = sorted({cell[0] for cell in (*own, *refused)})
    slots = sorted({cell[1] for cell in (*own, *refused)})
    for title, metric, factor, unit, up in _MAPS:
        if all(point.value(metric) is None for point in own.values()):
            continue
        shade = [[_scaled(own.get((count, size)), metric, factor) for count in adapters] for size in slots]
        words = [
            [_word(own.get((count, size)), refused.get((count, size)), metric, factor) for count in adapters]
            for size in slots
        ]
        yield Figure(
            f"{title}: {mix[0]}, {mix[1]}",
            {
                "data": [
                    {
                        "type": "heatmap",
                        "x": [str(count) for count in adapters],
                        "y": [str(size) for size in slots],
                        "z": shade,
                        "text": words,
                        "texttemplate": "%{text}",
                        "hovertemplate": "%{x} adapters, %{y} slots<br>%{text}<extra></extra>",
                        "colorscale": "Viridis",
                        "reversescale": not up,
                        "colorbar": {"title": {"text": unit}},
                    }
                ],
                "layout": {
                    "xaxis": {"title": {"text": "adapters"}, "type": "category"},
                    "yaxis": {"title": {"text": "slots on the GPU"}, "type": "category"},
                    "height": 130 + 60 * len(slots),
                },
            },
            f"{len(own)} points, one a cell. ✕: starves (less than 0.9 of the requested tokens were served). Empty: "
            "not run. Words: the engine does not start, and why.",
            metrics=(metric,),
        )  # fmt: skip


def _word(point: SweepPoint | None, refusal: str | None, metric: str, factor: float) -> str:
    if point is None:
        return refusal or ""
    value = _scaled(point, metric, factor)
    number = "–" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{number} ✕" if point.value("starved") else number


def _scaled(point: SweepPoint | None, metric: str, factor: float) -> float | None:
    value = None if point is None else point.value(metric)
    return None if value is None else value * factor


def _cell(point: SweepPoint) -> Cell:
    return int(point.number(ADAPTERS) or 0), int(point.number(SLOTS) or 0)


def _refused(store: StoreReader, run_ids: Sequence[str]) -> dict[tuple[str, str], dict[Cell, str]]:
    """Return the cells in which no run succeeded: mix → (adapters, slots) → the reason, shortened."""
    rows = store.query(
        "SELECT r.run_id, r.failure_message, p.name, p.value FROM runs r JOIN params p USING (run_id) "
        "WHERE r.status = 'failed' AND r.run_id IN (SELECT unnest(?)) "
        "AND p.name IN (?, ?, 'model.name', 'workload.name')",
        [list(run_ids), ADAPTERS, SLOTS],
    ).to_pylist()
    runs: dict[str, dict[str, str]] = {}
    for row in rows:
        runs.setdefault(row["run_id"], {"failure": row["failure_message"] or "failed"})[row["name"]] = row[
            "value"
        ]
    found: dict[tuple[str, str], dict[Cell, str]] = {}
    for run in runs.values():
        if ADAPTERS in run and SLOTS in run:
            mix = run.get("model.name", ""), run.get("workload.name", "")
            cell = int(float(run[ADAPTERS])), int(float(run[SLOTS]))
            found.setdefault(mix, {})[cell] = run["failure"].split(":")[0][:40]
    return found
