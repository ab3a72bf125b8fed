"""One answer of `/metrics`, read with prometheus_client's parser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from framework_vllm.engine_metrics.families import PREFIX, SAME_FOR_ALL, family_name

SeriesKey = tuple[str, str]  # (family, labels as text)


@dataclass
class Histogram:
    """One histogram: cumulative counts by upper bound, count and sum of everything observed since the start."""

    counts: dict[float, float] = field(default_factory=dict)
    count: float = 0.0
    sum: float = 0.0


@dataclass
class Exposition:
    """What an engine said at one moment.

    Attributes:
        gauges, counters: value by (family, labels); counters count since the engine's start.
        histograms: in the same way.
        info: labels of `*_info` families, by family.
    """

    gauges: dict[SeriesKey, float] = field(default_factory=dict)
    counters: dict[SeriesKey, float] = field(default_factory=dict)
    histograms: dict[SeriesKey, Histogram] = field(default_factory=dict)
    info: dict[str, dict[str, str]] = field(default_factory=dict)

    def total(self, family: str) -> float | None:
        """Return a gauge or counter summed over its labels; None where the engine has no such family."""
        found = [
            value
            for series in (self.gauges, self.counters)
            for (name, _), value in series.items()
            if name == family
        ]
        return sum(found) if found else None


def parse(text: str, *, histograms: bool = True) -> Exposition:
    """Read an exposition in Prometheus' text format; families that are not vLLM's are left out.

    Args:
        histograms: whether to read them, most of the text; samples in the middle of a run don't need them.

    Raises:
        ValueError: not in that format.
    """
    from prometheus_client.parser import text_string_to_metric_families

    found = Exposition()
    for family in text_string_to_metric_families(_own_lines(text, histograms)):
        if family.name.endswith("_created"):
            continue
        name = family_name(family.name)
        if family.name.endswith("_info"):
            for sample in family.samples:
                found.info[name] = {**found.info.get(name, {}), **sample.labels}
        elif family.type == "histogram":
            for sample in family.samples:
                _add_to_histogram(found, name, sample.name, dict(sample.labels), sample.value)
        else:
            series = found.counters if family.type == "counter" else found.gauges
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    key = (name, _labels(sample.labels))
                    series[key] = _over_ranks(name, series.get(key), sample.value)
    return found


def _over_ranks(name: str, before: float | None, value: float) -> float:
    """Return one value for the data-parallel ranks of a server: what they did together, the fullest cache."""
    if before is None:
        return value
    return max(before, value) if name.endswith("_perc") else before + value


def _own_lines(text: str, histograms: bool) -> str:
    """Return the lines of vLLM's families; the parser takes ten times as long on all of them."""
    kept = []
    for line in text.splitlines():
        own = line.startswith((PREFIX, f"# TYPE {PREFIX}"))
        if own and "_created" not in line and (histograms or "_bucket{" not in line):
            kept.append(line)
    return "\n".join(kept) + "\n"


def _add_to_histogram(
    found: Exposition, family: str, sample: str, labels: dict[str, str], value: float
) -> None:
    bound = labels.pop("le", None)
    histogram = found.histograms.setdefault((family, _labels(labels)), Histogram())
    if bound is not None:
        histogram.counts[float(bound)] = histogram.counts.get(float(bound), 0.0) + value
    elif sample.endswith("_sum"):
        histogram.sum += value
    elif sample.endswith("_count"):
        histogram.count += value


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in SAME_FOR_ALL)
