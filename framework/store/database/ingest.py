"""Pulling finished bundles into the database: every whole bundle exactly once, whichever process dies.

What is in the database is written in the database itself (`bundles`, `quarantine`, `side_files`), so an ingest adds
the difference between the folder and the database and may be repeated at any time. It works on a private copy that
is published by a rename (`working_copy`): a killed ingest changes nothing but the time the next one takes.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from framework.errors import StoreError, one_line
from framework.store import durable
from framework.store.bundles.batches import LoadedBundle, Progress, read_batches
from framework.store.bundles.bundle_format import Bundle
from framework.store.bundles.heartbeat import RunningRun, read_running
from framework.store.bundles.remote import is_url, remember_remote
from framework.store.bundles.sources import bundle_sources, read_runs
from framework.store.database.derived_rows import replace_derived
from framework.store.database.inventory import DEFINITIONS, Inventory, inventory_of, published_inventory
from framework.store.database.news import News, find_news
from framework.store.database.run_rows import as_table, core_tables, running_row
from framework.store.database.schema import CORE_TABLES
from framework.store.database.table_sink import TableSink
from framework.store.database.working_copy import WorkingCopy, medium_trouble, write_trouble
from framework.store.database.writer_lock import DEFAULT_TIMEOUT_S, writer_lock
from framework.store.layout import RUNNING_FOLDER, RUNS_FOLDER, SWEEPS_FOLDER
from framework.store.side_files.derivations import (
    DERIVATIONS,
    Derivation,
    derivation_path,
    read_derivation,
    with_derivation,
)
from framework.store.side_files.listing import KINDS, SideFile, read_side_file
from framework.store.side_files.recordings import add_recording, drop_recording
from framework.store.views.label_views import RENAME_RUNS
from framework.store.views.macros import build_views, plugin_views

PUBLISH_EVERY_S = 60.0

_DROP_UNFINISHED = "DELETE FROM runs WHERE status IN ('running', 'stale')"
_MEDIUM_ERRORS = (
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.FatalException,
    duckdb.InternalException,
)
_PAIRS = pa.schema([("location", pa.string()), ("name", pa.string())])


@dataclass(frozen=True)
class Quarantined:
    """A bundle that can't be believed: its name under `runs/`, and why."""

    name: str
    reason: str


@dataclass
class IngestReport:
    """What an ingest did.

    Attributes:
        added: runs that are new in the database.
        skipped: bundles that it held already.
        quarantined: bundles refused by this ingest (those refused before are in table `quarantine`).
        running, stale: runs with a marker and no bundle.
        side_files: files of advice, predictions, recordings or derivations that are new or changed.
        warnings: e.g. a plugin's view that DuckDB refused.
        duration_s: wall time.
    """

    added: int = 0
    skipped: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    running: int = 0
    stale: int = 0
    side_files: int = 0
    warnings: list[str] = field(default_factory=list)
    duration_s: float = 0.0


def ingest(
    outputs: Path | str,
    rebuild: bool = False,
    progress: Progress | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    bundles: str | None = None,
) -> IngestReport:
    """Add all new bundles, advice, predictions and running markers of an outputs folder to its database.

    Args:
        outputs: the outputs folder.
        rebuild: make the database again from files alone, ignoring the one that is there.
        progress: called with (bundles looked at, bundles to look at).
        timeout_s: how long to wait for another writer.
        bundles: a URL that holds bundles, to be ingested from now on in addition to the folder's own.

    Raises `StoreError`: no such folder, no permission, disk full, another writer, a database that is damaged or
    of a newer framework. The published database is unchanged then. A damaged bundle is not an error but a report.
    """
    started_s = time.monotonic()
    if is_url(outputs):
        raise StoreError(f"the database is a local file: ingest('outputs', bundles='{outputs}')")
    folder = Path(outputs)
    if bundles is None and not folder.is_dir():
        raise StoreError(f"no runs yet: {folder} is not a folder")
    with writer_lock(folder, timeout_s):
        if bundles is not None:
            remember_remote(folder, bundles)
        report = _Ingest(folder, rebuild, progress or (lambda done, total: None)).carry_out()
    report.duration_s = time.monotonic() - started_s
    return report


