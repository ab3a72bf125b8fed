"""docs/measuring.md says what the code does: metrics, settings, checks, series."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from framework_metrics import settings
from framework_metrics.energy.collector import EnergyCollector
from framework_metrics.host.collector import HostCollector
from framework_metrics.host.tables import host_processes
from framework_metrics.importers import IMPORTERS
from framework_metrics.metric_definitions import MACHINE_METRICS
from framework_metrics.nvml.collector import NvmlCollector
from framework_metrics.nvml.quantities import PLAUSIBLE
from framework_serving.metrics.metric_definitions import SERVING_METRICS

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "measuring.md").read_text()
SOURCE = REPOSITORY / "plugins" / "framework_metrics"
ARROWS = {"↑": "higher", "↓": "lower", "": "none"}


def test_documented_metrics_are_the_defined_ones_with_unit_and_direction() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([↑↓]?) \| ", PAGE, flags=re.MULTILINE)
    documented = [(name, unit.strip(), ARROWS[arrow]) for name, unit, arrow in rows]
    assert documented == [(item.name, item.unit, item.better) for item in MACHINE_METRICS]


def test_every_metric_that_a_collector_declares_is_defined_somewhere() -> None:
    defined = {item.name for item in (*MACHINE_METRICS, *SERVING_METRICS)}
    for collector in (NvmlCollector, EnergyCollector, HostCollector):
        assert set(collector.metric_names) <= defined


def test_documented_settings_and_defaults_are_those_of_the_collectors() -> None:
    rows = dict(re.findall(r"^\| `metrics\.(\w+\.\w+)` \| ([^|]*) \|", PAGE, flags=re.MULTILINE))
    expected = {}
    for name, kind in (
        ("nvml", settings.NvmlSettings),
        ("energy", settings.EnergySettings),
        ("host", settings.HostSettings),
    ):
        for field in fields(kind):
            if field.name != "_target_":
                plain = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
                expected[f"{name}.{field.name}"] = {"None": "null"}.get(plain, plain.replace("True", "true"))
    assert {key: value.strip() for key, value in rows.items()} == expected


def test_every_sanity_check_is_documented() -> None:
    source = "".join(file.read_text() for file in SOURCE.rglob("*.py") if "nsight" not in file.parts)
    names = set(re.findall(r'SanityCheck\(\s*"(\w+)"', source))
    names |= {f"{collector}_sampler" for collector in ("nvml", "energy", "host")}
    table = PAGE.split("## Sanity checks")[1].split("## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", table, flags=re.MULTILINE)
    assert names == {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_series_is_documented() -> None:
    table = PAGE.split("## Series\n")[1].split("## ")[0]
    for quantity in set(PLAUSIBLE) - {"energy_counter_j"}:
        assert f"`gpu_{quantity}`" in table


def test_the_table_of_processes_is_documented_with_its_columns() -> None:
    found = re.search(r"`host_processes\(run_id, ([^)]*)\)`", PAGE)
    assert found is not None
    assert found[1].split(", ") == host_processes().names


def test_every_importer_is_documented() -> None:
    for importer in IMPORTERS:
        assert f"| `import {importer.kind} FILE` |" in PAGE
