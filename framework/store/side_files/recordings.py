"""Recordings: tens of thousands of imported runs as one file, since a folder for each would be a waste.

outputs/recordings/<name>.parquet   one row a run, whole columns at once:
    run_id, run_key                 identity, as in table `runs`
    param:<dotted name>             configuration; null where the source has no value
    metric:<name>                   scalar outcomes
    fact:<name>                     what the source says besides (the run's id there …)
and, in the file's metadata, a JSON document with what all the runs have in common: experiment, backend, time of the
import, units. In the database they are runs like any other; `bundles.location` says `recordings/<name>`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from framework.contracts import Json
from framework.errors import StoreError, one_line
from framework.identity.run_key import config_key
from framework.store import durable
from framework.store.bundles.bundle_format import check_run_id, encode_parquet
from framework.store.bundles.record_json import canonical
from framework.store.database.run_rows import utc
from framework.store.database.schema import METRICS, NAMED_VALUES, PARAMS

if TYPE_CHECKING:
    import duckdb

FORMAT = "framework-recording"
VERSION = 2  # 1 also held `config_key`, which follows from the parameters
FOLDER = "recordings"
_METADATA = b"framework"
_IDENTITY = ("run_id", "run_key")
_NAMED_PARAMS = {"model.name": "model", "gpu.name": "gpu"}


@dataclass(frozen=True)
class Recording:
    """Imported runs, column by column.

    Attributes:
        run_ids, run_keys: identity of each run.
        experiment, backend: how they are listed.
        imported_at: ISO 8601.
        params, metrics, facts: columns by name, one value a run; null is a missing value.
        units: of the metrics.
        source: of the metrics, e.g. the importer's kind.
    """

    run_ids: Sequence[str]
    run_keys: Sequence[str]
    experiment: str
    backend: str
    imported_at: str
    params: Mapping[str, pa.Array]
    metrics: Mapping[str, pa.Array]
    facts: Mapping[str, pa.Array] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


def write_recording(outputs: Path | str, name: str, recording: Recording) -> Path:
    """Write a recording, whole or not at all, and return its path.

    Raises `StoreError`: a run id that can't be one, columns of unequal length, disk full, no permission.
    """
    for run_id in recording.run_ids:
        check_run_id(run_id)
    columns = {"run_id": pa.array(recording.run_ids), "run_key": pa.array(recording.run_keys)}
    for prefix, group in (
        ("param", recording.params),
        ("metric", recording.metrics),
        ("fact", recording.facts),
    ):
        columns |= {f"{prefix}:{key}": values for key, values in group.items()}
    common: dict[str, Json] = {
        "format": FORMAT,
        "version": VERSION,
        "experiment": recording.experiment,
        "backend": recording.backend,
        "imported_at": recording.imported_at,
        "units": dict(recording.units),
        "source": recording.source,
    }
    try:
        table = pa.table(columns).replace_schema_metadata({_METADATA: canonical(common)})
    except pa.ArrowException as error:
        raise StoreError(f"recording {name}: {one_line(error)}") from error
    path = Path(outputs) / FOLDER / f"{name}.parquet"
    durable.write_whole(path, encode_parquet(table))
    return path


def add_recording(connection: duckdb.DuckDBPyConnection, path: Path, name: str, now: datetime) -> int:
    """Add a recording's runs to an open database, in the caller's transaction; return how many.

    Raises `StoreError` for a file that is torn or none of ours.
    """
    table, common = _read(path)
    _insert(connection, "runs", _runs(table, common))
    _insert(connection, "params", _long(table, "param", PARAMS))
    _insert(connection, "metrics", _metrics(table, common))
    _insert(connection, "facts", _long(table, "fact", NAMED_VALUES))
    location = pa.repeat(pa.scalar(f"{FOLDER}/{name}"), table.num_rows)
    seen = pa.repeat(pa.scalar(now, pa.timestamp("us")), table.num_rows)
    held = {"run_id": table.column("run_id"), "location": location, "ingested_at": seen}
    _insert(connection, "bundles", pa.table(held))
    return len(table)


def drop_recording(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Remove a recording's runs from an open database."""
    for table in ("runs", "params", "metrics", "facts"):
        connection.execute(
            f"DELETE FROM {table} WHERE run_id IN (SELECT run_id FROM bundles WHERE location = ?)",
            [f"{FOLDER}/{name}"],
        )
    connection.execute("DELETE FROM bundles WHERE location = ?", [f"{FOLDER}/{name}"])


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    connection.register("recorded", rows)
    connection.execute(f"INSERT INTO {table} BY NAME FROM recorded")
    connection.unregister("recorded")