class _Ingest:
    """One ingest, under the writer lock."""

    def __init__(self, outputs: Path, rebuild: bool, progress: Progress) -> None:
        self.outputs = outputs
        self.rebuild = rebuild
        self.progress = progress
        self.report = IngestReport()
        self.added_as_derived: set[str] = set()
        self.views = plugin_views()
        self.now = datetime.now(UTC).replace(tzinfo=None)

    def carry_out(self) -> IngestReport:
        for name in (RUNS_FOLDER, RUNNING_FOLDER, SWEEPS_FOLDER, *KINDS):
            durable.remove_debris(self.outputs / name)
        running = read_running(self.outputs)
        inventory = Inventory() if self.rebuild else published_inventory(self.outputs)
        if inventory is None:
            with WorkingCopy(self.outputs) as copy:  # migrates
                self._apply(copy, self._news(inventory_of(copy.connection), running))
            return self.report
        news = self._news(inventory, running)
        if news or self.rebuild:
            with WorkingCopy(self.outputs, fresh=self.rebuild) as copy:
                self._apply(copy, news)
        return self.report

    def _news(self, inventory: Inventory, running: Sequence[RunningRun]) -> News:
        news = find_news(self.outputs, bundle_sources(self.outputs), inventory, running, self.views.checksum)
        self.report.skipped = news.skipped
        self.report.warnings = list(news.unreachable)
        self.report.running = sum(run.status == "running" for run in news.unfinished)
        self.report.stale = sum(run.status == "stale" for run in news.unfinished)
        return news

    def _apply(self, copy: WorkingCopy, news: News) -> None:
        published_s = time.monotonic()
        try:
            self._forget(copy.connection, news)
            sink = TableSink(copy.connection)
            for loaded in read_batches(news.candidates, self.progress):
                self._add(copy.connection, sink, loaded)
                if not self.rebuild and time.monotonic() - published_s > PUBLISH_EVERY_S:
                    self._finish(copy.connection, news)
                    copy.publish(more_to_come=True)
                    sink, published_s = TableSink(copy.connection), time.monotonic()
                    copy.connection.execute(_DROP_UNFINISHED)
            for file in news.side_files:
                if file.kind != "derivations":
                    self._add_side_file(copy.connection, file)
            self._add_derivations(copy.connection, news)
            self._finish(copy.connection, news)
            copy.publish()
        except duckdb.Error as error:
            raise StoreError(write_trouble(copy.published, error)) from error

    def _forget(self, connection: duckdb.DuckDBPyConnection, news: News) -> None:
        """Remove what this ingest replaces."""
        connection.execute("BEGIN")
        connection.execute(_DROP_UNFINISHED)
        replaced = [(file.kind, file.name) for file in news.side_files]
        retried = [(source.location, name) for source, name in news.candidates]
        for place, name in (*news.gone, *replaced):
            if place in KINDS:
                _drop_side_rows(connection, place, name)
        pairs = [{"location": place, "name": name} for place, name in (*news.gone, *replaced, *retried)]
        connection.register("pairs", pa.Table.from_pylist(pairs, schema=_PAIRS))
        connection.execute(
            "DELETE FROM quarantine q USING pairs p WHERE q.location = p.location AND q.name = p.name"
        )
        connection.unregister("pairs")
        connection.execute("COMMIT")

    def _add(
        self, connection: duckdb.DuckDBPyConnection, sink: TableSink, batch: Sequence[LoadedBundle]
    ) -> None:
        """Add a batch in one transaction; if DuckDB refuses it, each bundle in its own, to find the culprit."""
        try:
            connection.execute("BEGIN")
            self._insert(connection, sink, batch)
            connection.execute("COMMIT")
        except (duckdb.Error, pa.ArrowException) as error:
            if isinstance(error, _MEDIUM_ERRORS) or medium_trouble(error):  # of COMMIT, too
                raise
            connection.execute("ROLLBACK")
            sink.forget()
            if len(batch) > 1:
                for item in batch:
                    self._add(connection, sink, [item])
                return
            (item,) = batch
            reason = f"{item.source.location}/{item.name}: {one_line(error)}"
            refused = replace(item, content=StoreError(reason))
            self._insert(connection, sink, [refused])

    def _insert(
        self, connection: duckdb.DuckDBPyConnection, sink: TableSink, batch: Sequence[LoadedBundle]
    ) -> None:
        by_location: dict[str, list[Bundle]] = defaultdict(list)
        tables, refused = [], []
        for item in batch:
            try:
                if isinstance(item.content, StoreError):
                    raise item.content
                bundle = self._as_derived(item.content)
                tables.append(sink.accept(bundle.tables))
                by_location[item.source.location].append(bundle)
            except StoreError as error:
                refused.append((item, str(error)))
        sink.add(tables)
        for location, bundles in by_location.items():
            sink.add([core_tables(bundles, location, self.now)])
        for item, reason in refused:
            fingerprint = item.source.fingerprint(item.name)
            self._quarantine(connection, item.source.location, item.name, reason, fingerprint)
        self.report.added += len(tables)

    def _quarantine(
        self, connection: duckdb.DuckDBPyConnection, location: str, name: str, reason: str, fingerprint: str
    ) -> None:
        self.report.quarantined.append(Quarantined(name, reason))
        connection.execute(
            "INSERT INTO quarantine BY NAME SELECT ? AS location, ? AS name, ? AS reason, ? AS fingerprint,"
            " ? AS seen_at",
            [location, name, reason, fingerprint, self.now],
        )

    def _add_side_file(self, connection: duckdb.DuckDBPyConnection, file: SideFile) -> None:
        connection.execute("BEGIN")
        try:
            if file.kind == "recordings":
                self.report.added += add_recording(connection, file.path, file.name, self.now)
            else:
                connection.register("rows", read_side_file(file))
                connection.execute(f"INSERT INTO {file.kind} BY NAME FROM rows")
                connection.unregister("rows")
        except StoreError as error:
            connection.execute("ROLLBACK")
            self._quarantine(connection, file.kind, file.name, str(error), file.fingerprint)
            return
        self._account_for(connection, file)
        connection.execute("COMMIT")

    def _account_for(self, connection: duckdb.DuckDBPyConnection, file: SideFile) -> None:
        account = [file.kind, file.name, file.fingerprint, self.now]
        connection.execute("INSERT INTO side_files VALUES (?, ?, ?, ?)", account)
        self.report.side_files += 1

    def _as_derived(self, bundle: Bundle) -> Bundle:
        """Return a bundle with the metrics that were derived again from it, if any were."""
        run_id = bundle.record.run_id
        path = derivation_path(self.outputs, run_id)
        if not path.exists():
            return bundle
        try:
            derived = with_derivation(bundle, read_derivation(path))
        except StoreError:  # refused as a side file, with its reason
            return bundle
        self.added_as_derived.add(run_id)
        return derived

    def _add_derivations(self, connection: duckdb.DuckDBPyConnection, news: News) -> None:
        """Bring metrics that were derived again into runs that the database holds; undo those whose file is gone."""
        lost = [name for place, name in news.gone if place == DERIVATIONS]
        changed = {file.name: file for file in news.side_files if file.kind == DERIVATIONS}
        held = dict(connection.execute("SELECT run_id, checksum FROM bundles").fetchall())
        derivations = []
        connection.execute("BEGIN")
        for run_id, file in changed.items():
            try:
                derivation = read_derivation(file.path)
                if run_id in held and derivation.bundle != held[run_id]:
                    raise StoreError(f"{file.path} was derived from another bundle of this run")
            except StoreError as error:
                self._quarantine(connection, file.kind, file.name, str(error), file.fingerprint)
                lost.append(run_id)
                continue
            if run_id in held and run_id not in self.added_as_derived:
                derivations.append(derivation)
            self._account_for(connection, file)
        wanted = [run_id for run_id in lost if run_id in held]
        for _, content in read_runs(self.outputs, wanted):
            if not isinstance(content, StoreError):
                derivations.append(Derivation.in_bundle(content))
        replace_derived(connection, derivations)
        connection.execute("COMMIT")

    def _finish(self, connection: duckdb.DuckDBPyConnection, news: News) -> None:
        """Add the running markers and make the views: the copy is then fit to be published."""
        sink = TableSink(connection)
        sink.add([{"runs": as_table([running_row(run) for run in news.unfinished], CORE_TABLES["runs"])}])
        connection.execute(RENAME_RUNS)
        refused = build_views(connection, self.views)
        self.report.warnings = [*news.unreachable, *refused]
        connection.execute("DELETE FROM side_files WHERE kind = ?", [DEFINITIONS])
        account = [DEFINITIONS, "", self.views.checksum, self.now]
        connection.execute("INSERT INTO side_files VALUES (?, ?, ?, ?)", account)


def _drop_side_rows(connection: duckdb.DuckDBPyConnection, kind: str, name: str) -> None:
    connection.execute("DELETE FROM side_files WHERE kind = ? AND name = ?", [kind, name])
    if kind == "advice":
        connection.execute("DELETE FROM advice WHERE starts_with(advice_id, ?)", [f"{name}-"])
    elif kind == "recordings":
        drop_recording(connection, name)
    elif kind == "labels":
        connection.execute("DELETE FROM labels WHERE label_set = ?", [name])
    elif kind == "predictions":
        connection.execute("DELETE FROM predictions WHERE run_id = ?", [name])
