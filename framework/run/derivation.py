"""Metrics and checks from a run's tables, by the plugins' hooks: after a run, and again when a definition changed.

A run keeps what its backend and collectors reported and the tables; from these, and from its workload, built again
from the stored configuration, the hooks can tell what they would have told then. The bundle is never changed: what is
derived again lies beside it (`side_files.derivations`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.contracts import Json, Metric, Result, SanityCheck, Verdict, WorkloadTables
from framework.errors import StoreError, UserError, one_line
from framework.identity.run_key import utc_now
from framework.identity.versions import derivation_hash, hook_hash
from framework.plugins import FAULTS, PluginError, called, items_of, plugin_manager
from framework.run.rebuild import rebuilt_workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framework.run_record import RunRecord
    from framework.store.bundles.bundle_format import Bundle
    from framework.store.side_files.derivations import Derivation

_BY_THE_CORE = "framework"


def derive_metrics(config: Mapping[str, Json], workload: WorkloadTables | None, result: Result) -> None:
    """Add to a result the metrics that the hooks derive from it; a name that is there already stands."""
    known = {metric.name for metric in result.metrics}
    for mark, found in _asked("derived_metrics", config, workload, result):
        for metric in found:
            if metric.name not in known:
                known.add(metric.name)
                result.metrics.append(replace(metric, derivation=mark))


def judge(config: Mapping[str, Json], workload: WorkloadTables | None, result: Result) -> None:
    """Add to a result the findings of the hooks, and a failed check for every metric that is NaN or infinite."""
    for mark, found in _asked("sanity_checks", config, workload, result):
        result.checks.extend(replace(check, derivation=mark) for check in found)
    result.checks.extend(
        SanityCheck("finite_metrics", "fail", f"{metric.name} is {metric.value}", _BY_THE_CORE)
        for metric in result.metrics
        if metric.value is not None and (metric.value != metric.value or abs(metric.value) == float("inf"))
    )


def worst(checks: Collection[SanityCheck]) -> Verdict:
    """Return the verdict on a run: the worst of its checks."""
    verdicts = {check.verdict for check in checks}
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "pass"


def _asked(
    name: str, config: Json, workload: WorkloadTables | None, result: Result
) -> Iterator[tuple[str, Any]]:
    """Yield what each implementation of a hook returns, with the hash of its code."""
    given = {"config": config, "workload": workload, "result": result}
    for implementation in reversed(getattr(plugin_manager().hook, name).get_hookimpls()):
        try:
            found = items_of(
                called(implementation, given),
                Metric if name == "derived_metrics" else SanityCheck,
            )
        except FAULTS as error:
            raise PluginError(implementation.plugin_name, name, error) from error
        yield hook_hash(implementation.function)[:12], found


@dataclass
class DerivedAgain:
    """What came of deriving runs again.

    Attributes:
        run_ids: runs with new metrics and checks.
        refused: run id to the reason why it keeps those it had.
    """

    run_ids: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def refusal_notes(refused: Mapping[str, str]) -> list[str]:
    """Return one line for each reason why runs could not be derived again, with their number."""
    counts = Counter(refused.values())
    return [
        f"{count} {'run keeps' if count == 1 else 'runs keep'} metrics of an earlier definition: {reason}"
        for reason, count in sorted(counts.items())
    ]


def derive_again(
    outputs: Path | str, run_ids: Sequence[str], progress: Callable[[int, int], None] | None = None
) -> DerivedAgain:
    """Derive metrics and checks of finished runs anew from their stored tables, and bring them into the database.

    Args:
        outputs: the outputs folder; its packs and the remote places that it ingests from count.
        run_ids: runs of the store.
        progress: called with (runs looked at, runs to look at).

    Raises:
        StoreError: what is derived can't be written, or the database can't be changed.
    """
    from framework.store.bundles.remote import is_url
    from framework.store.bundles.sources import read_runs
    from framework.store.database.ingest import ingest
    from framework.store.side_files.derivations import write_derivation

    report = DerivedAgain()
    rebuild = lru_cache(maxsize=4)(_rebuilt)  # runs that follow one another often share their workload
    if is_url(outputs):
        report.refused = dict.fromkeys(run_ids, f"ingest {outputs} into a folder, then run `derive` there")
        return report
    for count, (run_id, content) in enumerate(read_runs(outputs, run_ids), 1):
        try:
            if isinstance(content, StoreError):
                raise content
            derived = _derived(content, rebuild)
        except (
            Exception
        ) as error:  # a plugin's workload or hook may raise anything; the run keeps what it has
            kind = "" if isinstance(error, UserError | PluginError) else f"{type(error).__name__}: "
            report.refused[run_id] = f"{kind}{one_line(error)}"
        else:
            write_derivation(outputs, derived)
            report.run_ids.append(run_id)
        if progress is not None:
            progress(count, len(run_ids))
    if report.run_ids:
        ingest(outputs)
    return report


def _derived(bundle: Bundle, rebuild: Callable[[str, int, str], WorkloadTables]) -> Derivation:
    from framework.store.side_files.derivations import Derivation

    record = bundle.record
    workload = None
    if record.workload_hash:
        group = json.dumps(record.config.get("workload"), sort_keys=True)
        workload = rebuild(group, record.seed, record.workload_hash)
    tables = {
        name: table.drop_columns(["run_id"])
        for name, table in bundle.tables.items()
        if name not in ("metrics", "params")
    }
    result = Result(list(record.metrics), tables, dict(record.facts), list(record.checks))
    _keep_reported(record, workload, result)
    derive_metrics(record.config, workload, result)
    judge(record.config, workload, result)
    return Derivation(
        run_id=record.run_id,
        bundle=bundle.checksum,
        derivation_hash=derivation_hash(),
        derived_at=utc_now(),
        sanity=worst(result.checks),
        metrics=result.metrics,
        checks=result.checks,
    )


def _keep_reported(record: RunRecord, workload: WorkloadTables | None, result: Result) -> None:
    """Leave in a stored result what the backend and the collectors reported.

    A bundle from before derivations were marked does not say what was derived: metrics that the hooks would derive
    if nothing were known, from the same source, and checks of the names that they use.
    """
    if record.derivation_hash:
        result.metrics = [metric for metric in result.metrics if metric.derivation is None]
        result.checks = [check for check in result.checks if check.derivation is None]
        return
    sources, names = _unmarked_names(record, workload, result)
    result.metrics = [m for m in result.metrics if m.name not in sources or m.source != sources[m.name]]
    result.checks = [check for check in result.checks if check.name not in names]


def _unmarked_names(
    record: RunRecord, workload: WorkloadTables | None, result: Result
) -> tuple[dict[str, str], set[str]]:
    """Return which metrics (name to source) and which checks the hooks produce for a run."""
    for known in ([], result.metrics):  # a hook may leave out what is reported, or need it
        given = Result(list(known), result.tables, result.facts)
        try:
            sources = {
                metric.name: metric.source
                for _, found in _asked("derived_metrics", record.config, workload, given)
                for metric in found
            }
            checks = _asked("sanity_checks", record.config, workload, given)
            return sources, {"finite_metrics", *(check.name for _, found in checks for check in found)}
        except FAULTS:  # a plugin's hook may raise anything
            continue
    return {}, set()


def _rebuilt(group: str, seed: int, content_hash: str) -> WorkloadTables:
    """Build a workload again; `group` is its configuration as JSON. Raises as `rebuilt_workload`."""
    return rebuilt_workload({"workload": json.loads(group)}, seed, content_hash)
