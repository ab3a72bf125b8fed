"""An engine that serves several runs of a sweep: those that differ in the load only.

What an engine is, is its command and its environment: a run that would start it with the same ones gets the one that
runs already, after its prefix cache was emptied. It is started anew where that fails, and where a profiler has to
start it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from framework.identity.run_key import canonical_hash
from framework.processes.between_runs import BetweenRuns
from framework_vllm.server.carried_state import empty_prefix_cache
from framework_vllm.server.engine_facts import EngineFacts, read_facts
from framework_vllm.server.fleet import Fleet, FleetPlan


@dataclass
class KeptFleet:
    """Running engines and what they have served.

    Attributes:
        fleet: the engines.
        logs: folder of their logs.
        runs: runs that they have served before this one.
    """

    fleet: Fleet
    logs: Path
    runs: int = 0
    _facts: tuple[EngineFacts, ...] = field(default_factory=tuple)

    def facts(self) -> tuple[EngineFacts, ...]:
        """Return what each says of itself; asked once, since a resolved configuration does not change."""
        if not self._facts:
            servers = enumerate(self.fleet.servers)
            self._facts = tuple(read_facts(server.url, resolved=number == 0) for number, server in servers)
        return self._facts

    def ready_again(self) -> bool:
        """Whether the engines can serve another run as if it were their first: all there, prefix caches empty."""
        if self.fleet.failure() is not None:
            return False
        return all(
            facts.cache_config.get("enable_prefix_caching") == "False" or empty_prefix_cache(server.url)
            for server, facts in zip(self.fleet.servers, self.facts(), strict=True)
        )

    def end(self) -> None:
        """End the engines and remove their logs."""
        try:
            self.fleet.end()
        finally:
            shutil.rmtree(self.logs, ignore_errors=True)


def fleet_key(plan: FleetPlan) -> str:
    """Return what makes two plans the same engines: commands, environments, places. The port is no part of it."""
    commands = [plan.command(number, place) for number, place in enumerate(plan.places)]
    told = [[command.words(0), dict(command.environment)] for command in commands]
    return canonical_hash([told, [vars(place) for place in plan.places], plan.mps, plan.first_port])


@contextmanager
def fleet_for(
    plan: FleetPlan, keeper: BetweenRuns | None, progress: Callable[[str], None]
) -> Iterator[KeptFleet]:
    """Return engines for a run: those of the run before if they are the same, else new ones.

    Without a keeper, and under a profiler, they end with the block. With one they are left to the next run unless the
    block fails. The run's folder has what each engine logged during the run.
    """
    profiled = any(plan.prefix(f"engine-{number}") for number in range(len(plan.places)))
    if keeper is None or profiled:
        if keeper is not None:
            keeper.end()
        with Fleet(plan, progress) as fleet:
            yield KeptFleet(fleet, plan.scratch)
        return
    key = fleet_key(plan)
    kept: KeptFleet | None = keeper.take(key)
    if kept is not None and not kept.ready_again():
        kept.end()
        kept = None
    if kept is None:
        kept = _started(plan, progress)
    else:
        progress("engine: the one of the run before, its prefix cache emptied")
    began = {} if kept.runs == 0 else {log.name: log.stat().st_size for log in kept.logs.glob("*.log")}
    for log in kept.logs.glob("*.log"):
        (plan.scratch / log.name).symlink_to(log)  # can be read while the run goes on
    try:
        yield kept
    except BaseException:
        _copied_logs(kept.logs, plan.scratch, began)
        kept.end()
        raise
    _copied_logs(kept.logs, plan.scratch, began)
    kept.runs += 1
    keeper.leave(key, kept, kept.end)


def _started(plan: FleetPlan, progress: Callable[[str], None]) -> KeptFleet:
    logs = Path(tempfile.mkdtemp(prefix="framework-engine-"))
    try:
        return KeptFleet(Fleet(replace(plan, scratch=logs), progress).__enter__(), logs)
    except BaseException:
        _copied_logs(logs, plan.scratch, {})
        shutil.rmtree(logs, ignore_errors=True)
        raise


def _copied_logs(logs: Path, folder: Path, began: dict[str, int]) -> None:
    """Put what was logged since these positions into a run's folder."""
    for log in sorted(logs.glob("*.log")):
        target = folder / log.name
        target.unlink(missing_ok=True)
        with open(log, "rb") as source, open(target, "wb") as copy:
            source.seek(began.get(log.name, 0))
            shutil.copyfileobj(source, copy)
