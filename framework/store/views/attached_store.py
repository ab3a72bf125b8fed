"""Other stores beside the one that is read: `b.results`, `b.pareto(…)` after `--attach b=FOLDER`.

DuckDB looks up what a macro names where the macro is called, not where it stands: an attached database's `pareto`
would answer for the store that is read. So the file is attached under a hidden name, and `b` is a database in memory
with views of its tables and with its macros, in which DuckDB's own parser has completed every name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import ConfigError, StoreError
from framework.store.database.reader import attach_file
from framework.store.database.schema_version import check_not_newer, read_trouble
from framework.store.layout import database_path
from framework.store.views.macros import OWN_VIEWS, plugin_views

if TYPE_CHECKING:
    import duckdb

_NAME = re.compile(r"[A-Za-z]\w*")
_TAKEN = ("store", "main", "memory", "system", "temp")
_HEADER = re.compile(r"CREATE (?:OR REPLACE )?MACRO (\w+)\((.*?)\) AS\b", re.IGNORECASE | re.DOTALL)
_TABLES = (
    "SELECT table_name FROM duckdb_tables() WHERE database_name = $1"
    " UNION SELECT view_name FROM duckdb_views() WHERE database_name = $1 AND NOT internal"
)
_MACROS = (
    "SELECT function_name, parameters, function_type = 'table_macro', macro_definition FROM duckdb_functions()"
    " WHERE database_name = $1 AND NOT internal"
)


def attaching(given: Sequence[str]) -> Callable[[duckdb.DuckDBPyConnection], None]:
    """Return what attaches the stores of `NAME=FOLDER` to a connection.

    Raises:
        ConfigError: another form, or a name that is taken.
        StoreError: a folder without a store; from what is returned: one that can't be read.
    """
    stores: dict[str, Path] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or not folder or not _NAME.fullmatch(name):
            raise ConfigError(f"--attach {text}: NAME=FOLDER is needed, NAME a word")
        if name.lower() in (*_TAKEN, *(known.lower() for known in stores)):
            raise ConfigError(f"--attach {text}: the name '{name}' is taken")
        if not database_path(folder).is_file():
            raise StoreError(f"--attach {text}: no runs yet: {database_path(folder)} does not exist")
        stores[name] = database_path(folder)

    def attach(connection: duckdb.DuckDBPyConnection) -> None:
        for name, path in stores.items():
            _attach(connection, name, path)

    return attach


def _attach(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    import duckdb

    file = f"{name} file"
    try:
        attach_file(connection, path, f'"{file}"')
        connection.execute(f'USE "{file}"')
        check_not_newer(connection, path)
        connection.execute(f"ATTACH ':memory:' AS \"{name}\"")
        tables = {table for (table,) in connection.execute(_TABLES, [file]).fetchall()}
        for table in sorted(tables):
            connection.execute(f'CREATE VIEW "{name}".main."{table}" AS FROM "{file}".main."{table}"')
        _add_macros(connection, name, tables, connection.execute(_MACROS, [file]).fetchall())
    except duckdb.Error as error:
        raise StoreError(read_trouble(path, error)) from error


def _add_macros(
    connection: duckdb.DuckDBPyConnection, name: str, tables: set[str], macros: Sequence[Any]
) -> None:
    headers = _headers()
    statements = []
    for macro, parameters, gives_table, definition in macros:
        body = _completed(connection, definition, gives_table, name, tables, {row[0] for row in macros})
        given = headers.get(macro, ", ".join(f'"{parameter}"' for parameter in parameters))
        statements.append(f'CREATE MACRO "{name}".main."{macro}"({given}) AS {body}')
    _execute_all(connection, statements)


def _headers() -> dict[str, str]:
    """Return the parameters of each macro with their defaults, which a database does not tell."""
    statements = (*OWN_VIEWS, *plugin_views().statements)
    return {found[1]: found[2] for text in statements if (found := _HEADER.search(text))}


def _completed(
    connection: duckdb.DuckDBPyConnection,
    definition: str,
    gives_table: bool,
    name: str,
    tables: set[str],
    macros: set[str],
) -> str:
    """Return a macro's body with the database in front of each table and macro that it names."""
    select = definition if gives_table else f"SELECT {definition}"
    ((text,),) = connection.execute("SELECT json_serialize_sql($1)", [select]).fetchall()
    tree = json.loads(text)
    _complete(tree, name, {"BASE_TABLE": tables - _with_names(tree), "FUNCTION": macros})
    ((text,),) = connection.execute("SELECT json_deserialize_sql($1::JSON)", [json.dumps(tree)]).fetchall()
    return f"TABLE {text}" if gives_table else f"({text})"


def _complete(node: Any, name: str, known: dict[str, set[str]]) -> None:
    for child in _children(node):
        _complete(child, name, known)
    if isinstance(node, dict):
        path = (node.get("qualified_name") or {}).get("path", ())
        if len(path) == 1 and path[0] in known.get(node.get("type", ""), ()):
            node["qualified_name"]["path"] = [name, "main", path[0]]


def _with_names(node: Any) -> set[str]:
    """Return the names that WITH gives to parts of a query."""
    own = (node.get("cte_map") or {}).get("map", ()) if isinstance(node, dict) else ()
    return {part["key"] for part in own}.union(*map(_with_names, _children(node)))


def _children(node: Any) -> list[Any]:
    return list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []


def _execute_all(connection: duckdb.DuckDBPyConnection, statements: Sequence[str]) -> None:
    """Execute statements that may need one another, in an order that works."""
    import duckdb

    waiting = list(statements)
    while waiting:
        refused = []
        for statement in waiting:
            try:
                connection.execute(statement)
            except duckdb.Error as error:
                refused.append((statement, error))
        if len(refused) == len(waiting):
            raise refused[0][1]
        waiting = [statement for statement, _ in refused]
