"""What the store keeps of one run: identity, state, configuration, provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from framework.contracts import Json, Metric, SanityCheck, Verdict

Status = Literal["running", "done", "failed", "stale"]


@dataclass(frozen=True)
class Failure:
    """Why a run failed.

    Attributes:
        stage: `validate`, `workload`, `collectors`, `backend`, `derive`, `bundle`, `launcher` …
        kind: the exception's class, or `timeout`, `cancelled`, `node_failure`.
        message: one line.
        log_tail: the last lines of logs or of the traceback.
    """

    stage: str
    kind: str
    message: str
    log_tail: str = ""

    @property
    def reason(self) -> str:
        """The message; with the exception's class in front where the message is only a word of the code's own."""
        bare = self.kind.endswith("Error") and self.message[:1] in ("'", '"')
        return f"{self.kind}: {self.message}" if bare else self.message


@dataclass(frozen=True)
class RunRecord:
    """One attempt at one configuration, as it is in `run.json` of its bundle.

    Attributes:
        run_id: unique, sortable by time.
        run_key: hash of the resolved configuration without volatile keys, of the workload's content, of what is
            executed and of the repetition: the same key is the same experiment.
        job_key: hash of the sweep's base configuration and of this job's overrides; known before the
            configuration is composed, so that a finished job can be skipped in microseconds.
        experiment, sweep_id, sweep_index: where the run belongs; index counts the points of the full grid.
        repeat: 0-based repetition of the same configuration with another seed.
        started_at, finished_at: ISO 8601 in UTC with microseconds.
        code_version: package, its version, and the hash of what was executed (`framework.identity.versions`).
        derivation_hash: of what derived metrics and checks from the tables; no part of the key.
        sanity: worst verdict of the checks.
        config: resolved configuration, nested; `params` of the store are its leaves.
        varied: names of the parameters that the sweep varied.
        facts: what the backend reported.
        provenance: git, packages, host, GPU, driver, clocks, SLURM job, command line.
        artifact_notes: why a file is not kept, or not as a whole, by its name below the bundle's `artifacts/`.
    """

    run_id: str
    run_key: str
    experiment: str
    backend: str
    status: Status
    started_at: str
    finished_at: str | None = None
    job_key: str | None = None
    sweep_id: str | None = None
    sweep_index: int | None = None
    repeat: int = 0
    seed: int = 0
    workload_hash: str | None = None
    code_version: str = ""
    derivation_hash: str = ""
    sanity: Verdict | None = None
    checks: Sequence[SanityCheck] = ()
    metrics: Sequence[Metric] = ()
    config: Mapping[str, Json] = field(default_factory=dict)
    varied: Sequence[str] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)
    provenance: Mapping[str, Json] = field(default_factory=dict)
    artifact_notes: Mapping[str, str] = field(default_factory=dict)
    failure: Failure | None = None


@dataclass(frozen=True)
class RunOutcome:
    """What a sweep needs to know of a run: small, picklable, complete.

    Attributes:
        skipped: the run was done before; `run_id` names the earlier one.
        rederived: its metrics were of an earlier definition and were derived again from its tables.
        outdated: why they could not be.
        bands: metric to (low, high), where an interval is known.
        findings: checks that warn or fail, one line each.
        holds_for: groups and keys of the configuration; other runs with the same values of these fail for the same
            reason. None: says nothing of others.
    """

    run_id: str
    status: Status
    skipped: bool = False
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    failure: Failure | None = None
    rederived: bool = False
    outdated: str | None = None
    bands: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    holds_for: tuple[str, ...] | None = None
