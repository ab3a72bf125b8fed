"""What comes out of a run: metrics, checks, tables, facts; and what a workload hands to a backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from framework.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

Json = Any  # a JSON value: None, bool, int, float, str, or a list or dict of these


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
