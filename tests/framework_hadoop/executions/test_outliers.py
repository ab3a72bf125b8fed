from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightgbm")

from benchmarks.aloja_outliers import published_outliers
from framework_hadoop.executions.execution_files import read_executions
from framework_hadoop.executions.execution_sql import file_query
from framework_hadoop.executions.execution_table import Executions
from framework_hadoop.executions.outliers import find_outliers, trusted
from framework_hadoop.knowledge.best_configuration import (
    best_configurations,
    execution_tree,
    tree_figure,
    tree_text,
)
from tests.framework_hadoop.aloja_files import execution, executions, write


def with_faults(found: Executions, share: float, seed: int = 0) -> tuple[Executions, np.ndarray]:
    draw = np.random.default_rng(seed)
    bad = draw.random(len(found)) < share
    factor = np.exp(draw.choice([-1, 1], len(found)) * np.log(draw.uniform(2, 5, len(found))))
    time_s = np.where(bad, found.time_s * factor, found.time_s)
    return Executions({**found.columns, "exe_time_s": time_s}, found.source), bad


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Executions:
    return read_executions(write(tmp_path_factory.mktemp("runs") / "runs.csv", executions(800)))


def test_injected_faults_are_found_both_ways_and_better_than_by_the_published_rule(clean: Executions) -> None:
    faulty, bad = with_faults(clean, 0.05)

    flagged = np.array([verdict in ("outlier", "failed") for verdict in find_outliers(faulty).verdict])
    _, published = published_outliers(faulty)

    assert (flagged & bad).sum() / bad.sum() > 0.9
    assert (flagged & bad).sum() / flagged.sum() > 0.9
    assert (published & bad).sum() < (flagged & bad).sum()
    for way in (faulty.time_s > clean.time_s, faulty.time_s < clean.time_s):
        assert flagged[way & bad].mean() > 0.8


def test_clean_executions_are_trusted(clean: Executions) -> None:
    assert set(find_outliers(clean).verdict) == {"ok"}
    assert len(trusted(clean)) == len(clean)


def test_a_row_without_neighbours_is_a_warning_since_nobody_confirms_it(tmp_path: Path) -> None:
    lonely = execution(1, **{"Cl.Name": "c-9", "Exe.Time": "90000", "Benchmark": "bayes"})
    found = read_executions(write(tmp_path / "runs.csv", [*executions(300), lonely]))

    report = find_outliers(found)

    assert report.verdict[-1] == "warning"
    assert report.neighbours[-1] == 0


def test_an_execution_too_short_to_have_run_has_failed_and_one_without_time_is_left_out(
    tmp_path: Path,
) -> None:
    rows = [*executions(200), execution(1, **{"Exe.Time": "3"}), execution(2, **{"Exe.Time": ""})]

    verdicts = find_outliers(read_executions(write(tmp_path / "runs.csv", rows))).verdict

    assert verdicts[-2:] == ("failed", "no time")


def test_too_few_executions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 10"):
        find_outliers(read_executions(write(tmp_path / "runs.csv", executions(5))))


def test_the_tree_tells_what_matters_in_words_and_as_a_figure(clean: Executions) -> None:
    tree = execution_tree(clean, leaves=4)

    text = tree_text(tree)
    assert text.splitlines()[0].endswith("?")
    assert text.count("→") == 4
    assert any(setting in text for setting in ("data_nodes", "cores_per_node", "memory_per_node_gb"))
    _, words, questions, leaves = tree_figure(tree)["data"]
    assert (len(questions["text"]), len(leaves["text"])) == (3, 4)
    assert sorted(words["text"]) == ["no"] * 3 + ["yes"] * 3


def test_the_best_configuration_is_not_the_luckiest_single_run(tmp_path: Path) -> None:
    steady = [execution(n, **{"Exe.Time": t}) for n, t in enumerate(("500", "504", "496", "502"))]
    noisy = [
        execution(10 + n, **{"Exe.Time": t, "Comp": "1"}) for n, t in enumerate(("480", "700", "690", "720"))
    ]
    found = read_executions(write(tmp_path / "runs.csv", [*steady, *noisy]))

    (best,) = best_configurations(file_query(found), found, "terasort", "c-1")

    assert best.settings["codec"] == "none"
    assert best.evidence == ("0", "1", "2", "3")
    assert best.time_s.low <= best.time_s.median <= best.time_s.high
