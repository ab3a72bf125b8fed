"""Workload and backend by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from framework_newplugin.backend import Workers
from framework_newplugin.workload import Items

from framework.contracts import Backend, RunContext, Workload, WorkloadTables
from framework.errors import ConfigError

ITEMS = Items("newplugin", 0, 100, 10.0)


def _items_s(workers: int, folder: Path) -> float:
    result = Workers("newplugin", workers, 100.0).run(ITEMS.build(0), RunContext("run", {}, 0, folder))
    return next(metric.value for metric in result.metrics if metric.name == "newplugin_items_s") or 0.0


def test_the_classes_meet_the_contracts_of_the_framework() -> None:
    assert isinstance(ITEMS, Workload)
    assert isinstance(Workers("newplugin", 1, 1.0), Backend)


def test_the_same_seed_gives_the_same_items() -> None:
    assert ITEMS.build(7).content_hash == ITEMS.build(7).content_hash
    assert ITEMS.build(7).content_hash != ITEMS.build(8).content_hash


def test_more_workers_are_never_slower(tmp_path: Path) -> None:
    rates = [_items_s(workers, tmp_path) for workers in (1, 2, 4, 8)]
    assert rates == sorted(rates)


@pytest.mark.parametrize("key", ["workers", "rate_per_s"])
def test_a_bad_value_is_one_line_that_names_its_key(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"backend\.{key}': must be above 0"):
        Workers(**{"name": "newplugin", "workers": 1, "rate_per_s": 1.0, key: 0})  # type: ignore[arg-type]


def test_another_workload_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="workload=newplugin"):
        Workers("newplugin", 1, 1.0).check(WorkloadTables({}, "other"))
