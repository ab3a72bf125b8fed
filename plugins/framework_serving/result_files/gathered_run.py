"""What a result file says of one run, gathered under our names, and the run that is made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from framework.contracts import ImportedRun, Json, Metric, Result, SanityCheck
from framework_serving.hardware.catalogue import catalogue_name
from framework_serving.metrics.sanity import check as request_checks
from framework_serving.metrics.serving_metrics import derive
from framework_serving.result_files.metric_names import FAILED, INPUT_TOTAL, OUTPUT_TOTAL, PROMPTS, unit_of
from framework_serving.result_files.plausibility import TOLERANCE, figure_checks

if TYPE_CHECKING:
    import pyarrow as pa

_COUNTS = (INPUT_TOTAL, OUTPUT_TOTAL, FAILED, PROMPTS, "tokens_total")
_FACTS_AT_MOST = 2000
_LARGEST = 1e20  # nanoseconds since 1970 are 1.8e18
_SLACK_MS = {"e2e_mean_ms": 20.0}
"""Some tools time a request to the end of its stream, which comes after the last token."""


def number(value: Any) -> float | None:
    """Return a JSON value as a number, None for what is none: a truth value, infinity, more than any clock shows."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if abs(found) < _LARGEST else None  # false for NaN, too


def content_of(record: Any) -> str:
    """Return a digest of what a record says, however it is written down."""
    text = json.dumps(_with_text_keys(record), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _with_text_keys(record: Any) -> Any:
    """Return a record with keys that can be sorted: YAML has numbers as keys, too."""
    if isinstance(record, Mapping):
        return {str(key): _with_text_keys(value) for key, value in record.items()}
    return [_with_text_keys(value) for value in record] if isinstance(record, list) else record


def at(record: Any, *path: str) -> Any:
    """Return what stands in nested objects under these keys; None where there is nothing."""
    for key in path:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record


@dataclass
class Outcome:
    """One run of a result file.

    Attributes:
        kind: of the importer.
        figures: values by our name; counts that only checks use are among them.
        unknown: what is not mapped, by its own dotted name.
        model, gpu: as the file names them; None where it doesn't.
        backend, workload, arrivals: settings under our keys.
        requests: one row a request, where the file holds them all.
        checks: findings of the reader itself.
        rounding: half of the last digit that the file prints.
        nominal_lengths: the mean lengths are those asked for.
        facts: further facts under our names.
    """

    kind: str
    figures: dict[str, float] = field(default_factory=dict)
    unknown: dict[str, Json] = field(default_factory=dict)
    model: str | None = None
    gpu: str | None = None
    backend: dict[str, Json] = field(default_factory=dict)
    workload: dict[str, Json] = field(default_factory=dict)
    arrivals: dict[str, Json] = field(default_factory=dict)
    requests: pa.Table | None = None
    checks: list[SanityCheck] = field(default_factory=list)
    rounding: float = 0.0
    nominal_lengths: bool = False
    facts: dict[str, Json] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take(self, name: str, value: Any, source: str, factor: float = 1.0) -> None:
        """Keep a figure under our name; what is no number is told under its own (`source`), null is not measured."""
        found = number(value)
        if found is not None:
            self.figures[name] = found * factor
        elif value is not None:
            self.unknown[source] = str(value)
            self.checks.append(
                SanityCheck("figures_readable", "warn", f"{source} is not a number: {value!r:.60}")
            )

    def leave(self, name: str, value: Any) -> None:
        """Keep what has no name of ours under its own; nested objects by dotted names, lists by their length."""
        if isinstance(value, Mapping):
            for key, inner in value.items():
                self.leave(f"{name}.{key}", inner)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            if value:
                self.unknown[name] = f"{len(value)} values"
        elif value is not None and value != "":
            self.unknown[name] = value if number(value) is not None else str(value)[:500]

    def run(self, origin: str, content: str) -> ImportedRun:
        """Return the run: metrics with what follows from its requests, facts, checks of both against each other."""
        result = Result(metrics=[], facts={**self._workload_facts(), **self.facts, **self._kept_unknown()})
        config = self._config()
        stated = {name: value for name, value in self.figures.items() if name not in _COUNTS}
        result.metrics = [Metric(name, value, unit_of(name), self.kind) for name, value in stated.items()]
        if self.requests is not None:
            result.tables["requests"] = self.requests
            derived = [_known(metric) for metric in derive(config, None, Result(tables=result.tables))]
            result.metrics += [metric for metric in derived if metric.name not in stated]
            result.checks += request_checks(None, result)
            result.checks += _agreement(stated, derived)
        own = figure_checks(self.figures, self.rounding, self.nominal_lengths)
        if self.requests is not None:
            own = [check for check in own if check.name != "requests_served"]
        result.checks += own + self.checks
        notes = list(self.notes)
        if self.unknown:
            some = ", ".join(list(self.unknown)[:5])
            notes.append(f"{len(self.unknown)} entries have no name of ours and are kept as facts: {some} …")
        return ImportedRun(origin, f"import:{self.kind}", "recorded", config, result, content, notes)

    def _kept_unknown(self) -> dict[str, Json]:
        kept = list(self.unknown.items())[:_FACTS_AT_MOST]
        return {f"{self.kind}.{name}": value for name, value in kept}

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "backend": {"name": "recorded", **self.backend},
            "workload": {**self.workload, "arrivals": self.arrivals},
        }
        for group, given in (("model", self.model), ("gpu", self.gpu)):
            if given:
                config[group] = {"name": catalogue_name(group, given) or given}
        return config

    def _workload_facts(self) -> dict[str, Json]:
        """Return what is known of the load, under the names that a workload's facts have."""
        figures = self.figures
        done = figures.get("completed")
        sent = figures.get(PROMPTS, (done or 0.0) + figures.get(FAILED, 0.0))
        facts: dict[str, Json] = {"workload.num_requests": int(sent) if sent else None}
        for name, total in (("input_tokens_mean", INPUT_TOTAL), ("output_tokens_mean", OUTPUT_TOTAL)):
            mean = figures.get(name)
            if mean is None and total in figures and done:
                mean = figures[total] / done
            facts[f"workload.{name}"] = mean
        facts["workload.offered_rps"] = self.arrivals.get("rate_rps")
        facts["workload.concurrency"] = self.arrivals.get("concurrency")
        if self.model and catalogue_name("model", self.model) != self.model:
            facts["model_in_file"] = self.model
        return {name: value for name, value in facts.items() if value is not None}


def _known(metric: Metric) -> Metric:
    """Return a derived metric, absent where a request lacks the time that it needs (no stream, no first token)."""
    if metric.value is None or abs(metric.value) < _LARGEST:
        return metric
    return Metric.absent(metric.name, "a finished request has no time of its first token", metric.unit)


def _agreement(stated: Mapping[str, float], derived: Sequence[Metric]) -> list[SanityCheck]:
    """Hold the stated figures against those of the requests."""
    names = ("completed", "ttft_mean_ms", "tpot_mean_ms", "itl_mean_ms", "e2e_mean_ms")
    own = {metric.name: metric.value for metric in derived if metric.value is not None}
    both = [name for name in names if name in stated and name in own]
    apart = [
        f"{name} is {stated[name]:g}, its requests say {own[name]:.6g}"
        for name in both
        if abs(stated[name] - (own[name] or 0.0))
        > TOLERANCE * max(abs(stated[name]), abs(own[name] or 0.0)) + _SLACK_MS.get(name, 0.0)
    ]
    if apart:
        return [SanityCheck("requests_agree", "fail", "; ".join(apart))]
    return (
        [SanityCheck("requests_agree", "pass", f"{len(both)} figures follow from the requests")]
        if both
        else []
    )
