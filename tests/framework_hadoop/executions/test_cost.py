from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from framework.errors import InputError
from framework_hadoop.executions.cost import (
    ClusterPrice,
    execution_cost_usd,
    execution_costs_usd,
    price_facts,
    read_price_list,
)
from framework_hadoop.executions.effectiveness import front_table, setting_effects
from framework_hadoop.executions.execution_files import read_executions
from framework_hadoop.executions.execution_sql import execution_database, file_query
from tests.framework_hadoop.aloja_files import HEADINGS, execution, executions, write
from tests.support.measured_data import MEASURED_DATA, needs_shared_data

FULL = ClusterPrice("c", 6.85, remote_volume_per_hour=0.1, ssd_per_hour=0.7, infiniband_per_hour=0.2)


def test_cost_of_the_published_example() -> None:
    # aloja.md, section 2: 1800 s at 6.85 $/h, 2 remote volumes at 0.1, InfiniBand at 0.2
    assert execution_cost_usd(1800, FULL, "RL2", "IB") == pytest.approx(3.625)


def test_surcharges_are_for_the_cluster_and_only_for_what_a_run_uses() -> None:
    assert execution_cost_usd(3600, FULL, "HDD", "ETH") == pytest.approx(6.85)
    assert execution_cost_usd(3600, FULL, "SS2", "ETH") == pytest.approx(6.85 + 1.4)
    assert execution_cost_usd(3600, FULL, "HS4", "ETH") == pytest.approx(6.85 + 0.7)


