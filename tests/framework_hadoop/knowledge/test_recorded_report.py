"""The report of imported executions has figures, says what its costs leave out, and what was never run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from framework.cli import main
from framework.contracts import Figure, ReportScope, TableBlock
from framework.run.importing import import_file
from framework.store.database.reader import Store
from framework_hadoop.knowledge.stored_report.cluster_accuracy import cluster_errors
from framework_hadoop.knowledge.stored_report.recorded_report import sections
from tests.framework_hadoop.aloja_files import execution, executions, write

Command = Callable[..., int]


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Carries out `framework ARGUMENTS` in this process and returns its exit status."""

    def command(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["framework", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return command


PRICES = (
    "cluster,cost_per_hour,cost_per_hour_ssd,valid_on,source\n"
    "c-1,6.0,,2015-03-01,price list of the provider\n"
    "c-2,2.0,0.5,,\n"
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with 160 executions on three clusters, two of them priced; some of c-1 have solid-state disks."""
    folder = tmp_path_factory.mktemp("recorded")
    rows = executions(150)
    rows += [
        {**row, "ID": str(9000 + n), "Disk": "SSD", "Exe.Time": f"{float(row['Exe.Time']) / 2:.3f}"}
        for n, row in enumerate(row for row in rows if row["Cl.Name"] == "c-1")
    ][:10]
    file = write(folder / "runs.csv", rows)
    (folder / "aloja_clusters.csv").write_text(PRICES)
    import_file("aloja", file, str(folder / "o"))
    return folder / "o"


@pytest.fixture(scope="module")
def blocks(outputs: Path) -> dict[str, Figure | TableBlock]:
    """The report's figures and tables by title."""
    pytest.importorskip("lightgbm")
    store = Store(outputs)
    run_ids = [row[0] for row in store.rows("SELECT run_id FROM runs")[1]]
    found = sections(ReportScope(store, "import:aloja", run_ids))
    return {
        f"{'figure' if isinstance(block, Figure) else 'table'}: {block.title}": block
        for section in found
        for block in section.blocks
        if not isinstance(block, str)
    }


def table(blocks: dict[str, Figure | TableBlock], title: str) -> list[dict[str, object]]:
    found = blocks[f"table: {title}"]
    assert isinstance(found, TableBlock)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def test_each_question_has_a_figure(blocks: dict[str, Figure | TableBlock]) -> None:
    figures = [title.removeprefix("figure: ") for title in blocks if title.startswith("figure")]
    assert figures == [
        "Cost against time",
        "Best time within a budget",
        "Effect of disks and networks",
        "Effect of the engine's settings",
        "Coverage of the intervals by cluster",
        "Configurations run",
    ]


def test_the_sql_of_a_figure_gives_the_rows_that_it_draws(
    outputs: Path, blocks: dict[str, Figure | TableBlock]
) -> None:
    for figure in blocks.values():
        if isinstance(figure, Figure):
            drawn = [trace["x"] for trace in figure.spec["data"] if trace["x"]]
            if figure.title == "Best time within a budget":
                drawn = [costs[:-1] for costs in drawn]  # the last step goes on to the edge
            given = {cell for row in Store(outputs).rows(figure.sql)[1] for cell in row}
            assert {x for trace in drawn for x in trace} <= given, figure.title


def test_prices_state_day_and_source_and_what_the_costs_leave_out(
    blocks: dict[str, Figure | TableBlock],
) -> None:
    prices = {row["cluster"]: row for row in table(blocks, "Prices, and what the costs leave out")}
    assert prices["c-1"]["price"] == "6 USD/h, of 2015-03-01, price list of the provider"
    assert prices["c-1"]["left_out"] == "1 solid-state disk"
    assert prices["c-1"]["incomplete"] == 10
    assert prices["c-2"]["price"] == "2 USD/h, undated, source not stated"
    assert prices["c-3"]["price"] == "no price"
    cost = blocks["figure: Cost against time"]
    assert isinstance(cost, Figure)
    symbols = {symbol for trace in cost.spec["data"][1:] for symbol in trace["marker"]["symbol"]}
    assert symbols == {"diamond", "diamond-open"}


def test_effects_have_intervals_where_there_are_pairs_enough(blocks: dict[str, Figure | TableBlock]) -> None:
    effects = {(row["setting"], row["to"]): row for row in table(blocks, "Effects of settings")}
    assert effects["codec", "zlib"]["configurations"] >= 5  # type: ignore[operator]
    disk = effects["disk", "SSD"]
    assert disk["time_ratio"] == pytest.approx(0.5, rel=0.1)
    for row in effects.values():
        assert (row["low"] is None) == (row["configurations"] < 5)  # type: ignore[operator]


def test_coverage_of_the_configuration_space_counts_every_run(blocks: dict[str, Figure | TableBlock]) -> None:
    rows = table(blocks, "Coverage of the configuration space")
    assert sum(int(str(row["runs"])) for row in rows) == 160
    assert all(0 < float(str(row["share"])) <= 1 for row in rows)


def test_errors_are_told_by_cluster_and_few_rows_decide_nothing() -> None:
    measured = np.full(250, 100.0)
    clusters = ["wide"] * 120 + ["narrow"] * 120 + ["few"] * 9 + [None]
    predicted = np.full(250, 110.0)
    half = np.where(np.arange(250) % 2 == 0, 1.0, 20.0)
    low = np.where(np.arange(250) < 120, 50.0, 110.0 - half)

    found = {e.cluster: e for e in cluster_errors(clusters, measured, predicted, low, predicted * 2, 0.9)}

    assert set(found) == {"wide", "narrow", "few"}
    assert found["wide"].verdict == "too wide"
    assert found["wide"].coverage == 1.0
    assert found["narrow"].verdict == "too narrow"
    assert found["narrow"].coverage == 0.5
    # Wilson's interval of 60 of 120: 0.412 to 0.588
    assert found["narrow"].low == pytest.approx(0.4119, abs=1e-3)
    assert found["few"].verdict in ("too few to say", "too narrow")
    assert found["narrow"].mape == pytest.approx(0.1)


def test_the_best_configuration_within_limits_keeps_them_for_certain(
    outputs: Path, framework: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    columns, rows = Store(outputs).rows("FROM best_within(budget_usd := 1.0, deadline_s := 900)")
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    assert {row["goal"] for row in found} == {"fastest", "cheapest"}
    assert all(row["cost_high"] <= 1.0 and row["time_high"] <= 900 for row in found)
    for row in found:  # nothing else that keeps them is faster, or cheaper
        value = "time_high" if row["goal"] == "fastest" else "cost_high"
        ((least,),) = Store(outputs).rows(
            f"SELECT min({value}) FROM configuration_times WHERE benchmark = ? AND cost_high <= 1 "
            "AND time_high <= 900",
            [row["benchmark"]],
        )[1]
        assert row[value] == least
    status = framework(
        "executions", "best", "--benchmark", "terasort", "--deadline", "900", "--outputs", str(outputs)
    )
    assert status == 0
    assert "fastest" in capsys.readouterr().out
    assert framework("executions", "best", "--budget", "0.0001", "--outputs", str(outputs)) != 0
    assert "within the limits for certain: the fastest takes up to" in capsys.readouterr().err


def test_two_clusters_are_compared_by_their_names(
    outputs: Path, framework: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert framework("compare", "c-1", "c-3", "--outputs", str(outputs)) == 0
    shown = capsys.readouterr().out
    assert "cluster.data_nodes" in shown
    assert "cluster.disk" in shown
    verdicts = Store(outputs).rows(
        "SELECT count(*) FILTER (change < 0), count(*) FROM compare('c-1', 'cluster.cluster=c-3') "
        "WHERE kind = 'metric' AND name = 'exe_time_s' AND contains(point, 'codec')"
    )[1]
    assert verdicts[0][1] > 5
    assert framework("compare", "c-1", "c-33", "--outputs", str(outputs)) != 0
    assert "did you mean 'c-3'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_what_if_that_contradicts_a_clusters_hardware_is_a_new_cluster(
    outputs: Path, framework: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["predict", "exe_time_s", "benchmark=terasort", "cluster=c-1", "--outputs", str(outputs)]
    assert framework(*asked) == 0
    assert "never seen" not in capsys.readouterr().out
    assert framework(*asked, "data_nodes=3") == 0
    said = "".join(capsys.readouterr())
    assert "cluster c-1 was never seen with cluster.data_nodes=3 (only 8): predicted as a new cluster" in said


def test_prices_can_be_given_at_the_import(tmp_path: Path, framework: Command) -> None:
    file = write(tmp_path / "runs.csv", [execution(1), execution(2, **{"Disk": "RL3"})])
    (tmp_path / "own.csv").write_text(PRICES)
    assert (
        framework("import", str(file), f"prices={tmp_path / 'own.csv'}", "--outputs", str(tmp_path / "o"))
        == 0
    )
    rows = Store(tmp_path / "o").rows(
        "SELECT cost_usd, cost_leaves_out FROM executions ORDER BY 2 NULLS FIRST"
    )[1]
    assert rows == [(pytest.approx(1.0), None), (pytest.approx(1.0), "3 remote volumes")]
