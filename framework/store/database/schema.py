"""The store's tables as Arrow schemas, and the version of their layout.

All tables are long, so that a new knob or metric needs no migration. `BUNDLE_TABLES` are the Parquet files of a
bundle that the core itself writes; plugins declare theirs with the hook `table_schemas`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa

from framework.errors import StoreError, did_you_mean, one_line
from framework.plugins import ask, discover, problem_of

if TYPE_CHECKING:
    from collections.abc import Iterable

BUNDLE_VERSION = 2
GAINED_COLUMNS = frozenset(
    {"derivation"}
)  # of the core's Parquet files since version 1: null in older bundles
TABLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
RUN_ID = pa.field("run_id", pa.string(), nullable=False)


def _schema(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns])


_TEXT, _REAL, _WHOLE = pa.string(), pa.float64(), pa.int64()
_TIME = pa.timestamp("us")  # UTC, without a zone: DuckDB then needs no ICU to show it

METRICS = _schema(
    ("run_id", _TEXT),
    ("name", _TEXT),
    ("value", _REAL),
    ("unit", _TEXT),
    ("source", _TEXT),
    ("reason", _TEXT),
    ("low", _REAL),
    ("high", _REAL),
    ("window_s", _REAL),
    ("updates", _WHOLE),
    ("derivation", _TEXT),
)
PARAMS = _schema(("run_id", _TEXT), ("name", _TEXT), ("value", _TEXT), ("number", _REAL))
SAMPLES = _schema(("run_id", _TEXT), ("t_s", _REAL), ("name", _TEXT), ("value", _REAL))
BUNDLE_TABLES: dict[str, pa.Schema] = {"metrics": METRICS, "params": PARAMS}

RUNS = _schema(
    ("run_id", _TEXT),
    ("run_key", _TEXT),
    ("experiment", _TEXT),
    ("sweep_id", _TEXT),
    ("backend", _TEXT),
    ("status", _TEXT),
    ("started_at", _TIME),
    ("finished_at", _TIME),
    ("sanity", _TEXT),
    ("model", _TEXT),
    ("gpu", _TEXT),
    ("job_key", _TEXT),
    ("config_key", _TEXT),
    ("sweep_index", _WHOLE),
    ("repeat", _WHOLE),
    ("seed", _WHOLE),
    ("workload_hash", _TEXT),
    ("code_version", _TEXT),
    ("derivation_hash", _TEXT),
    ("failure_stage", _TEXT),
    ("failure_kind", _TEXT),
    ("failure_message", _TEXT),
    ("failure_log", _TEXT),
    ("heartbeat_at", _TIME),
    ("host", _TEXT),
    ("pid", _WHOLE),
    ("progress", _TEXT),
)
CHECKS = _schema(
    ("run_id", _TEXT), ("name", _TEXT), ("verdict", _TEXT), ("detail", _TEXT), ("derivation", _TEXT)
)
NAMED_VALUES = _schema(("run_id", _TEXT), ("name", _TEXT), ("value", _TEXT), ("number", _REAL))
VARIED = _schema(("run_id", _TEXT), ("name", _TEXT))
ARTIFACTS = _schema(
    ("run_id", _TEXT),
    ("name", _TEXT),
    ("path", _TEXT),
    ("bytes", _WHOLE),
    ("sha256", _TEXT),
    ("note", _TEXT),
)
ADVICE = _schema(
    ("advice_id", _TEXT),
    ("sweep_id", _TEXT),
    ("experiment", _TEXT),
    ("advisor", _TEXT),
    ("subject", _TEXT),
    ("recommendation", _TEXT),
    ("overrides", _TEXT),
    ("metric", _TEXT),
    ("predicted", _REAL),
    ("low", _REAL),
    ("high", _REAL),
    ("reason", _TEXT),
    ("run_ids", pa.list_(_TEXT)),
    ("facts", _TEXT),
    ("advised_at", _TIME),
)
PREDICTIONS = _schema(
    ("run_id", _TEXT),
    ("row", _WHOLE),
    ("target", _TEXT),
    ("predicted", _REAL),
    ("low", _REAL),
    ("high", _REAL),
    ("measured", _REAL),
    ("unit", _TEXT),
    ("method", _TEXT),
    ("reason", _TEXT),
    ("config", _TEXT),
    ("experiment", _TEXT),
    ("predicted_at", _TIME),
)
LABELS = _schema(
    ("run_id", _TEXT), ("kind", _TEXT), ("value", _TEXT), ("labelled_at", _TIME), ("label_set", _TEXT)
)
BUNDLES = _schema(
    ("run_id", _TEXT), ("location", _TEXT), ("bytes", _WHOLE), ("checksum", _TEXT), ("ingested_at", _TIME)
)
QUARANTINE = _schema(
    ("name", _TEXT), ("location", _TEXT), ("reason", _TEXT), ("fingerprint", _TEXT), ("seen_at", _TIME)
)
SIDE_FILES = _schema(("kind", _TEXT), ("name", _TEXT), ("fingerprint", _TEXT), ("ingested_at", _TIME))
METRIC_DEFINITIONS = _schema(("name", _TEXT), ("unit", _TEXT), ("description", _TEXT), ("better", _TEXT))
SCHEMA_VERSION = _schema(("version", _WHOLE), ("applied_at", _TIME))

# What the database contains in addition to the tables of bundles.
CORE_TABLES: dict[str, pa.Schema] = {
    "runs": RUNS,
    "params": PARAMS,
    "metrics": METRICS,
    "checks": CHECKS,
    "provenance": NAMED_VALUES,
    "facts": NAMED_VALUES,
    "varied": VARIED,
    "artifacts": ARTIFACTS,
    "advice": ADVICE,
    "predictions": PREDICTIONS,
    "labels": LABELS,
    "bundles": BUNDLES,
    "quarantine": QUARANTINE,
    "side_files": SIDE_FILES,
    "metric_definitions": METRIC_DEFINITIONS,
    "schema_version": SCHEMA_VERSION,
}
RESERVED_NAMES = frozenset(
    {
        *CORE_TABLES,
        "results",
        "results_wide",
        "failures",
        "latest",
        "pareto",
        "compare",
        "reference_bands",
        "definitions",
        "tags",
        "archived",
    }
) - {"predictions"}  # a run that predicts holds its predictions itself


def plain_columns(table: pa.Table) -> pa.Table:
    """Return a table without dictionary columns: Parquet and DuckDB have encodings of their own."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            decoded = table.column(index).cast(field.type.value_type)
            table = table.set_column(index, pa.field(field.name, field.type.value_type), decoded)
    return table


