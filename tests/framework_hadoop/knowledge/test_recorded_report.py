"""The report of imported executions has figures, and says what was never run."""

from __future__ import annotations

from pathlib import Path

from framework.contracts import Figure, ReportScope, TableBlock
from framework.run.importing import import_file
from framework.store.database.reader import Store
from framework_hadoop.knowledge.recorded_report import sections
from tests.framework_hadoop.aloja_files import executions, write


def test_imported_executions_have_a_front_effects_best_configurations_and_coverage(tmp_path: Path) -> None:
    file = write(tmp_path / "runs.csv", executions(150))
    (tmp_path / "aloja_clusters.csv").write_text("cluster,cost_per_hour\nc-1,6.0\nc-2,2.0\n")
    outputs = tmp_path / "o"
    import_file("aloja", file, str(outputs))
    store = Store(outputs)
    run_ids = [row[0] for row in store.rows("SELECT run_id FROM runs")[1]]
    found = sections(ReportScope(store, "import:aloja", run_ids))
    blocks = [block for section in found for block in section.blocks]
    figures = [block.title for block in blocks if isinstance(block, Figure)]
    assert figures == ["Cost against time", "Effect of each setting, all else equal"]
    tables = {block.title: block for block in blocks if isinstance(block, TableBlock)}
    coverage = tables["Coverage of the configuration space"]
    assert all(0 < row[4] <= 1 for row in coverage.rows)
    assert sum(row[5] for row in coverage.rows) == 150
    effects = tables["Effects of settings"]
    assert any(row[0].endswith("codec") for row in effects.rows)
