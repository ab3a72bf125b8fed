"""Damaged files: never a crash, never a number that its file does not say or that contradicts the others unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.contracts import ImportedRun
from framework.errors import InputError
from framework.run.recognition import recognised
from tests.support.damaged_files import mutations

FILES = Path(__file__).parent / "files"
NAMES = sorted(file.name for file in FILES.iterdir() if file.suffix != ".md")
ONE_A_READER = (
    *("vllm_0.6.3.json", "sglang_0.5.23.jsonl", "guidellm_0.8.1.json", "aiperf_0.13.csv"),
    *("guidellm_0.8.1.csv", "guidellm_0.8.1.html"),
    *("aiperf_0.13_requests.jsonl", "genai_perf_0.0.16.json", "inference_perf_0.7_stage.json"),
    *("inference_perf_0.7_requests.json", "llmd_0.2.yaml"),
)


def counted(runs: list[ImportedRun]) -> list[dict[str, float]]:
    return [
        {metric.name: metric.value for metric in run.result.metrics if metric.value is not None}
        for run in runs
    ]


def flagged(run: ImportedRun) -> bool:
    return any(check.verdict != "pass" for check in run.result.checks)


def try_all(name: str, folder: Path, count: int) -> None:
    data = (FILES / name).read_bytes()
    importer, _ = recognised(FILES / name)
    original = counted([run for run in importer.read(FILES / name) if isinstance(run, ImportedRun)])
    damaged, lines = folder / name, [""]
    redundant = {"completed", "duration_s", "requests_s", "output_tok_s", "total_tok_s"}
    for mutant in mutations(data, count):
        damaged.write_bytes(mutant)
        try:
            runs = [run for run in importer.read(damaged) if isinstance(run, ImportedRun)]
            recognised(damaged)
        except InputError as error:
            lines.append(str(error))
            continue
        for run, found in zip(runs, counted(runs), strict=True):
            assert {key: value for key, value in found.items() if not abs(value) < float("inf")} == {}
            if flagged(run) or len(runs) != len(original):
                continue
            # what several figures say together can't change alone without a remark
            before = min(original, key=lambda one: sum(one.get(key) != found.get(key) for key in one))
            both = [key for key in redundant if key in before and key in found]
            if len(both) == len(redundant) and "completed" in before:
                off = [key for key in both if abs(found[key] - before[key]) > 0.6 * abs(before[key])]
                assert len(off) != 1, (off, [(before[key], found[key]) for key in off])
    assert [line for line in lines if "\n" in line] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_ends_in_numbers_or_in_one_line(name: str, tmp_path: Path) -> None:
    try_all(name, tmp_path, 25)


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_A_READER)
def test_two_thousand_damaged_files_end_in_numbers_or_in_one_line(name: str, tmp_path: Path) -> None:
    try_all(name, tmp_path, 2000)
