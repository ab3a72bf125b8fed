"""The types that plugins meet: workload, backend, collector, advisor, result.

Everything that crosses from a plugin into the core, or back, is one of these dataclasses or an Arrow
table. A class of a plugin is named in a configuration group by Hydra's `_target_`, is built from that
group's keys, and satisfies one of the protocols below; nothing needs to be subclassed.

Units: seconds (`_s`), milliseconds (`_ms`), watts (`_w`), joules (`_j`), bytes unless named otherwise.
Times in tables count from the first arrival of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from framework.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.input_files.file_head import FileHead
    from framework.processes.between_runs import BetweenRuns
    from framework.quantity import Quantity

Json = Any  # a JSON value: None, bool, int, float, str, or a list or dict of these

Progress = Callable[[float, str], None]
"""Called with (fraction 0–1, short text): how far something is."""

Better = Literal["higher", "lower", "none"]
Verdict = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Metric:
    """One scalar outcome of a run. A quantity that could not be measured has `value=None` and a reason.

    Attributes:
        name: the field's standard name, with its unit as a suffix (`itl_mean_ms`).
        value: the number, or None when it is unavailable. Never 0 for "unavailable".
        unit: unit of the value; "" for a pure number.
        source: where the number came from (`requests`, `engine`, `nvml-counter`, `model` …).
        reason: why the value is None; None otherwise.
        low, high: interval around the value, where one is known.
        window_s: length of the window in which it was sampled; None for what is counted, not sampled.
        updates: number of sensor updates behind a sampled value.
        derivation: hash of the code that derived it from the run's tables, filled in by the core; None for what a
            backend or a collector reported.
    """

    name: str
    value: float | None
    unit: str = ""
    source: str = ""
    reason: str | None = None
    low: float | None = None
    high: float | None = None
    window_s: float | None = None
    updates: int | None = None
    derivation: str | None = None

    @classmethod
    def absent(cls, name: str, reason: str, unit: str = "", source: str = "") -> Metric:
        """Return a metric that says why it could not be measured."""
        return cls(name, None, unit, source, reason)


@dataclass(frozen=True)
class MetricDefinition:
    """What a metric name means: shown in docs and reports, used to orient Pareto fronts and comparisons.

    Attributes:
        better: which direction is better, if one is.
        headline: among the few that a live view has room for.
    """

    name: str
    unit: str
    description: str
    better: Better = "none"
    headline: bool = False


@dataclass(frozen=True)
class SanityCheck:
    """One finding about whether a run did what it claims; kept apart from its performance.

    `derivation` is that of a `Metric`: filled in by the core, None for a finding of a backend or a collector.
    """

    name: str
    verdict: Verdict
    detail: str = ""
    derivation: str | None = None


class _NamedTables(dict[str, Any]):
    """Tables by name; one that is missing says which workload a backend wants, instead of a bare `KeyError`."""

    def __missing__(self, name: str) -> Any:
        there = ", ".join(sorted(self)) or "none"
        raise ConfigError(
            f"this backend needs a workload with a table '{name}', and the one chosen has: {there}; "
            "choose another with workload=NAME"
        )


@dataclass(frozen=True)
class WorkloadTables:
    """What a workload built: Arrow tables, and a hash that names their content.

    Attributes:
        tables: by name, as the domain calls them (`requests`, `jobs` …).
        content_hash: hex digest of the tables' content (`framework.identity.fingerprint.tables_hash`).
        facts: what a reader should know of it (realised means, source file, rows left out).
    """

    tables: Mapping[str, pa.Table]
    content_hash: str
    facts: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", _NamedTables(self.tables))


@dataclass
class Result:
    """What a backend or a collector returns.

    Attributes:
        metrics: scalar outcomes.
        tables: named Arrow tables *without* a `run_id` column (the core adds it).
        facts: engine version, resolved engine configuration, number of KV blocks … (JSON values).
        checks: what the backend itself knows about its sanity.
        artifacts: files worth keeping beside the numbers, by the name of what they are (`job_history`); they are
            copied into the run's bundle as `artifacts/<name>/<file>`. They may lie in the scratch folder, whose
            `*.log` files are kept anyway.
    """

    metrics: list[Metric] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    facts: dict[str, Json] = field(default_factory=dict)
    checks: list[SanityCheck] = field(default_factory=list)
    artifacts: dict[str, Path | Sequence[Path]] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Advice:
    """A recommendation that can be pasted back into the command line.

    Attributes:
        advisor: name of the advisor.
        subject: what it is about, e.g. the name of the model.
        recommendation: overrides, e.g. `{"backend.servers": 5}`.
        metric, predicted, low, high: predicted outcome with its interval.
        reason: one sentence.
        run_ids: the runs it is based on.
        facts: named numbers worth a column of their own (`freed_gib` …).
    """

    advisor: str
    subject: str
    recommendation: Mapping[str, Json]
    metric: str
    predicted: float | None
    low: float | None
    high: float | None
    reason: str
    run_ids: Sequence[str]
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def overrides(self) -> str:
        """The recommendation as command-line overrides, sorted by key."""
        return " ".join(f"{key}={value}" for key, value in sorted(self.recommendation.items()))


class StoreReader(Protocol):
    """Read access to the store, as advisors and report sections get it."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Return the result of a read-only SQL query (`?` placeholders)."""
        ...