def test_a_cluster_without_a_price_has_no_cost_rather_than_none(tmp_path: Path) -> None:
    rows = [execution(1), execution(2, **{"Cl.Name": "c-9"})]
    found = read_executions(write(tmp_path / "runs.csv", rows))

    costs = execution_costs_usd(found, {"c-1": [ClusterPrice("c-1", 6.0)]})

    assert costs[0] == pytest.approx(1.0)
    assert np.isnan(costs[1])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cluster,price\nc,1\n", "no column 'cost_per_hour'"),
        ("cluster,cost_per_hour\nc,cheap\n", "row 1: column 'cost_per_hour' contains 'cheap', not a price"),
        ("cluster,cost_per_hour\nc,-1\n", "not a price"),
        ("cluster,cost_per_hour\nc,1\nc,2\n", "row 2: cluster 'c' is in the list twice"),
        (
            "cluster,cost_per_hour,valid_on\nc,1,2015-05-01\nc,2,2015-05-01\n",
            "row 2: cluster 'c' is in the list twice with the day 2015-05-01",
        ),
        (
            "cluster,cost_per_hour,valid_on\nc,1,May 2015\n",
            "row 1: column 'valid_on' contains 'May 2015', not a day",
        ),
    ],
)
def test_a_price_list_that_is_wrong_says_where(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(text)

    with pytest.raises(InputError, match=reason):
        read_price_list(file)


def test_a_price_list_may_leave_a_cluster_unpriced(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("cluster,cost_per_hour,cost_per_hour_ssd\nc-1,7.92,0.5\nc-2,,\n")
    prices = read_price_list(file)

    assert {name: price.per_hour for name, (price,) in prices.items()} == {"c-1": 7.92, "c-2": None}
    assert prices["c-1"][0].ssd_per_hour == 0.5


def test_an_execution_costs_what_held_on_its_day(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(
        "cluster,cost_per_hour,valid_on,source\nc-1,9,2015-01-01,list\nc-1,6,2016-01-01,list\nc-1,12,2014-01-01,list\n"
    )
    began = ("2013-12-31 23:59:59", "2014-01-01 00:00:00", "2015-12-31 10:00:00", "2016-03-01 10:00:00", "")
    rows = [execution(n, **{"Exe.Time": "3600", "Start.time": text}) for n, text in enumerate(began)]
    found = read_executions(write(tmp_path / "runs.csv", rows, [*HEADINGS, "Start.time"]))

    costs, facts = (function(found, read_price_list(file)) for function in (execution_costs_usd, price_facts))

    assert costs.tolist() == [12.0, 12.0, 9.0, 6.0, 6.0]
    assert facts.price == [
        "12 USD/h, of 2014-01-01, list, later than the run",
        "12 USD/h, of 2014-01-01, list",
        "9 USD/h, of 2015-01-01, list",
        "6 USD/h, of 2016-01-01, list",
        "6 USD/h, of 2016-01-01, list, the last of 3: the day of the run is not known",
    ]


@needs_shared_data("aloja_clusters.csv")
def test_the_published_price_list_reads_with_one_cluster_unpriced() -> None:
    prices = read_price_list(MEASURED_DATA / "aloja_clusters.csv")

    assert len(prices) == 22
    assert [name for name, (price,) in prices.items() if price.per_hour is None] == ["al-34"]


def test_one_lucky_run_does_not_push_repeats_off_the_front(tmp_path: Path) -> None:
    steady = [execution(n, **{"Exe.Time": t}) for n, t in enumerate(("600", "610", "590", "640", "580"))]
    lucky = execution(9, **{"Exe.Time": "585", "Comp": "3"})
    found = read_executions(write(tmp_path / "runs.csv", [*steady, lucky]))
    costs = execution_costs_usd(found, {"c-1": [ClusterPrice("c-1", 6.0)]})

    front = front_table(file_query(found, costs), found, "terasort")

    assert sorted(row[front.columns.index("repeats")] for row in front.rows) == [1, 5]


def test_a_configuration_that_is_slower_and_dearer_for_certain_is_not_on_the_front(tmp_path: Path) -> None:
    times = (("600", "0"), ("606", "0"), ("900", "1"), ("905", "1"))
    rows = [execution(n, **{"Exe.Time": t, "Comp": codec}) for n, (t, codec) in enumerate(times)]
    found = read_executions(write(tmp_path / "runs.csv", rows))
    costs = execution_costs_usd(found, {"c-1": [ClusterPrice("c-1", 6.0)]})

    points = file_query(found, costs)(
        "SELECT run_id, on_front, time_low, time_s, time_high FROM cost_effectiveness", []
    )

    assert {run_id: front for run_id, front, *_ in points} == {"0": True, "2": False}
    assert all(low < middle < high for _, _, low, middle, high in points)


def test_an_unpriced_configuration_is_neither_on_the_front_nor_pushes_one_off(tmp_path: Path) -> None:
    rows = [execution(1), execution(2, **{"Cl.Name": "c-9", "Exe.Time": "1"})]
    found = read_executions(write(tmp_path / "runs.csv", rows))
    costs = execution_costs_usd(found, {"c-1": [ClusterPrice("c-1", 6.0)]})

    points = (
        execution_database(found, costs).execute("SELECT run_id, on_front FROM cost_effectiveness").fetchall()
    )

    assert dict(points) == {"0": True, "1": False}


def test_effects_compare_only_what_differs_in_nothing_else(tmp_path: Path) -> None:
    found = read_executions(write(tmp_path / "runs.csv", executions(1500)))

    effects = {effect.value: effect for effect in setting_effects(file_query(found), ["backend.codec"])}
    base = next(iter(effects.values())).base

    truth = {"none": 1.0, "zlib": 1.2, "snappy": 0.9}
    for value, effect in effects.items():
        assert effect.ratio == pytest.approx(truth[value] / truth[base], rel=0.02)
        assert effect.low is not None
        assert effect.high is not None
        assert effect.low <= effect.ratio <= effect.high


def test_scalability_compares_clusters_that_differ_in_nodes_alone(tmp_path: Path) -> None:
    rows = [
        execution(
            n,
            **{"Cl.Name": f"c-{nodes}", "Datanodes": str(nodes), "Exe.Time": str(4800 / nodes), "Maps": maps},
        )
        for n, (nodes, maps) in enumerate((nodes, maps) for nodes in (4, 8) for maps in ("4", "6", "8"))
    ]

    found = read_executions(write(tmp_path / "runs.csv", rows))
    (effect,) = file_query(found)(
        "SELECT from_value, time_ratio, configurations FROM scalability(benchmark := 'terasort')", []
    )

    base, ratio, pairs = effect
    assert pairs == 3
    assert ratio == pytest.approx(0.5 if base == "4" else 2.0)
