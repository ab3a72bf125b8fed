"""A table of runs is read strictly: what is doubtful in it is refused or told."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.contracts import ImportedRun
from framework.errors import InputError
from framework_serving.result_files.runs_csv import read_serving_runs

HEADER = "run_id,model,gpu,arrival,num_prompts,input_tokens_mean,output_tokens_mean,length_distribution"
HEADER += (
    ",measured_completed,measured_prompts_sent,measured_duration_s,measured_total_tok_s,measured_requests_s"
)
ROW = "u1,meta-llama/Llama-3.1-8B-Instruct,NVIDIA H100 80GB HBM3,burst,1000,512,128,fixed,1000,1000,25,25344,39.6"


def read(folder: Path, *lines: str) -> list[ImportedRun]:
    file = folder / "runs.csv"
    file.write_text("\n".join(lines) + "\n")
    return list(read_serving_runs(file))


def test_hub_and_driver_names_are_ours(tmp_path: Path) -> None:
    (run,) = read(tmp_path, HEADER, ROW)
    assert (run.config["model"]["name"], run.config["gpu"]["name"]) == ("llama-3.1-8b-instruct", "H100-80GB")
    assert run.result.checks[0].verdict == "pass"


def test_tokens_per_second_that_contradict_requests_and_lengths_fail(tmp_path: Path) -> None:
    (run,) = read(tmp_path, HEADER, ROW.replace("25344", "99999"))
    (check,) = [check for check in run.result.checks if check.name == "figures_agree"]
    assert check.verdict == "fail"
    assert "requests_s 39.6 × mean tokens 640 is 25344, but total_tok_s is 99999" in check.detail


def test_requests_that_were_not_served_are_told(tmp_path: Path) -> None:
    (run,) = read(tmp_path, HEADER, ROW.replace("fixed,1000,1000,25", "fixed,990,1000,25"))
    assert ("requests_served", "warn") in [(check.name, check.verdict) for check in run.result.checks]


def test_a_measured_column_that_is_not_listed_is_a_metric_all_the_same(tmp_path: Path) -> None:
    (run,) = read(tmp_path, f"{HEADER},measured_ttft_p95_ms,measured_e2e_mean_ms", f"{ROW},15000,12800")
    found = {metric.name: metric.value for metric in run.result.metrics}
    assert (found["ttft_p95_ms"], found["e2e_mean_ms"]) == (15000, 12800)


def test_an_unknown_column_is_kept_and_told(tmp_path: Path) -> None:
    (run,) = read(tmp_path, f"{HEADER},operator", f"{ROW},anna")
    assert run.result.facts["operator"] == "anna"
    assert run.notes == ["columns without a name of ours, kept as facts: operator"]


def test_a_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: column 'gpu' occurs twice"):
        read(tmp_path, f"{HEADER},gpu", f"{ROW},L4")


@pytest.mark.parametrize("row", [ROW + ",9", ROW.rpartition(",")[0]])
def test_a_row_of_another_width_is_refused(tmp_path: Path, row: str) -> None:
    with pytest.raises(InputError, match=r"line 2: 13 columns expected, 1[24] found"):
        read(tmp_path, HEADER, row)


def test_separators_and_encodings_are_found_out(tmp_path: Path) -> None:
    (plain,) = read(tmp_path, HEADER, ROW)
    file = tmp_path / "other.csv"
    for text in (f"{HEADER}\n{ROW}\n".replace(",", ";"), f"{HEADER}\r\n{ROW}\r\n".replace(",", "\t")):
        file.write_bytes(text.encode("utf-16"))
        (run,) = read_serving_runs(file)
        assert run.content == plain.content


def test_runs_of_one_id_in_two_files_are_told_apart_by_what_they_say(tmp_path: Path) -> None:
    (one,), (other,) = read(tmp_path, HEADER, ROW), read(tmp_path, HEADER, ROW.replace("25344", "25340"))
    assert one.origin_id == other.origin_id
    assert one.content != other.content
