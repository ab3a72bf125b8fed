"""The end of a sweep: ingest, advice, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from omegaconf import DictConfig

from framework.analysis.claims.claim_file import claims_file
from framework.configuration.components import build_component
from framework.configuration.composition import batch_backend
from framework.contracts import (
    Advice,
    AdvisorScope,
    BatchBackend,
    BatchJob,
    ReportScope,
    Result,
    RunContext,
    StoreReader,
    WorkloadTables,
)
from framework.errors import UserError, one_line
from framework.plugins import FAULTS, items_of
from framework.report.plugin_blocks import sweep_tables
from framework.report.terminal.progress_bars import progress_bar
from framework.report.terminal.terminal_tables import console, print_failures, print_note, print_table
from framework.run.derivation import refusal_notes
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.side_files.answers import write_advice
from framework.sweep.session import SweepSession


def end_sweep(config: DictConfig, session: SweepSession) -> None:
    """Ingest the bundles, ask the advisors (once the sweep is complete), print results, advice, failures."""
    with progress_bar("bringing the runs into the store", bool(config.progress)) as show:
        ingest(session.outputs_dir, progress=show)
    store = Store(session.outputs_dir)
    if session.run_ids and not (session.interrupted or session.detached):
        _advise(config, session, store)
    if config.progress:
        _print_tables(session, store)


def _advise(config: DictConfig, session: SweepSession, store: StoreReader) -> None:
    advice: list[Advice] = []
    for name in config.advisor:
        try:
            with progress_bar(f"advisor {name}", bool(config.progress)) as show:
                batches = partial(_batches_of_study, session.outputs_dir, show)
                scope = AdvisorScope(store, session.experiment, session.sweep_id, session.run_ids, batches)
                advice += items_of(build_component(config, f"advisor.{name}").advise(scope), Advice)
        except UserError as error:
            print_note(f"advisor {name}: {error}")
        except FAULTS as error:  # the runs are safe by now
            print_note(f"advisor {name}: {type(error).__name__}: {one_line(error)}")
    if advice:
        write_advice(session.outputs_dir, advice, session.experiment, session.sweep_id)
        ingest(session.outputs_dir)


@dataclass(frozen=True)
class _ShownBatches:
    """A batch backend whose results move a progress bar (done, total)."""

    backend: BatchBackend
    show: Callable[[int, int], None]

    def check(self, workload: WorkloadTables) -> None:
        self.backend.check(workload)

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        return self.backend.run(workload, context)

    def run_batch(self, jobs: Sequence[BatchJob]) -> Iterator[tuple[int, Result]]:
        for done, item in enumerate(self.backend.run_batch(jobs), start=1):
            self.show(done, len(jobs))
            yield item


def _batches_of_study(
    outputs: str, show: Callable[[int, int], None], name: str, overrides: Sequence[str]
) -> BatchBackend:
    folder = outputs.replace("'", "\\'")  # quoted, as Hydra's overrides want it
    return _ShownBatches(batch_backend(name, [f"outputs_dir='{folder}'", *overrides]), show)


def _print_tables(session: SweepSession, store: StoreReader) -> None:
    scope = ReportScope(store, session.experiment, session.run_ids, claims_file(session.experiment))
    tables, problems = sweep_tables(scope)
    for table in tables:
        print_table(table)
    for problem in problems:
        print_note(str(problem))
    if session.failed:
        failed = [
            (session.points[key].description, outcome.failure)
            for key, outcome in sorted(session.failed.items())
        ]
        print_failures(failed)
    for note in refusal_notes(session.outdated):
        print_note(note)
    rederived = f" ({len(session.rederived)} re-derived)" if session.rederived else ""
    console().print(
        f"[bold]{session.experiment}[/]: {len(session.outcomes) - len(session.failed)} run, "
        f"{len(session.skipped)} skipped as done{rederived}, {len(session.failed)} failed · "
        f"python -m framework report --experiment {session.experiment}"
    )