@dataclass(frozen=True)
class AdvisorScope:
    """What an advisor may use: the sweep just finished, and how to compose a batch backend.

    Attributes:
        store: read access to all runs.
        experiment: name of the experiment.
        sweep_id: the sweep that just ended; None when advice is asked over all runs.
        run_ids: the runs of this sweep, those skipped as already done included.
        batch_backend: composes a backend by its configuration name, e.g. `batch_backend("twin", [])`;
            the second argument holds further overrides. Raises `ConfigError` if it offers no batch call.
    """

    store: StoreReader
    experiment: str
    sweep_id: str | None
    run_ids: Sequence[str]
    batch_backend: Callable[[str, Sequence[str]], BatchBackend]


@runtime_checkable
class Advisor(Protocol):
    """Reads the store after a sweep and returns advice."""

    def advise(self, scope: AdvisorScope) -> Iterable[Advice]:
        """Return advice; an empty iterable when the runs don't support any."""
        ...


@dataclass(frozen=True)
class ImportedRun:
    """A run that happened elsewhere, as an importer yields it; becomes a bundle like any other.

    Attributes:
        origin_id: the run's id in its source; with the importer's kind and the content it makes the import
            idempotent.
        experiment, backend: how it will be listed; e.g. experiment `import:serving`, backend `recorded`.
        config: its configuration in our names, nested (`{"model": {"name": …}, "backend": {…}}`).
        result: metrics, tables, facts and checks. Without a check the run counts as unchecked.
        content: digest of all that the source says of the run: two runs of one id in two files are the same only if
            they say the same. "" where the id alone tells runs apart.
        notes: messages to the user, one line each (what was not understood, what was left out).
        complete: False for what breaks off or was still being written: such a run is failed, whatever it says, and
            does not stand in the way of the complete one.
        begin: what recordings of this run have in common from their first moment on (ids, times of the start): an
            incomplete one is replaced by its complete successor, or by a longer incomplete one. "" if nothing does.
        extent: how far the recording goes, in units of its own (events); of two incomplete ones the longer counts.
        detail: of two complete recordings of one `begin`, the one with more detail counts (two exports of one run);
            0: they are two runs.
    """

    origin_id: str
    experiment: str
    backend: str
    config: Mapping[str, Any]
    result: Result
    content: str = ""
    notes: Sequence[str] = ()
    complete: bool = True
    begin: str = ""
    extent: int = 0
    detail: int = 0


