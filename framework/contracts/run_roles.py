"""Who takes part in a run: workload, backend, collector, and the context that they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from framework.contracts.outcomes import Result, WorkloadTables

if TYPE_CHECKING:
    from framework.processes.between_runs import BetweenRuns

Progress = Callable[[float, str], None]
"""Called with (fraction 0–1, short text): how far something is."""


@dataclass
class RunWindow:
    """When the run's own time began and ended, in seconds of `time.monotonic()`; a backend in real time fills it in.

    Collectors start long before the first arrival (a server has to load its model first) and read this in `stop`.

    Attributes:
        begin_s: the first arrival, t = 0 of the run's tables; None while unknown, and for simulated time.
        end_s: the end of the run's duration.
        idle_begin_s, idle_end_s: a stretch in which the engine was ready, its model loaded, and nothing ran.
    """

    begin_s: float | None = None
    end_s: float | None = None
    idle_begin_s: float | None = None
    idle_end_s: float | None = None


@dataclass(frozen=True)
class RunContext:
    """Where and how one run happens; given to backends and collectors.

    Attributes:
        run_id: identity of this attempt.
        config: the resolved configuration (plain dicts and lists), read-only by agreement.
        seed: the seed of this run (workload and backend derive theirs from it).
        scratch: a folder for logs and temporary files; every `*.log` in it is kept with the run, and the ends of
            these logs are shown with a failed one. The rest of it is removed after the run.
        progress: call with (fraction 0–1, short text), as often as is convenient and from any thread: on a
            terminal it moves the bar, in a log it becomes a line now and then, elsewhere it is seen in the sweep.
        window: when the run's own time began and ended; the backend writes it, collectors read it.
        command_prefix: call with the name of a process (`engine-0`) for the words to put before its command: a
            profiler that a collector wants to start it under. Empty for none.
        between_runs: keeps what should go on running until the next run of a sweep; None outside of a sweep.
    """

    run_id: str
    config: Mapping[str, Any]
    seed: int
    scratch: Path
    progress: Progress = lambda fraction, text: None
    window: RunWindow = field(default_factory=RunWindow)
    command_prefix: Callable[[str], Sequence[str]] = lambda process: ()
    between_runs: BetweenRuns | None = None


@runtime_checkable
class Workload(Protocol):
    """Builds the run's input, deterministically from its configuration and a seed."""

    def build(self, seed: int) -> WorkloadTables:
        """Return the tables. Raises `InputError` for a trace that can't be read, naming file and row."""
        ...


@runtime_checkable
class Backend(Protocol):
    """Executes a workload: a real engine or a model of one."""

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for a combination that can't run, before anything starts."""
        ...

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Run it and return metrics, tables and facts. Cleans up every process it started."""
        ...


@runtime_checkable
class Fingerprinted(Protocol):
    """A backend or collector whose numbers depend on more than configuration, workload and Python code.

    The run key holds the code of its class, with all that the class imports from plugins, by itself. What it can't
    see is said here: the version of an engine, programs in other languages, a file of coefficients. Asked after
    `check`, before the run; must give the same text while the same numbers would come out.
    """

    def fingerprint(self) -> str:
        """Return a text that changes when something else would be executed under this configuration."""
        ...


@runtime_checkable
class SweepFingerprinted(Fingerprinted, Protocol):
    """One whose fingerprint depends on what a sweep may vary (the model), so that one point can't speak for all."""

    def sweep_fingerprint(self) -> str:
        """Return a text that changes whenever the fingerprint of any configuration may.

        A sweep recognises its finished points before it composes them, and asks its base configuration once.
        """
        ...


@dataclass(frozen=True)
class BatchJob:
    """One configuration of a batch call: overrides of the backend's own keys, and its workload."""

    overrides: Mapping[str, Any]
    workload: WorkloadTables
    seed: int = 0


@runtime_checkable
class BatchBackend(Backend, Protocol):
    """A backend that can also run many configurations at once (the twin)."""

    def run_batch(self, jobs: Sequence[BatchJob]) -> Iterator[tuple[int, Result]]:
        """Yield (index of the job, its result) as they finish."""
        ...


@runtime_checkable
class Collector(Protocol):
    """A metrics plugin: starts before the backend, stops after it, whatever happened between."""

    def start(self, context: RunContext) -> None:
        """Begin to sample. Raising here makes its metrics absent with the reason; the run goes on."""
        ...

    def stop(self) -> Result:
        """End sampling; return `samples` and scalar metrics, absent ones with their reason."""
        ...


@runtime_checkable
class ProcessWrapper(Collector, Protocol):
    """A collector that must start the backend's processes itself, as profilers do."""

    def command_prefix(self, process: str) -> Sequence[str]:
        """Return the words to put before the command of this process; empty to leave it alone.

        Called once for each process that the backend is about to start, after `start`. Raising here is reported,
        and the process starts without it.
        """
        ...
