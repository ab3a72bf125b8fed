from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from framework.contracts import ImportedRun
from framework.errors import InputError
from framework_serving.result_files.runs_csv import read_serving_runs
from tests.support.measured_data import SERVING_RUNS, needs_shared_data
from tests.support.published_runs import write_published_runs

HEADER = (
    "run_id,model,gpu,max_num_seqs,replicas,gpu_memory_utilization,kv_cache_tokens,request_rate_rps,starved,"
)
HEADER += (
    "measured_total_tok_s,measured_itl_mean_ms,measured_duration_s,measured_power_mean_w,quality_flags\n"
)
ROW = "r1,opt-1.3b,H100-64GB,96,2,0.45,139976,inf,,12313.9,18.98,65.4,,clean\n"


def write(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "runs.csv"
    path.write_text(header + "".join(rows))
    return path


def test_row_becomes_a_run_in_our_names(tmp_path: Path) -> None:
    (run,) = read_serving_runs(write(tmp_path, ROW))
    assert (run.origin_id, run.experiment, run.backend) == ("r1", "import:serving", "recorded")
    assert run.config["backend"]["max_num_seqs"] == 96
    assert run.config["workload"]["arrivals"]["rate_rps"] is None
    metrics = {metric.name: metric for metric in run.result.metrics}
    assert metrics["total_tok_s"].value == 12313.9
    assert metrics["kv_cache_gib"].value == pytest.approx(2 * 139_976 * 192 / 1024**2)


def test_memory_share_of_a_replica_becomes_the_share_of_all(tmp_path: Path) -> None:
    (run,) = read_serving_runs(write(tmp_path, ROW))
    assert run.config["backend"]["gpu_memory_utilization"] == 0.9


def test_empty_cell_is_absent_with_a_reason_not_zero(tmp_path: Path) -> None:
    (run,) = read_serving_runs(write(tmp_path, ROW))
    metrics = {metric.name: metric for metric in run.result.metrics}
    for name in ("power_mean_w", "energy_j", "energy_j_per_token", "starved"):
        assert metrics[name].value is None
        assert metrics[name].reason


@pytest.mark.parametrize(
    ("flags", "verdict"),
    [
        ("clean", "pass"),
        ("clean;preemptions", "pass"),
        ("clean;profiled_nsys", "warn"),
        ("client_collapse", "fail"),
    ],
)
def test_quality_flags_become_the_sanity_verdict(tmp_path: Path, flags: str, verdict: str) -> None:
    (run,) = read_serving_runs(write(tmp_path, ROW.replace("clean", flags)))
    assert [check.verdict for check in run.result.checks] == [verdict]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, ROW], "line 3: run_id 'r1' repeats line 2"),
        ([ROW.replace("18.98", "fast")], "line 2: column 'measured_itl_mean_ms' is not a number: 'fast'"),
        ([ROW.replace("18.98", "nan")], "line 2: column 'measured_itl_mean_ms' is not a number"),
        ([ROW.replace("opt-1.3b", "")], "line 2: column 'model' is empty"),
        (["r1,opt-1.3b\n"], "line 2: 14 columns expected"),
        ([ROW.replace("inf,,", "inf,maybe,")], "line 2: column 'starved' is neither True nor False"),
    ],
)
def test_bad_row_is_named_by_file_and_line(tmp_path: Path, rows: list[str], message: str) -> None:
    path = write(tmp_path, *rows)
    with pytest.raises(InputError) as caught:
        list(read_serving_runs(path))
    assert str(caught.value).startswith(f"{path}, {message}")


def test_unreadable_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_serving_runs(tmp_path / "nowhere.csv"))
    with pytest.raises(InputError, match=r"line 1: no column 'run_id'.*did you mean 'runid'"):
        list(read_serving_runs(write(tmp_path, header="runid,model,gpu\n")))
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress((HEADER + ROW * 99).encode())[:-12])
    with pytest.raises(InputError):
        list(read_serving_runs(cut))


def energy_j_per_token(run: ImportedRun) -> float:
    (value,) = [item.value for item in run.result.metrics if item.name == "energy_j_per_token"]
    assert value is not None
    return value


def test_energy_of_a_token_is_measured_power_over_measured_throughput(tmp_path: Path) -> None:
    runs = list(read_serving_runs(write_published_runs(tmp_path)))
    assert len(runs) == 11
    assert {run.result.checks[0].verdict for run in runs} == {"pass"}
    assert energy_j_per_token(runs[0]) == pytest.approx(287.3 / 4042)


@pytest.mark.slow
@needs_shared_data(SERVING_RUNS.name)
def test_measured_runs_of_two_studies_are_read_whole() -> None:
    runs = {run.origin_id: run for run in read_serving_runs(SERVING_RUNS)}
    assert len(runs) == 766
    assert sum(run.result.checks[0].verdict == "fail" for run in runs.values()) == 766 - 640
    energy = {
        run.config["backend"]["max_num_seqs"]: energy_j_per_token(run)
        for run in runs.values()
        if run.result.facts["family"] == "background" and run.config["model"]["name"] == "opt-1.3b"
    }
    # science note on small models, §2: gross J per total token of OPT-1.3B
    assert energy[1] == pytest.approx(0.672, rel=0.01)
    assert energy[256] == pytest.approx(0.031, rel=0.02)
