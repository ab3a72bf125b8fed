"""docs/measuring.md says what the code does: metrics, settings, checks, series."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import psutil
import pytest

from framework_metrics import settings
from framework_metrics.energy.collector import EnergyCollector
from framework_metrics.host.collector import HostCollector
from framework_metrics.host.tables import host_processes
from framework_metrics.importers import IMPORTERS
from framework_metrics.metric_definitions import MACHINE_METRICS
from framework_metrics.nvml.collector import NvmlCollector
from framework_metrics.nvml.quantities import PLAUSIBLE
from framework_metrics.recorded_series.dmon import read_dmon
from framework_serving.metrics.metric_definitions import SERVING_METRICS
from tests.framework_metrics.results import DOCUMENTED_CHECKS, Around, FakeGpus

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "measuring.md").read_text()
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


def _sampler_killed() -> bool:
    below = psutil.Process().children(recursive=True)
    samplers = [child for child in below if any("HostProbe" in word for word in child.cmdline())]
    for sampler in samplers:
        sampler.kill()
    return bool(samplers)


@pytest.mark.slow
def test_every_documented_check_is_made(
    fake_nvml: Callable[..., FakeGpus], around: Around, tmp_path: Path
) -> None:
    fake_nvml(
        "mig 2", "slow DeviceGetTotalEnergyConsumption 0.03"
    )  # so that samples are missed, of a part of a GPU
    results = [around(EnergyCollector(period_s=0.01, powercap_dir=str(tmp_path)), 5)]
    fake_nvml("slow DeviceGetTemperature 0.03")
    results.append(around(NvmlCollector(period_s=0.01), 5))
    results.append(around(HostCollector(period_s=0.01), until=_sampler_killed))
    without_times = tmp_path / "dmon.txt"
    without_times.write_text("# gpu    pwr\n# Idx      W\n    0    100\n    0    100\n    0    100\n")
    results += [run.result for run in read_dmon(without_times)]
    assert {check.name for result in results for check in result.checks} == DOCUMENTED_CHECKS


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
