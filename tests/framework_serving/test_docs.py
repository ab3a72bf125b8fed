from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import yaml

from framework.store.database.schema import declared_tables
from framework_serving import tables
from framework_serving.metrics.metric_definitions import SERVING_METRICS
from framework_serving.workloads import settings

REPOSITORY = Path(__file__).parents[2]
METRICS = (REPOSITORY / "docs" / "serving_metrics.md").read_text()
ADVISORS = (REPOSITORY / "docs" / "advisors.md").read_text()
WORKLOADS = (REPOSITORY / "docs" / "workloads.md").read_text()
ARROWS = {"↑": "higher", "↓": "lower", "": "none"}


def test_documented_metrics_are_the_defined_ones_with_unit_and_direction() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([↑↓]?) \| ", METRICS, flags=re.MULTILINE)
    documented = [(name, unit.strip(), ARROWS[arrow]) for name, unit, arrow in rows]
    assert documented == [(item.name, item.unit, item.better) for item in SERVING_METRICS]


def test_documented_tables_have_the_columns_of_their_schemas() -> None:
    for name, schema in (("requests", tables.requests_out()), ("samples", declared_tables()["samples"])):
        found = re.search(rf"`{name}\(([^)]*)\)`", METRICS)
        assert found is not None
        assert [column.strip() for column in found[1].split(",")] == schema.names


def test_every_workload_file_and_key_is_documented() -> None:
    for path in (REPOSITORY / "conf" / "workload").glob("*.yaml"):
        if path.stem.startswith(("fixed", "sharegpt", "adapters", "trace")):
            assert f"`{path.stem}`" in WORKLOADS, path.stem
    for schema in (
        settings.LengthSettings,
        settings.ArrivalSettings,
        settings.TraceSettings,
        settings.AdapterMixSettings,
    ):
        for field in fields(schema):
            if field.name not in ("_target_", "name", "lengths", "arrivals", "slo", "columns"):
                assert re.search(rf"[`.]{field.name}\b", WORKLOADS), f"{schema.__name__}.{field.name}"


def test_every_advisor_setting_is_documented_in_its_page() -> None:
    for path in (REPOSITORY / "conf" / "advisor").glob("*.yaml"):
        settings_of = yaml.safe_load(path.read_text())
        if settings_of["_target_"].startswith("framework_serving."):
            for key in set(settings_of) - {"_target_"}:
                assert f"`{key}`" in ADVISORS, f"{path.stem}.{key}"
