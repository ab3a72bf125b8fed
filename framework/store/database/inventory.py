"""What the published database already holds, read without opening it for writing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from framework.store.database.reader import open_published
from framework.store.database.schema_version import DATABASE_VERSION, stored_version
from framework.store.layout import database_path, has_database

if TYPE_CHECKING:
    import duckdb

DEFINITIONS = "definitions"  # the kind under which the checksum of views and definitions is in `side_files`


@dataclass(frozen=True)
class Inventory:
    """The database's account of the files that went into it.

    Attributes:
        run_ids: runs whose bundle is in.
        quarantined: fingerprints of refused bundles and side files by (location, name).
        side_files: fingerprints of advice and prediction files by (kind, name).
        unfinished: status of runs without a bundle, by run id.
        definitions: checksum of the metric definitions and views it was built with.
    """

    run_ids: frozenset[str] = frozenset()
    quarantined: Mapping[tuple[str, str], str] = field(default_factory=dict)
    side_files: Mapping[tuple[str, str], str] = field(default_factory=dict)
    unfinished: Mapping[str, str] = field(default_factory=dict)
    definitions: str | None = None


def published_inventory(outputs: Path) -> Inventory | None:
    """Return what the database holds; None when it has an older layout and must be migrated first.

    Raises `StoreError` for a database that is damaged, foreign or newer.
    """
    if not has_database(outputs):
        return Inventory()
    with open_published(database_path(outputs)) as connection:
        if stored_version(connection) != DATABASE_VERSION:
            return None
        return inventory_of(connection)


def inventory_of(connection: duckdb.DuckDBPyConnection) -> Inventory:
    """Return what an open database holds."""

    def rows(sql: str) -> list[tuple[str, ...]]:
        return connection.execute(sql).fetchall()

    kept = rows("SELECT kind, name, fingerprint FROM side_files")
    refused = rows("SELECT location, name, fingerprint FROM quarantine")
    definitions = [fingerprint for kind, _, fingerprint in kept if kind == DEFINITIONS]
    return Inventory(
        run_ids=frozenset(run_id for (run_id,) in rows("SELECT run_id FROM bundles")),
        quarantined={(place, name): mark for place, name, mark in refused},
        side_files={(kind, name): mark for kind, name, mark in kept if kind != DEFINITIONS},
        unfinished=dict(rows("SELECT run_id, status FROM runs WHERE status IN ('running', 'stale')")),  # type: ignore[arg-type]
        definitions=definitions[0] if definitions else None,
    )
