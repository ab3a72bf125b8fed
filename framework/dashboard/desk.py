"""What all pages share: the store, a process of its own for a person's SQL, and what was read before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from framework.dashboard.address import NotThereError
from framework.dashboard.query_process import QueryProcess
from framework.errors import StoreError, did_you_mean
from framework.report.series_colours import SeriesColours, store_colours
from framework.store.database.frames import OpenStore
from framework.store.database.query_limits import QueryLimits

PAGE_LIMITS = QueryLimits(timeout_s=60, memory_gib=0.35)
"""Of the queries of the pages themselves."""
QUERY_LIMITS = QueryLimits(timeout_s=10, memory_gib=0.35, rows=1000)
"""Of a person's SQL, unless the command line says otherwise."""
_MOST_KEPT = 200

T = TypeVar("T")


@dataclass(frozen=True)
class Page:
    """What a page shows.

    Attributes:
        title: its heading, and the name of its tab.
        template: file in `templates`.
        content: what the template shows.
        tab: the entry of the navigation that it belongs to.
        fragment: whether it is a part that a script puts into a page, without the frame.
        runs: condition on `runs` that is true of those that its figures are about, for their SQL; empty for none.
    """

    title: str
    template: str
    content: Mapping[str, Any] = field(default_factory=dict)
    tab: str = ""
    fragment: bool = False
    runs: str = ""


class Desk:
    """The stores of an outputs folder, and answers that hold as long as its database is the same."""

    def __init__(self, outputs: Path, query_limits: QueryLimits = QUERY_LIMITS) -> None:
        self.outputs = outputs
        self.store = OpenStore(outputs, PAGE_LIMITS)
        self.query_limits = query_limits
        self.queries = QueryProcess(outputs, query_limits)
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._version: tuple[int, ...] = ()
        self._lock = threading.Lock()
        self._colours: SeriesColours | None = None

    def close(self) -> None:
        """End what was started for queries."""
        self.queries.close()
        self.store.close()

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` gave for this key since the database was last published, or make it now."""
        version = self.version()
        with self._lock:
            if version != self._version:
                self._kept.clear()
                self._version = version
            if key in self._kept:
                self._kept.move_to_end(key)
                found: T = self._kept[key]
                return found
        made = make()
        with self._lock:
            if version == self._version:
                self._kept[key] = made
                while len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
        return made

    def version(self) -> tuple[int, ...]:
        """Return what changes when the database is published again."""
        try:
            stat = self.store.path.stat()
        except OSError:
            return ()
        return (stat.st_ino, stat.st_mtime_ns, stat.st_size)

    def colours(self) -> SeriesColours:
        """Return the colours of all pages, the same as long as the dashboard runs."""
        with self._lock:
            if self._colours is None:
                try:
                    self._colours = store_colours(self.store)
                except StoreError:  # no run yet
                    return SeriesColours()
            return self._colours

    def names(self, column: str) -> list[str]:
        """Return the values of a column of `runs`, for a list to choose from."""
        query = f'SELECT DISTINCT "{column}" AS name FROM runs WHERE "{column}" IS NOT NULL ORDER BY 1'
        return self.kept(("names", column), lambda: self.store.query(query)["name"].to_pylist())

    def metrics(self) -> list[str]:
        """Return the names of the metrics that some run has a value of."""
        query = "SELECT DISTINCT name FROM metrics WHERE value IS NOT NULL ORDER BY 1"
        return self.kept("metrics", lambda: self.store.query(query)["name"].to_pylist())

    def run(self, run_id: str) -> dict[str, Any]:
        """Return the row of `runs`; raises `NotThereError`."""
        found = self.store.query("SELECT * FROM runs WHERE run_id = ?", [run_id]).to_pylist()
        if not found:
            raise NotThereError(f"no run '{run_id[:80]}' in this store")
        row: dict[str, Any] = found[0]
        return row

    def check_known(self, what: str, name: str, known: Sequence[str]) -> None:
        """Raise `NotThereError` for a name that is not there."""
        if name not in known:
            raise NotThereError(f"no {what} '{name[:80]}' in this store{did_you_mean(name, known)}")