def _read(path: Path) -> tuple[pa.Table, Mapping[str, Json]]:
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
        common = json.loads((table.schema.metadata or {})[_METADATA])
    except (pa.ArrowException, OSError):
        raise StoreError(f"{path} is not a complete Parquet file") from None
    except (KeyError, ValueError):
        raise StoreError(f"{path} is not a recording of this framework") from None
    if common.get("format") != FORMAT or any(column not in table.column_names for column in _IDENTITY):
        raise StoreError(f"{path} is not a recording of this framework")
    if common.get("version", 0) > VERSION:
        raise StoreError(
            f"{path}: version {common['version']} is newer than this framework's {VERSION}; update it"
        )
    return table, common


def _runs(table: pa.Table, common: Mapping[str, Json]) -> pa.Table:
    rows = table.num_rows
    moment = pa.repeat(pa.scalar(utc(common["imported_at"]), pa.timestamp("us")), rows)
    columns = {name: table.column(name) for name in _IDENTITY}
    columns |= {
        "config_key": _config_keys(table),
        "job_key": table.column("run_key"),
        "started_at": moment,
        "finished_at": moment,
    }
    columns |= {
        name: pa.repeat(pa.scalar(text), rows)
        for name, text in {
            "experiment": common["experiment"],
            "backend": common["backend"],
            "status": "done",
        }.items()
    }
    columns["repeat"] = pa.repeat(pa.scalar(0, pa.int64()), rows)
    for param, column in _NAMED_PARAMS.items():
        if f"param:{param}" in table.column_names:
            columns[column] = _texts(table.column(f"param:{param}"))
    return pa.table(columns)


def _config_keys(table: pa.Table) -> pa.Array:
    """Return each run's `config_key`, computed once for equal parameters."""
    names = [name for name in table.column_names if name.startswith("param:")]
    if not names:
        return pa.repeat(pa.scalar(config_key({})), table.num_rows)
    texts = [_texts(table.column(name)) for name in names]
    joined = pc.binary_join_element_wise(*[text.fill_null("\0") for text in texts], "\x1f")
    encoded = joined.combine_chunks().dictionary_encode()
    dotted = [name.partition(":")[2] for name in names]
    keys = [
        config_key(
            {
                name: None if text == "\0" else text
                for name, text in zip(dotted, row.split("\x1f"), strict=True)
            }
        )
        for row in encoded.dictionary.to_pylist()
    ]
    return pa.array(keys).take(encoded.indices)


def _texts(values: pa.Array) -> pa.Array:
    """Return values as the store writes leaves: whole numbers without a fraction, booleans in lower case."""
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def _long(table: pa.Table, prefix: str, schema: pa.Schema) -> pa.Table:
    """Return the columns of a prefix as rows (run_id, name, value, number); a missing value is a row with null."""
    parts = []
    for column in table.column_names:
        if not column.startswith(f"{prefix}:"):
            continue
        values = table.column(column)
        numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
        number = values.cast(pa.float64()) if numeric else pa.nulls(len(values), pa.float64())
        name = pa.repeat(pa.scalar(column.partition(":")[2]), len(values))
        parts.append(pa.table([table.column("run_id"), name, _texts(values), number], schema=schema))
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _metrics(table: pa.Table, common: Mapping[str, Json]) -> pa.Table:
    parts = []
    for column in table.column_names:
        if not column.startswith("metric:"):
            continue
        name = column.partition(":")[2]
        values = table.column(column).cast(pa.float64())
        rows = table.num_rows
        reason = pc.if_else(values.is_valid(), pa.scalar(None, pa.string()), "not in the recorded source")
        parts.append(
            pa.table(
                {
                    "run_id": table.column("run_id"),
                    "name": pa.repeat(pa.scalar(name), rows),
                    "value": values,
                    "unit": pa.repeat(pa.scalar(common["units"].get(name, "")), rows),
                    "source": pa.repeat(pa.scalar(common["source"]), rows),
                    "reason": reason,
                }
            )
        )
    return pa.concat_tables(parts) if parts else METRICS.empty_table()
