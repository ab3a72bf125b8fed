"""Report sections over made-up runs whose truth is known."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightgbm")
pytest.importorskip("sklearn")

from framework.contracts import (
    Figure,
    ImportedRun,
    Metric,
    ReportScope,
    ReportSection,
    Result,
    RunContext,
    TableBlock,
)
from framework.run.importing import keep_runs
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework_hadoop.knowledge.prediction_study import ExecutionFiles, ExecutionPrediction
from framework_hadoop.plugin import report_sections
from tests.framework_hadoop.aloja_files import executions, write


def scope_of(outputs: Path, experiment: str) -> ReportScope:
    ingest(outputs)
    store = Store(outputs)
    run_ids = store.query("SELECT run_id FROM runs WHERE experiment = ?", [experiment]).column(0).to_pylist()
    return ReportScope(store, experiment, run_ids)


def blocks(sections: list[ReportSection], kind: type) -> dict[str, object]:
    return {block.title: block for section in sections for block in section.blocks if isinstance(block, kind)}


def test_a_sweep_over_knobs_is_reported_with_tree_effects_and_best_settings(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    runs = []
    for benchmark, slots, codec, repeat in itertools.product(
        ("sort", "grep"), (1, 2), ("none", "zlib"), "abc"
    ):
        time_s = (10 if benchmark == "sort" else 20) / slots * (1.5 if codec == "zlib" else 1)
        metrics = [
            Metric("exe_time_s", time_s * noise.normal(1, 0.01), "s"),
            Metric("cost_usd", time_s * slots, "USD"),
        ]
        backend = {"name": "hadoop", "map_slots": slots, "reduce_slots": slots, "codec": codec}
        config = {"backend": backend, "workload": {"name": benchmark, "benchmark": benchmark}}
        runs.append(
            ImportedRun(f"{benchmark} {slots} {codec} {repeat}", "knobs", "hadoop", config, Result(metrics))
        )
    keep_runs("test", "here", str(tmp_path), runs)

    sections = list(report_sections(scope_of(tmp_path, "knobs")))

    figures, tables = blocks(sections, Figure), blocks(sections, TableBlock)
    assert set(figures) == {"What separates slow from fast executions", "Effect of single settings on time"}
    assert "Best configurations" in tables
    drawn = figures["Effect of single settings on time"]
    assert isinstance(drawn, Figure)
    given = Store(tmp_path).rows(drawn.sql)[1]
    assert sorted(drawn.spec["data"][0]["x"]) == sorted(row[3] for row in given)
    tree = figures["What separates slow from fast executions"]
    assert isinstance(tree, Figure)
    (root,) = Store(tmp_path).rows(f"SELECT executions FROM ({tree.sql}) WHERE parent IS NULL")[1]
    assert root == (len(runs),)
    effects = {row[:3]: row[3:] for row in tables["Effects"].rows}  # type: ignore[attr-defined]
    # reduce slots move with map slots: they are no reason to compare nothing
    ratio, low, high, pairs = effects["map_slots", "1", "2"]
    assert ratio == pytest.approx(0.5, rel=0.03)
    assert (pairs, low, high) == (4, None, None)  # four pairs have no interval of 90 %
    assert effects["codec", "none", "zlib"][0] == pytest.approx(1.5, rel=0.03)
    # one slot costs as much as two, which are twice as fast; zlib is slower and dearer for certain
    front = tables["sort: cost and time, configurations that are not certainly dominated"]
    assert [row[:3] for row in front.rows] == [("none", "2", 3), ("none", "1", 3)]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_prediction_run_is_reported_with_what_it_learned(tmp_path: Path) -> None:
    files = (str(write(tmp_path / f"{seed}.csv", executions(300, seed=seed))) for seed in (0, 1))
    workload = ExecutionFiles(*files).build(0)
    result = ExecutionPrediction().run(workload, RunContext("run", {}, 0, tmp_path))
    run = ImportedRun("1", "aloja_prediction", "execution_prediction", {}, result)
    keep_runs("test", "here", str(tmp_path / "o"), [run])

    sections = list(report_sections(scope_of(tmp_path / "o", "aloja_prediction")))

    assert [section.title for section in sections] == [
        "Effects of knobs",
        "Best configurations",
        "Accuracy of predictions",
    ]
    tables = blocks(sections, TableBlock)
    assert len(tables["Errors on held-out data"].rows) == 4  # type: ignore[attr-defined]
    assert len(tables["Best configuration of each benchmark on each cluster"].rows) == 9  # type: ignore[attr-defined]


def test_an_experiment_of_another_domain_gets_no_section(tmp_path: Path) -> None:
    keep_runs("test", "here", str(tmp_path), [ImportedRun("1", "other", "twin", {}, Result())])

    assert list(report_sections(scope_of(tmp_path, "other"))) == []
