"""Collectors around a run: none of them can fail it, hang it, or report 0 for what they could not see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from omegaconf import DictConfig

from framework.components import build_component
from framework.contracts import Collector, Json, Metric, Result, RunContext, SanityCheck
from framework.errors import ConfigError

COLLECTOR_TIMEOUT_S = 30.0


@dataclass
class _Watched:
    """A collector and what has gone wrong with it so far."""

    name: str
    collector: Collector
    trouble: str | None = None
    result: Result = field(default_factory=Result)


@dataclass
class Collectors:
    """All collectors of a run, started and stopped together."""

    watched: list[_Watched]

    @contextmanager
    def running(self, context: RunContext) -> Iterator[None]:
        """Start all, run the body, stop all that started, in reverse order, whatever the body did."""
        for item in self.watched:
            item.trouble = _guarded(lambda item=item: item.collector.start(context), f"{item.name} start")[1]
        try:
            yield
        finally:
            for item in reversed(self.watched):
                if item.trouble is None:
                    self._stop(item)

    def _stop(self, item: _Watched) -> None:
        value, item.trouble = _guarded(item.collector.stop, f"{item.name} stop")
        if item.trouble is None:
            if isinstance(value, Result):
                item.result = value
            else:
                item.trouble = f"{item.name} returned {type(value).__name__} instead of a Result"

    def merge_into(self, result: Result) -> None:
        """Add what the collectors found; one in trouble is a warning, its declared metrics are absent."""
        import pyarrow as pa

        for item in self.watched:
            if item.trouble is not None:
                result.checks.append(SanityCheck(f"collector_{item.name}", "warn", item.trouble))
                declared = getattr(item.collector, "metric_names", ())
                result.metrics.extend(
                    Metric.absent(name, item.trouble, source=item.name) for name in declared
                )
                continue
            result.metrics.extend(item.result.metrics)
            result.checks.extend(item.result.checks)
            facts: dict[str, Json] = dict(item.result.facts)
            if facts:
                result.facts[item.name] = facts
            for name, table in item.result.tables.items():
                present = result.tables.get(name)
                result.tables[name] = (
                    table
                    if present is None
                    else pa.concat_tables([present, table], promote_options="permissive")
                )


def build_collectors(config: DictConfig) -> Collectors:
    """Instantiate the classes under `metrics`; a class that can't be made is a configuration error."""
    watched = []
    for name in config.metrics:
        collector = build_component(config, f"metrics.{name}")
        if not isinstance(collector, Collector):
            raise ConfigError(f"configuration key 'metrics.{name}._target_': no start and stop in it")
        watched.append(_Watched(str(name), collector))
    return Collectors(watched)


def _guarded(action: Callable[[], object], what: str) -> tuple[object, str | None]:
    """Run an action with a time limit; return (value, None) or (None, what went wrong).

    A hanging collector's thread is left behind as a daemon: the run matters more.
    """
    box: dict[str, object] = {}

    def body() -> None:
        try:
            box["value"] = action()
        except Exception as error:  # a third party's collector may raise anything
            box["trouble"] = f"{what}: {type(error).__name__}: {error}".splitlines()[0]

    thread = threading.Thread(target=body, name=f"collector {what}", daemon=True)
    thread.start()
    thread.join(COLLECTOR_TIMEOUT_S)
    if thread.is_alive():
        return None, f"{what}: no answer within {COLLECTOR_TIMEOUT_S:g} s"
    trouble = box.get("trouble")
    return box.get("value"), str(trouble) if trouble is not None else None