@cache
def declared_tables() -> Mapping[str, pa.Schema]:
    """Return the schemas, without `run_id`, of the tables that runs may hold: the core's and the plugins'."""
    declared: dict[str, pa.Schema] = {"samples": SAMPLES.remove(0), "predictions": PREDICTIONS.remove(0)}
    for plugin, schemas in reversed(list(ask("table_schemas"))):
        if not isinstance(schemas, Mapping) or not all(isinstance(s, pa.Schema) for s in schemas.values()):
            wrong = TypeError(f"returned {type(schemas).__name__} instead of Arrow schemas by table name")
            discover().note(problem_of(plugin, "table_schemas", wrong))
            continue
        for name, schema in schemas.items():
            try:
                check_table_name(str(name))
                check_column_names(str(name), ["run_id", *schema.names])
                if name in declared and not declared[name].equals(schema):
                    raise StoreError(f"table '{name}' is declared with other columns already")
                declared[name] = schema
            except StoreError as error:
                discover().note(problem_of(plugin, "table_schemas", error))
    return declared


def check_table_name(name: str) -> None:
    """Raise `StoreError` for a name that can't be a table of a run."""
    if not TABLE_NAME.fullmatch(name):
        raise StoreError(f"table name {name!r}: use lower-case letters, digits and underscores")
    if name in RESERVED_NAMES:
        raise StoreError(f"table name '{name}' is the store's own; choose another")


def check_column_names(table: str, columns: Iterable[str]) -> None:
    """Raise `StoreError` for columns that DuckDB can't distinguish (it ignores case) or that have no name."""
    seen: dict[str, str] = {}
    for column in columns:
        if not column:
            raise StoreError(f"table '{table}': a column has no name")
        if column.casefold() in seen:
            raise StoreError(
                f"table '{table}': columns '{seen[column.casefold()]}' and '{column}' have one name"
            )
        seen[column.casefold()] = column


def conform(name: str, table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table in its declared schema: columns in order, types cast, nullable ones filled with null.

    Raises `StoreError` naming table and column for one that is missing, unknown or of the wrong type.
    """
    unknown = [column for column in table.column_names if column not in schema.names and column != "run_id"]
    if unknown:
        hint = did_you_mean(unknown[0], schema.names)
        raise StoreError(f"table '{name}': column '{unknown[0]}' is not in its schema{hint}")
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            if not field.nullable:
                raise StoreError(f"table '{name}': column '{field.name}' is missing")
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        try:
            columns.append(table.column(field.name).cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            reason = one_line(error)
            raise StoreError(
                f"table '{name}': column '{field.name}' is not {field.type}: {reason}"
            ) from error
    return pa.table(columns, schema=schema)
