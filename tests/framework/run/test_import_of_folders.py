"""`import FOLDER`: each file by its content; the store depends on the files alone, not on order, number or place."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from framework.errors import InputError
from framework.run.importing import import_files
from framework.store.database.reader import Store
from tests.framework_hadoop.aloja_files import executions, write

TESTS = Path(__file__).parents[2]
SERVING = TESTS / "framework_serving" / "result_files" / "files"
DATA = TESTS / "framework_hadoop" / "fixtures"
SMI = "timestamp, index, power.draw [W]\n" + "".join(
    f"2025/03/01 10:00:{at:02}.000, 0, {100 + at} W\n" for at in range(20)
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a study leaves it: results of several tools, logs, notes, a damaged file, a trace."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "jobs").mkdir()
    guidellm = [f"guidellm_0.8.1.{form}" for form in ("json", "csv", "html")]  # one run in three forms
    for name in ("vllm_0.6.3.json", "aiperf_0.13.csv", "aiperf_0.13.json", "sglang_0.5.23.jsonl", *guidellm):
        shutil.copy(SERVING / name, folder)
    for name in ("succeeded.jhist", "node_lost.jhist", "node_lost_binary.jhist", "pagerank.spark.jsonl"):
        shutil.copy(DATA / name, folder / "jobs")
    lines = (DATA / "succeeded.jhist").read_text().splitlines(keepends=True)
    (folder / "jobs" / "a_copy_made_too_early.jhist").write_text("".join(lines[: len(lines) * 2 // 3]))
    write(folder / "runs.csv", executions(30))
    (folder / "power.log").write_text(SMI)
    (folder / "notes.txt").write_text("made up on a Monday\n")
    (folder / "trace.csv").write_text("arrival_s,input_tokens,output_tokens\n0,1,2\n")
    (folder / "broken.json").write_bytes((SERVING / "vllm_0.6.3.json").read_bytes()[:300])
    (folder / "torn.csv").write_text("ID,Benchmark,Exe.Time\n1,sort,20,9\n")
    return folder


def stored(outputs: Path) -> list[tuple[object, ...]]:
    """Everything that the store says of the runs but when and from which file name they came."""
    statement = (
        "SELECT r.status, i.value, o.value, m.name, round(m.value, 6) FROM runs r "
        "JOIN facts i ON i.run_id = r.run_id AND i.name = 'importer' "
        "JOIN facts o ON o.run_id = r.run_id AND o.name = 'origin_id' "
        "LEFT JOIN metrics m ON m.run_id = r.run_id ORDER BY ALL"
    )
    return list(Store(outputs).rows(statement)[1])


@pytest.mark.slow  # a dozen imports
def test_a_folder_is_imported_file_by_file_and_each_is_told(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    assert import_files([str(results)], str(tmp_path / "o")) == 1  # one file of a known kind can't be read
    shown = "".join(capsys.readouterr())
    rows = {words[0]: words[1:] for line in shown.splitlines() if (words := line.split())}
    assert rows["vllm_0.6.3.json"][:3] == ["vllm-bench", "1", "0"]
    assert rows["runs.csv"][:3] == ["aloja", "30", "0"]
    assert rows["power.log"][:3] == ["nvidia-smi", "1", "0"]
    assert rows["jobs/node_lost_binary.jhist"][:3] == ["jhist", "0", "1"]  # the same job as JSON
    assert "row 1 has 4 cells instead of 3" in " ".join(rows["torn.csv"])
    assert "a load, not a result" in " ".join(rows["trace.csv"])
    assert "notes.txt" in rows
    assert "broken.json" in rows
    statuses = dict(Store(tmp_path / "o").rows("SELECT status, count(*) FROM runs GROUP BY 1")[1])
    assert statuses == {"done": 38}  # 30 executions, 4 serving results, 2 histories, Spark, power


@pytest.mark.slow
def test_order_repetition_and_place_of_the_files_do_not_matter(results: Path, tmp_path: Path) -> None:
    import_files([str(results)], str(tmp_path / "once"))
    expected = stored(tmp_path / "once")
    files = [str(file) for file in results.rglob("*") if file.is_file() and file.name != "import.json"]
    for seed in (1,):
        shuffled = files + random.Random(seed).choices(files, k=4)
        random.Random(seed).shuffle(shuffled)
        import_files(shuffled, str(tmp_path / f"shuffled-{seed}"))
        assert stored(tmp_path / f"shuffled-{seed}") == expected
    elsewhere = shutil.copytree(results, tmp_path / "elsewhere")
    import_files([str(elsewhere), str(results)], str(tmp_path / "twice"))
    assert stored(tmp_path / "twice") == expected


def test_a_folder_without_a_recording_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert import_files([str(tmp_path / "empty")], str(tmp_path / "o")) != 0
    assert "contains no file that could be imported" in capsys.readouterr().err
    with pytest.raises(InputError, match="is a folder"):
        import_files(["aloja", str(tmp_path / "empty")], str(tmp_path / "o"))