@dataclass(frozen=True)
class ImportedTable:
    """Runs that happened elsewhere, by the thousand: one row each, in columns; they become one recording.

    Attributes:
        origin_ids: each run's id in its source; with the importer's kind it makes the import idempotent.
        experiment, backend: how they will be listed.
        params: configuration in our dotted names, an array of one value a run; null is a missing value.
        metrics: scalar outcomes by name, in the same way.
        units: of the metrics.
        facts: what else the source says of each run, in the same way.
        notes: messages to the user, one line each (duplicates counted, values treated as missing).
    """

    origin_ids: Sequence[str]
    experiment: str
    backend: str
    params: Mapping[str, pa.Array]
    metrics: Mapping[str, pa.Array]
    units: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, pa.Array] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Law:
    """What physics says of a metric before anything is learned: a simulation, or a formula.

    The verb `predict` starts from it, corrects it by what was measured, and says which of both to trust.

    Attributes:
        name: how it is listed.
        predict: metric and configurations (nested, as of a run) → the value of each with its band; None where the
            law says nothing of it. Must not raise for a configuration that is not of its domain.
        backends: backends whose runs are made by the law itself: their values are its predictions.
        of_runs: for `compare NAME LAW`: store, and name of an experiment, sweep or run → a table of what was measured
            in each of its runs, what the law says with its band, and the difference; then a line for each run of
            which it says nothing. It may use all that the store holds of a run, not its configuration alone. None:
            only `predict` asks this law.
    """

    name: str
    predict: Callable[[str, Sequence[Mapping[str, Any]]], Sequence[Quantity | None]]
    backends: tuple[str, ...] = ()
    of_runs: Callable[[StoreReader, str], Sequence[TableBlock | str]] | None = None


@dataclass(frozen=True)
class Importer:
    """Brings recorded runs of one kind into the store: `import KIND FILE`.

    Attributes:
        kind: the word on the command line.
        description: one line for `--help`.
        read: generator over the runs of a file, one by one or in tables of many; raises `InputError` naming file
            and row.
        recognises: says in words what a file is (`JSON of vllm bench serve`), or None for one of another kind; for
            `import FILE`. By content, never by name. None: files of this kind are imported by naming the kind.
        options: names that `read` takes as further keywords; `import FILE NAME=TEXT` gives them.
        folders: whether a folder of several files can be one recording, or which folders can; it is recognised by the
            first of its files.
        otherwise: of a file that no importer recognises: what it is, and where it belongs (`is a trace: …`).
    """

    kind: str
    description: str
    read: Callable[..., Iterator[ImportedRun | ImportedTable]]
    recognises: Callable[[FileHead], str | None] | None = None
    folders: bool | Callable[[Path], bool] = False
    options: Sequence[str] = ()
    otherwise: Callable[[FileHead], str | None] | None = None


@dataclass(frozen=True)
class DoctorCheck:
    """One line of `doctor`: what this machine can run and, where it can't, the line that fixes it."""

    name: str
    ok: bool | None  # None: does not apply here
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Figure:
    """A Plotly figure in a report, given as its JSON specification so that nothing heavy is imported."""

    title: str
    spec: Mapping[str, Any]  # {"data": [...], "layout": {...}}
    caption: str = ""


@dataclass(frozen=True)
class TableBlock:
    """A table in a report or on the terminal: column names and rows of plain values."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@dataclass(frozen=True)
class ReportSection:
    """A section of the HTML report; blocks are shown in order."""

    title: str
    blocks: Sequence[Figure | TableBlock | str]
    order: int = 50


@dataclass(frozen=True)
class Slider:
    """A number to choose from `values`, in ascending order; `start` is one of them."""

    name: str
    label: str
    values: Sequence[float]
    start: float
    unit: str = ""


@dataclass(frozen=True)
class Selection:
    """A word to choose from `options`; `start` is one of them."""

    name: str
    label: str
    options: Sequence[str]
    start: str


@dataclass(frozen=True)
class WhatIf:
    """A question to a model of a system that the dashboard asks again whenever a control moves.

    Attributes:
        name: in the address; letters, digits, `-`.
        description: what is asked, in a sentence or two.
        answer: called with a value for each control, by its name; returns what is shown, within about a second.
            Raises `UserError` for a combination that can't be.
    """

    name: str
    title: str
    description: str
    controls: Sequence[Slider | Selection]
    answer: Callable[[Mapping[str, Json]], Sequence[Figure | TableBlock | str]]


@dataclass(frozen=True)
class ReportScope:
    """What a report is about: read access, the experiment, and the runs in it."""

    store: StoreReader
    experiment: str
    run_ids: Sequence[str]
    claims_file: Path | None = None
