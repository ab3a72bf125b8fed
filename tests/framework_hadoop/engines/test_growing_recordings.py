"""A recording that was imported while it grew leaves one run: that of its last stage, whatever came first."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest

from framework.run.importing import import_file
from framework.store.database.reader import Store

FIXTURES = Path(__file__).parents[1] / "fixtures"
NAMES = {"jhist": "succeeded.jhist", "spark": "pagerank.spark.jsonl"}


def stages(kind: str, folder: Path) -> list[Path]:
    """Write a recording at two thirds, at nine tenths of its lines, and whole."""
    lines = (FIXTURES / NAMES[kind]).read_text().splitlines(keepends=True)
    found = []
    for name, share in (("begun", 2 / 3), ("longer", 0.9), ("whole", 1.0)):
        file = folder / f"{name}.{kind}"
        file.write_text("".join(lines[: int(len(lines) * share)]))
        found.append(file)
    return found


def stored(outputs: Path) -> list[tuple[object, ...]]:
    return list(
        Store(outputs).rows(
            "SELECT r.status, f.value, (SELECT count(*) FROM metrics m WHERE m.run_id = r.run_id AND m.value > 0) "
            "FROM runs r JOIN facts f ON f.run_id = r.run_id AND f.name = 'origin_file' ORDER BY ALL"
        )[1]
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", NAMES)
def test_the_complete_recording_takes_the_place_of_its_beginnings_in_any_order(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = stages(kind, tmp_path)
    for number, order in enumerate(list(permutations(files))[::2]):
        outputs = tmp_path / f"o{number}"
        for file in (*order, order[0]):
            import_file(None, file, str(outputs))
        ((status, name, metrics),) = stored(outputs)
        assert (status, name) == ("done", f"whole.{kind}")
        assert metrics
    assert "less complete recording of the same run replaced" in "".join(capsys.readouterr())


@pytest.mark.slow
def test_of_two_incomplete_recordings_the_longer_one_stays(tmp_path: Path) -> None:
    begun, longer, _ = stages("spark", tmp_path)
    for file in (longer, begun, longer):
        import_file("spark", file, str(tmp_path / "o"))
    assert [row[:2] for row in stored(tmp_path / "o")] == [("failed", "longer.spark")]


@pytest.mark.slow
def test_an_incomplete_recording_of_another_run_is_left_alone(tmp_path: Path) -> None:
    begun, _, whole = stages("spark", tmp_path)
    other = tmp_path / "other.spark"
    events = [json.loads(line) for line in begun.read_text().splitlines()]
    for event in events:
        if event["Event"] == "SparkListenerApplicationStart":
            event["Timestamp"] += 5000  # the same application id, started at another time
    other.write_text("".join(json.dumps(event) + "\n" for event in events))
    for file in (other, whole):
        import_file("spark", file, str(tmp_path / "o"))
    assert [row[:2] for row in stored(tmp_path / "o")] == [("done", "whole.spark"), ("failed", "other.spark")]
