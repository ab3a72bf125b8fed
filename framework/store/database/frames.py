"""The store in Python: runs, results, requests, samples and advice as Arrow tables, pandas or Polars data frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from framework.errors import ConfigError, StoreError, did_you_mean
from framework.store.database.reader import Store
from framework.store.layout import has_database

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl  # type: ignore[import-not-found,unused-ignore]
    import pyarrow as pa

Kind = Literal["arrow", "pandas", "polars"]
_KINDS = ("arrow", "pandas", "polars")
_NAMES = (
    "SELECT table_name FROM duckdb_tables() WHERE NOT internal"
    " UNION SELECT view_name FROM duckdb_views() WHERE NOT internal"
)


class OpenStore(Store):
    """The store of an outputs folder; `framework.open(PATH)` returns it.

    Advisors and report sections get the same kind of object as `scope.store`. Every call sees the database as it was
    published last. Columns have the names and types of `framework sql`; what was not measured is null.
    """

    def table(
        self,
        name: str,
        where: str | None = None,
        parameters: Sequence[Any] = (),
        columns: Sequence[str] | None = None,
        as_: Kind = "arrow",
    ) -> Any:
        """Return rows of a table or view.

        Args:
            name: e.g. `results`, `runs`, `metrics`, `failures`, or a table of a plugin.
            where: SQL condition, with `?` for parameters; None: all rows.
            parameters: values of the placeholders.
            columns: names of the columns; None: all.
            as_: `arrow` (pyarrow.Table), `pandas` (DataFrame) or `polars` (DataFrame).

        Raises:
            StoreError: no store, no such table, a condition that SQL refuses.
            ConfigError: another kind of frame, or its library is not installed.
        """
        known = self.query(_NAMES)["table_name"].to_pylist()
        if name not in known:
            raise StoreError(f"no stored run has a table '{name}'{did_you_mean(name, known)}")
        chosen = "*" if columns is None else ", ".join(_quoted(column) for column in columns)
        condition = "" if where is None else f" WHERE {where}"
        return as_kind(self.query(f"SELECT {chosen} FROM {_quoted(name)}{condition}", parameters), as_)

    @overload
    def results(self, where: str | None = ..., *, as_: Literal["arrow"] = ...) -> pa.Table: ...
    @overload
    def results(self, where: str | None = ..., *, as_: Literal["pandas"]) -> pd.DataFrame: ...
    @overload
    def results(self, where: str | None = ..., *, as_: Literal["polars"]) -> pl.DataFrame: ...
    def results(self, where: str | None = None, *, as_: Kind = "arrow") -> Any:
        """Return a wide row for each done run: what was varied, then the metrics. As `table`."""
        return self.table("results", where, as_=as_)

    @overload
    def runs(self, where: str | None = ..., *, as_: Literal["arrow"] = ...) -> pa.Table: ...
    @overload
    def runs(self, where: str | None = ..., *, as_: Literal["pandas"]) -> pd.DataFrame: ...
    @overload
    def runs(self, where: str | None = ..., *, as_: Literal["polars"]) -> pl.DataFrame: ...
    def runs(self, where: str | None = None, *, as_: Kind = "arrow") -> Any:
        """Return a row for each run of any status: identity, keys, times, why it failed. As `table`."""
        return self.table("runs", where, as_=as_)

    @overload
    def requests(self, run_id: str, *, as_: Literal["arrow"] = ...) -> pa.Table: ...
    @overload
    def requests(self, run_id: str, *, as_: Literal["pandas"]) -> pd.DataFrame: ...
    @overload
    def requests(self, run_id: str, *, as_: Literal["polars"]) -> pl.DataFrame: ...
    def requests(self, run_id: str, *, as_: Kind = "arrow") -> Any:
        """Return what a run kept of each request. As `table`; raises `StoreError` if there is no such run."""
        return self._of_run("requests", run_id, "", [], as_)

    @overload
    def samples(self, run_id: str, name: str | None = ..., *, as_: Literal["arrow"] = ...) -> pa.Table: ...
    @overload
    def samples(self, run_id: str, name: str | None = ..., *, as_: Literal["pandas"]) -> pd.DataFrame: ...
    @overload
    def samples(self, run_id: str, name: str | None = ..., *, as_: Literal["polars"]) -> pl.DataFrame: ...
    def samples(self, run_id: str, name: str | None = None, *, as_: Kind = "arrow") -> Any:
        """Return a run's time series (`t_s` in seconds, `name`, `value`), or the one of a name. As `table`.

        Raises `StoreError` if there is no such run, or it has other series than that name.
        """
        further, values = ("", []) if name is None else (" AND name = ?", [name])
        found = self._of_run("samples", run_id, further + " ORDER BY name, t_s", values, as_)
        if not len(found) and name is not None:
            has = self.query("SELECT DISTINCT name FROM samples WHERE run_id = ?", [run_id])["name"]
            if has:
                raise StoreError(
                    f"run '{run_id}' has no samples '{name}'{did_you_mean(name, has.to_pylist())}"
                )
        return found

    @overload
    def advice(self, where: str | None = ..., *, as_: Literal["arrow"] = ...) -> pa.Table: ...
    @overload
    def advice(self, where: str | None = ..., *, as_: Literal["pandas"]) -> pd.DataFrame: ...
    @overload
    def advice(self, where: str | None = ..., *, as_: Literal["polars"]) -> pl.DataFrame: ...
    def advice(self, where: str | None = None, *, as_: Kind = "arrow") -> Any:
        """Return what advisors recommended, with the predicted outcome and its interval. As `table`."""
        return self.table("advice", where, as_=as_)

    def _of_run(self, name: str, run_id: str, further: str, values: Sequence[Any], as_: Kind) -> Any:
        found = self.table(name, f"run_id = ?{further}", [run_id, *values], as_=as_)
        if not len(found) and not self.query("SELECT 1 FROM runs WHERE run_id = ?", [run_id]).num_rows:
            raise StoreError(f"no run '{run_id}' in {self.outputs}")
        return found

    def __repr__(self) -> str:
        return f"framework.open({str(self.outputs)!r})"


def as_kind(table: pa.Table, as_: Kind) -> Any:
    """Return an Arrow table as it is, or as a data frame; raises `ConfigError` where the library is missing."""
    if as_ == "arrow":
        return table
    if as_ not in _KINDS:
        raise ConfigError(f"as_={as_!r}: unknown kind of table{did_you_mean(str(as_), _KINDS)}")
    try:
        if as_ == "pandas":
            return table.to_pandas()
        import polars
    except ImportError as error:
        raise ConfigError(f"as_={as_!r} needs: pip install {as_}") from error
    return polars.from_arrow(table)


def open_store(outputs: Path | str = "outputs", refresh: bool = True) -> OpenStore:
    """Return the store of an outputs folder; finished runs that its database lacks are added first.

    Args:
        outputs: the outputs folder.
        refresh: add new bundles first; where that can't be done (a read-only folder) the database is read as it is.

    Raises:
        StoreError: no runs there, or a database that can't be read.
    """
    from framework.store.database.ingest import ingest

    if refresh:
        try:
            ingest(outputs)
        except StoreError:
            if not has_database(outputs):
                raise
    store = OpenStore(outputs)
    store.rows("SELECT 1")
    return store


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
