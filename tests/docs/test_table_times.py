"""Every time in a table that the plugins declare is documented with its unit, as a moment or as a duration."""

from __future__ import annotations

import re

import pyarrow as pa

from framework.plugins import ask
from framework.store.database.schema import declared_tables
from tests.support.table_times import stated_times

_TIME = re.compile(r"(?<!tok)(?<!tb)_(s|ms|us|ns)$|(^|_)(seconds|time)$")
_DISTRIBUTIONS_OF_THEIR_OWN = ("cova", "maritime")


def test_the_page_lists_the_times_of_all_tables() -> None:
    others = {
        table
        for plugin, schemas in ask("table_schemas")
        if plugin in _DISTRIBUTIONS_OF_THEIR_OWN
        for table in schemas
    }
    declared = {
        (table, field.name)
        for table, schema in declared_tables().items()
        if table not in others
        for field in schema
        if _TIME.search(field.name) and not pa.types.is_string(field.type)
    }
    listed = [(table, name) for table, names in stated_times().items() for name in (*names[0], *names[1])]
    assert len(declared) > 30
    assert sorted(listed) == sorted(declared)
