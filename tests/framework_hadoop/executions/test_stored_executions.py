from __future__ import annotations

from pathlib import Path

import pytest

from framework.errors import UserError
from framework.run.importing import import_file
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework_hadoop.executions.outliers import OutlierRule
from framework_hadoop.executions.stored_executions import judge_stored, stored_executions
from tests.framework_hadoop.aloja_files import execution, executions, write


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    # the same configuration as its four neighbours, four times as long; and another far too short to have run
    disturbed = execution(900_000, **{"Exe.Time": "2400"})
    steady = [execution(900_001 + n, **{"Exe.Time": str(600 + n)}) for n in range(4)]
    failed = execution(900_009, **{"Exe.Time": "4", "Maps": "6"})
    (folder / "aloja_clusters.csv").write_text("cluster,cost_per_hour\nc-1,6\nc-2,3\nc-3,9\n")
    file = write(folder / "runs.csv", [*executions(400), disturbed, *steady, failed])
    import_file("aloja", file, str(folder / "o"))
    return folder / "o"


def test_executions_come_back_from_the_store_as_they_were_read(outputs: Path) -> None:
    found, run_ids = stored_executions(Store(outputs))

    assert len(found) == len(run_ids) == 406
    assert set(found.columns["codec"].tolist()) == {"none", "zlib", "snappy"}
    assert found.columns["block_size_mb"].tolist() == [64.0] * 406


@pytest.mark.slow
def test_verdicts_are_in_the_store_and_sql_leaves_out_whom_not_to_trust(outputs: Path) -> None:
    _, _, new = judge_stored(Store(outputs), outputs, OutlierRule())
    ingest(outputs)
    _, _, again = judge_stored(Store(outputs), outputs, OutlierRule())

    store = Store(outputs)
    named = store.query(
        "SELECT f.value, o.verdict FROM outliers o JOIN facts f ON f.run_id = o.run_id AND f.name = 'origin_id' "
        "WHERE o.verdict <> 'ok' ORDER BY 1"
    )
    verdicts = dict(zip(*(column.to_pylist() for column in named.columns), strict=True))
    repeats = store.query("SELECT max(repeats), min(time_s) FROM cost_effectiveness WHERE cluster = 'c-1'")
    trusted = store.query("SELECT count(*) FILTER (trusted), count(*) FROM executions")

    assert (new, again) == (True, False)
    assert verdicts["900000"] == "outlier"
    assert verdicts["900009"] == "failed"
    assert trusted.column(0).to_pylist() == [406 - len(verdicts)]
    assert trusted.column(1).to_pylist() == [406]
    assert repeats.column(1).to_pylist()[0] > 60  # the failed run is nobody's best


def test_sql_effects_of_the_store_are_those_of_the_known_law(outputs: Path) -> None:
    found = Store(outputs).query(
        "SELECT from_value, to_value, time_ratio, low, high FROM setting_effects('backend.codec')"
    )

    truth = {"none": 1.0, "zlib": 1.2, "snappy": 0.9}
    for base, value, ratio, low, high in zip(*(column.to_pylist() for column in found.columns), strict=True):
        assert ratio == pytest.approx(truth[value] / truth[base], rel=0.03)
        assert low <= ratio <= high


def test_a_store_without_executions_has_nothing_to_judge(tmp_path: Path) -> None:
    ingest(tmp_path)

    with pytest.raises(UserError, match="at least 10 executions"):
        judge_stored(Store(tmp_path), tmp_path, OutlierRule())
