"""Metrics and checks that were derived again, in place of those of the bundles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from framework.store.bundles.bundle_format import metrics_table
from framework.store.database.run_rows import checks_table

if TYPE_CHECKING:
    import duckdb

    from framework.store.side_files.derivations import Derivation


def replace_derived(connection: duckdb.DuckDBPyConnection, derivations: Sequence[Derivation]) -> None:
    """Write metrics, checks and verdict of derivations in place of those that an open database holds of their runs.

    The caller holds the transaction. Runs that the database does not hold must not be among them.
    """
    if not derivations:
        return
    identity = {
        "run_id": [item.run_id for item in derivations],
        "sanity": [item.sanity for item in derivations],
        "derivation_hash": [item.derivation_hash or None for item in derivations],
    }
    connection.register("derived", pa.table(identity))
    connection.execute(
        "UPDATE runs SET sanity = d.sanity, derivation_hash = d.derivation_hash"
        " FROM derived d WHERE runs.run_id = d.run_id"
    )
    metrics = pa.concat_tables(metrics_table(item.run_id, item.metrics) for item in derivations)
    for name, rows in (
        ("metrics", metrics),
        ("checks", checks_table((item.run_id, item.checks) for item in derivations)),
    ):
        connection.execute(f"DELETE FROM {name} WHERE run_id IN (SELECT run_id FROM derived)")
        connection.register("derived_rows", rows)
        connection.execute(f"INSERT INTO {name} BY NAME FROM derived_rows")
        connection.unregister("derived_rows")
    connection.unregister("derived")
