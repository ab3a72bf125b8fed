"""What the engines did during a run: their state before it, their series in it, their state after it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework_vllm.engine_metrics.exposition import Exposition, Histogram, SeriesKey, parse
from framework_vllm.engine_metrics.families import CANONICAL

if TYPE_CHECKING:
    import pyarrow as pa

    from framework_vllm.engine_metrics.scraper import Scrape, ServerScraper

MAX_SCRAPES = 500
"""Scrapes read of each server; more are thinned evenly, the first and the last kept."""


@dataclass(frozen=True)
class Moment:
    """What one server said at a time of the run, in seconds from the first arrival."""

    t_s: float
    said: Exposition


@dataclass(frozen=True)
class ServerRecord:
    """One server over the run.

    Attributes:
        before: its state when the run began, the warm-up included.
        after: when everything had been served.
        series: from `before` to `after`; histograms are in these two only.
    """

    before: Exposition
    after: Exposition
    series: Sequence[Moment]

    def grown(self, family: str) -> float | None:
        """Return by how much a counter, over all its labels, grew in the run; None if there is none."""
        end = self.after.total(family)
        return None if end is None else end - (self.before.total(family) or 0.0)

    def observed(self, family: str) -> Histogram | None:
        """Return what a histogram observed in the run, over all its labels; None if there is none."""
        keys = [key for key in self.after.histograms if key[0] == family]
        if not keys:
            return None
        found = Histogram()
        for key in keys:
            start = self.before.histograms.get(key, Histogram())
            end = self.after.histograms[key]
            found.count += end.count - start.count
            found.sum += end.sum - start.sum
            for bound, count in end.counts.items():
                found.counts[bound] = found.counts.get(bound, 0.0) + count - start.counts.get(bound, 0.0)
        return found


@dataclass(frozen=True)
class EngineRecord:
    """All servers of a run.

    Attributes:
        servers: one each.
        trouble: why there is nothing of some server; None if all answered.
    """

    servers: Sequence[ServerRecord]
    trouble: str | None

    def grown(self, family: str) -> float | None:
        """Return a counter's growth summed over servers; None if one of them lacks it."""
        values = [server.grown(family) for server in self.servers]
        known = [value for value in values if value is not None]
        return sum(known) if known and len(known) == len(values) else None

    def observed(self, family: str) -> Histogram | None:
        """Return a histogram of the run merged over servers; None if one of them lacks it."""
        values = [server.observed(family) for server in self.servers]
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return None
        merged = Histogram(sum_counts(known), sum(h.count for h in known), sum(h.sum for h in known))
        return merged


def sum_counts(histograms: Sequence[Histogram]) -> dict[float, float]:
    """Return bucket counts summed by bound."""
    counts: dict[float, float] = {}
    for histogram in histograms:
        for bound, count in histogram.counts.items():
            counts[bound] = counts.get(bound, 0.0) + count
    return counts


def engine_record(scrapers: Sequence[ServerScraper], t0_s: float) -> EngineRecord:
    """Read what the servers answered.

    Args:
        t0_s: `time.monotonic()` of the first arrival. The state before the run is the last one asked for by
            then, or the first of all where none was.
    """
    servers, trouble = [], None
    for scraper in scrapers:
        if len(scraper.scrapes) < 2:
            trouble = scraper.trouble or "/metrics: fewer than two answers"
            continue
        try:
            servers.append(_server_record(scraper.scrapes, t0_s))
        except ValueError as error:
            trouble = f"/metrics: not in Prometheus' text format: {error}"
    if not trouble and servers and not any(server.after.gauges for server in servers):
        trouble = "/metrics: contains no metrics of vLLM"
    return EngineRecord([] if trouble else servers, trouble)


def _server_record(scrapes: Sequence[Scrape], t0_s: float) -> ServerRecord:
    first = max((place for place, scrape in enumerate(scrapes) if scrape.answered_s <= t0_s), default=0)
    chosen = _thinned(scrapes[first:])
    before, after = parse(chosen[0].text), parse(chosen[-1].text)
    between = [Moment(scrape.time_s - t0_s, parse(scrape.text, histograms=False)) for scrape in chosen[1:-1]]
    ends = Moment(chosen[0].time_s - t0_s, before), Moment(chosen[-1].time_s - t0_s, after)
    return ServerRecord(before, after, [ends[0], *between, ends[1]])


