"""docs/vllm.md says what the code says."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from framework_vllm.engine_metrics.engine_counts import ENGINE_METRICS
from framework_vllm.server import port
from framework_vllm.server import start_failures as failures
from framework_vllm.settings import VllmSettings
from framework_vllm.tables import engine_histograms

PAGE = (Path(__file__).parents[2] / "docs" / "vllm.md").read_text()
ARROWS = {"↑": "higher", "↓": "lower", "": "none"}


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_setting_is_documented() -> None:
    table = section("Settings")
    for field in fields(VllmSettings):
        if field.name not in ("_target_", "name", "model", "gpu"):
            assert f"`{field.name}`" in table, field.name


def test_documented_metrics_are_the_defined_ones_with_unit_and_direction() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([↑↓]?) \| ", PAGE, flags=re.MULTILINE)
    documented = [(name, unit.strip(), ARROWS[arrow]) for name, unit, arrow in rows]
    assert documented == [(item.name, item.unit, item.better) for item in ENGINE_METRICS]


def test_every_kind_of_failure_is_documented() -> None:
    text = section("When it fails")
    kinds = [
        name
        for module in (failures, port)
        for name, kind in vars(module).items()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and issubclass(kind, Exception)
    ]
    for name in set(kinds) - {"EngineFailedError", "EnginePortError"}:
        assert f"`{name}`" in text, name


def test_the_table_of_histograms_is_documented_with_its_columns() -> None:
    found = re.search(r"`engine_histograms\(([^)]*)\)`", PAGE)
    assert found is not None
    assert [column.strip() for column in found[1].split(",")] == engine_histograms().names
