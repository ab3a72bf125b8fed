"""Tables of a study of adapter slots: what a number of adapters and of slots gives, mix by mix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from framework.contracts import TableBlock
from framework_serving.sweeps.adapter_points import ADAPTERS, SLOTS, best_slots, mix_of, slot_points
from framework_serving.sweeps.sweep_points import SweepPoint

_COLUMNS: tuple[tuple[str, str, float], ...] = (
    ("tok/s", "total_tok_s", 1.0),
    ("starved", "starved", 1.0),
    ("adapters starved", "adapters_starved", 1.0),
    ("TTFT s", "ttft_mean_ms", 1e-3),
    ("ITL ms", "itl_mean_ms", 1.0),
    ("loads", "adapter_loads", 1.0),
    ("running", "running_mean", 1.0),
    ("KV peak %", "kv_usage_peak", 100.0),
    ("preempted", "preemptions", 1.0),
)


def adapter_tables(points: Sequence[SweepPoint]) -> Iterator[TableBlock]:
    """Yield one table a mix, then the most adapters that each serves without starving; none without such a sweep."""
    swept = slot_points(points)
    mixes = list(dict.fromkeys(map(mix_of, swept)))
    for mix in mixes:
        own = [point for point in swept if mix_of(point) == mix]
        columns = [item for item in _COLUMNS if any(point.value(item[1]) is not None for point in own)]
        rates, ranks = (own[0].params.get(f"workload.{name}", "?") for name in ("rates_rps", "ranks"))
        yield TableBlock(
            title=f"{mix[0]} on {own[0].gpu} · {mix[1]}: rates {rates}/s, ranks {ranks}",
            columns=("adapters", "slots", *(name for name, _, _ in columns)),
            rows=[
                (int(point.number(ADAPTERS) or 0), int(point.number(SLOTS) or 0), *point.scaled(columns))
                for point in own
            ],
            caption="Starved: less than 0.9 of the requested tokens were served.",
        )
    if mixes:
        yield _most_adapters(swept, mixes)


def _most_adapters(swept: Sequence[SweepPoint], mixes: Sequence[tuple[str, str]]) -> TableBlock:
    rows: list[tuple[str | float | None, ...]] = []
    for mix in mixes:
        best = best_slots([point for point in swept if mix_of(point) == mix])
        if not best:
            rows.append((*mix, None, None, None, None))
            continue
        most = best[max(best)]
        numbers = (int(max(best)), int(most.number(SLOTS) or 0), most.value("total_tok_s"))
        ttft_ms = most.value("ttft_mean_ms")
        rows.append((*mix, *numbers, None if ttft_ms is None else ttft_ms / 1e3))
    return TableBlock(
        title="Largest number of adapters that one engine serves without starvation",
        columns=("model", "mix", "adapters", "slots", "tok/s", "TTFT s"),
        rows=rows,
        caption="The number of slots with the most throughput, among those without starvation.",
    )