def _thinned(scrapes: Sequence[Scrape]) -> Sequence[Scrape]:
    stride = max(1, -(-len(scrapes) // MAX_SCRAPES))
    return [*scrapes[:-1:stride], scrapes[-1]]


def samples_table(record: EngineRecord) -> pa.Table | None:
    """Return the series as `samples(t_s, name, value)`; None without any.

    Canonical series (`running` …) hold every scrape, over all servers; counters among them count from the
    run's beginning. Every other family is kept under vLLM's name with the labels that distinguish its series,
    one series a server, and only where its value changed, its first and its last time.
    """
    import pyarrow as pa

    if not record.servers:
        return None
    rows: list[tuple[float, str, float]] = [*_canonical_rows(record.servers)]
    for number, server in enumerate(record.servers):
        label = f"server={number}" if len(record.servers) > 1 else ""
        rows += _raw_rows(server, label)
    times, names, values = zip(*rows, strict=True)
    return pa.table({"t_s": times, "name": names, "value": values})


def _canonical_rows(servers: Sequence[ServerRecord]) -> list[tuple[float, str, float]]:
    rows = []
    for series in CANONICAL:
        base = [server.before.total(series.family) for server in servers]
        if any(value is None for value in base):
            continue
        counts = series.family in {family for family, _ in servers[0].before.counters}
        for moment in servers[0].series:
            values = [_at(server, series.family, moment.t_s) for server in servers]
            if counts:
                values = [value - (start or 0.0) for value, start in zip(values, base, strict=True)]
            rows.append(
                (moment.t_s, series.name, max(values) if series.over_replicas == "max" else sum(values))
            )
    return rows


def _at(server: ServerRecord, family: str, t_s: float) -> float:
    """Return a family's value in the scrape that is nearest in time."""
    after = bisect_left(server.series, t_s, key=lambda moment: moment.t_s)
    near = server.series[max(0, after - 1) : after + 1]
    return min(near, key=lambda moment: abs(moment.t_s - t_s)).said.total(family) or 0.0


def _raw_rows(server: ServerRecord, label: str) -> list[tuple[float, str, float]]:
    rows = []
    series: dict[SeriesKey, list[tuple[float, float]]] = {}
    for moment in server.series:
        for values in (moment.said.gauges, moment.said.counters):
            for key, value in values.items():
                series.setdefault(key, []).append((moment.t_s, value))
    for (family, labels), points in series.items():
        text = ",".join(part for part in (labels, label) if part)
        name = f"{family}{{{text}}}" if text else family
        last = len(points) - 1
        for place, (t_s, value) in enumerate(points):
            if place in (0, last) or value != points[place - 1][1]:
                rows.append((t_s, name, value))
    return rows


def histograms_table(record: EngineRecord) -> pa.Table | None:
    """Return every histogram before and after the run, as `tables.engine_histograms`; None without any."""
    import pyarrow as pa

    from framework_vllm.tables import engine_histograms

    rows = [
        row
        for number, server in enumerate(record.servers)
        for key in server.after.histograms
        for row in _histogram_rows(number, key, server)
    ]
    return pa.Table.from_pylist(rows, schema=engine_histograms()) if rows else None


def _histogram_rows(number: int, key: SeriesKey, server: ServerRecord) -> list[Mapping[str, object]]:
    start, end = server.before.histograms.get(key, Histogram()), server.after.histograms[key]
    last = max(end.counts, default=None)
    return [
        {
            "server": number,
            "family": key[0],
            "labels": key[1],
            "le": bound,
            "count_start": start.counts.get(bound, 0.0),
            "count_end": count,
            "sum_start": start.sum if bound == last else None,
            "sum_end": end.sum if bound == last else None,
        }
        for bound, count in sorted(end.counts.items())
    ]
