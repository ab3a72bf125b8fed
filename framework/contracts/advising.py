"""Who looks at stored runs: the store as it is read, advisors and their advice."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from framework.contracts.outcomes import Json
from framework.contracts.run_roles import BatchBackend

if TYPE_CHECKING:
    import pyarrow as pa


class StoreReader(Protocol):
    """Read access to the store, as advisors and report sections get it."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Return the result of a read-only SQL query (`?` placeholders)."""
        ...


@dataclass(frozen=True)
class Deployed:
    """A deployment that runs, and where its load is to be read.

    Attributes:
        file: describes it; its key `kind` says which plugin knows it.
        log: of requests, None: none is given.
        metrics: URLs of its servers' metrics.
        seconds: how long these are read.
        out: file for the deployment that is better now, None: it is only printed.
        outputs: folder of the store.
    """

    file: Path
    log: Path | None
    metrics: Sequence[str]
    seconds: float
    out: Path | None
    outputs: Path


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
        facts: named numbers worth a column of their own (`freed_gib` …). Texts or lists of texts under `beats`,
            `sure` and `changes` are parts of the answer: what it is better than and by how much, how certain that
            is, what would change it; `rule` is which of the advisor's rules it follows.
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
        """The recommendation as command-line overrides to be pasted into a shell, sorted by key."""
        return shlex.join(f"{key}={_typed(value)}" for key, value in sorted(self.recommendation.items()))


def _typed(value: Json) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


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
