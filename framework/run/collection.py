"""Collectors around a run: none of them can fail it, hang it, or report 0 for what they could not see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from framework.configuration.components import build_component
from framework.contracts import Collector, Json, Metric, ProcessWrapper, Result, RunContext, SanityCheck
from framework.errors import ConfigError, one_line

if TYPE_CHECKING:
    import pyarrow as pa

COLLECTOR_TIMEOUT_S = 30.0


@dataclass
class Watched:
    """A collector and what has gone wrong with it so far: `trouble` costs its result, `notes` do not."""

    name: str
    collector: Collector
    trouble: str | None = None
    notes: list[str] = field(default_factory=list)
    result: Result = field(default_factory=Result)


@dataclass
class Collectors:
    """All collectors of a run, started and stopped together."""

    watched: list[Watched]

    @property
    def instances(self) -> list[Collector]:
        """The collectors themselves."""
        return [item.collector for item in self.watched]

    @contextmanager
    def running(self, context: RunContext) -> Iterator[None]:
        """Start all, run the body, stop all that started, in reverse order, whatever the body did."""
        for item in self.watched:
            context.progress(0.0, f"starting to collect {item.name}")
            start = partial(item.collector.start, context)
            item.trouble = _guarded(start, f"{item.name} start")[1]
        try:
            yield
        finally:
            for item in reversed(self.watched):
                if item.trouble is None:
                    context.progress(1.0, f"reading what {item.name} collected")
                    self._stop(item)

    def command_prefix(self, process: str) -> list[str]:
        """Return what the collectors put before the command of a process of the backend, the first one outermost."""
        words: list[str] = []
        for item in self.watched:
            if item.trouble is None and isinstance(item.collector, ProcessWrapper):
                ask = partial(item.collector.command_prefix, process)
                value, trouble = _guarded(ask, f"{item.name} command_prefix")
                if (
                    trouble is None
                    and isinstance(value, list | tuple)
                    and all(isinstance(w, str) for w in value)
                ):
                    words += value
                else:
                    item.notes.append(trouble or f"{item.name} command_prefix returned {value!r:.80}")
        return words

    def _stop(self, item: Watched) -> None:
        limit_s = getattr(item.collector, "stop_timeout_s", None)
        value, item.trouble = _guarded(item.collector.stop, f"{item.name} stop", limit_s)
        if item.trouble is None:
            item.trouble = _flaw(item.name, value)
            if item.trouble is None and isinstance(value, Result):
                item.result = value

    def merge_into(self, result: Result) -> None:
        """Add what the collectors found; one in trouble is a warning, its declared metrics are absent.

        What the backend measured is kept: a collector's metric of the same name only fills in for an absent one.
        """
        for item in self.watched:
            tables: dict[str, pa.Table] = {}
            result.checks.extend(SanityCheck(f"collector_{item.name}", "warn", note) for note in item.notes)
            if item.trouble is None:
                try:
                    tables = _joined(result.tables, item.result.tables)
                except Exception as error:  # a table that can't be stored would cost the whole run
                    item.trouble = f"{item.name} returned a table that can't be stored: {one_line(error)}"
            if item.trouble is not None:
                result.checks.append(SanityCheck(f"collector_{item.name}", "warn", item.trouble))
                declared = getattr(item.collector, "metric_names", ())
                absent = [Metric.absent(name, item.trouble, source=item.name) for name in declared]
                _fill_in(result.metrics, absent)
                continue
            result.tables.update(tables)
            for name, files in item.result.artifacts.items():
                result.artifacts[name if name not in result.artifacts else f"{item.name}_{name}"] = files
            for name in _fill_in(result.metrics, item.result.metrics):
                detail = f"{name} is also reported by the backend or another collector; that value is kept"
                result.checks.append(SanityCheck(f"collector_{item.name}", "warn", detail))
            result.checks.extend(item.result.checks)
            facts: dict[str, Json] = dict(item.result.facts)
            if facts:
                result.facts[item.name] = facts


def build_collectors(config: DictConfig) -> Collectors:
    """Instantiate the classes under `metrics`; a class that can't be made is a configuration error."""
    watched = []
    for name in config.metrics:
        collector = build_component(config, f"metrics.{name}")
        if not isinstance(collector, Collector):
            raise ConfigError(
                f"configuration key 'metrics.{name}._target_': the class has no methods start and stop"
            )
        watched.append(Watched(str(name), collector))
    return Collectors(watched)


def _guarded(
    action: Callable[[], object], what: str, limit_s: float | None = None
) -> tuple[object, str | None]:
    """Run an action with a time limit; return (value, None) or (None, what went wrong).

    A hanging collector's thread is left behind as a daemon: the run matters more.
    """
    limit_s = COLLECTOR_TIMEOUT_S if limit_s is None else limit_s
    box: dict[str, object] = {}

    def body() -> None:
        try:
            box["value"] = action()
        except BaseException as error:  # a third party's collector may raise anything, SystemExit too
            box["trouble"] = f"{what}: {type(error).__name__}: {one_line(error)}"

    thread = threading.Thread(target=body, name=f"collector {what}", daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        return None, f"{what}: no answer within {limit_s:g} s"
    trouble = box.get("trouble")
    return box.get("value"), str(trouble) if trouble is not None else None


def _flaw(name: str, value: object) -> str | None:
    """Return what is wrong with what a collector returned, or None."""
    if not isinstance(value, Result):
        return f"{name} returned {type(value).__name__} instead of a Result"
    for metric in value.metrics:
        number = isinstance(metric, Metric) and isinstance(metric.value, Real | None)
        if not number or isinstance(metric.value, bool):
            return f"{name} returned {metric!r:.80} among its metrics"
    if not isinstance(value.artifacts, Mapping):
        return f"{name} returned {value.artifacts!r:.80} as its artifacts"
    if not all(isinstance(check, SanityCheck) for check in value.checks):
        return f"{name} returned a check that is not a SanityCheck"
    return None


def _joined(present: Mapping[str, pa.Table], found: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Return the found tables in their declared schema, appended to those that the run holds already."""
    import pyarrow as pa

    from framework.store.database.schema import check_table_name, conform, declared_tables

    joined = {}
    for name, table in found.items():
        check_table_name(name)
        schema = declared_tables().get(name)
        rows = table if schema is None else conform(name, table, schema)
        parts = [present[name], rows] if name in present else [rows]
        joined[name] = pa.concat_tables(parts, promote_options="permissive")
    return joined


def _fill_in(metrics: list[Metric], found: Sequence[Metric]) -> list[str]:
    """Add metrics whose name is new or absent so far; return the names of those left out."""
    places = {metric.name: place for place, metric in enumerate(metrics)}
    left_out = []
    for metric in found:
        place = places.get(metric.name)
        if place is None:
            places[metric.name] = len(metrics)
            metrics.append(metric)
        elif metrics[place].value is None:
            metrics[place] = metric
        elif metric.value is not None:
            left_out.append(metric.name)
    return left_out
