"""Series recorded elsewhere: the formats of nvidia-smi, our own columns, and all that can be wrong with them."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from framework.contracts import ImportedRun
from framework.errors import InputError
from framework_metrics.recorded_series.columns import read_gpu_series
from framework_metrics.recorded_series.dmon import read_dmon
from framework_metrics.recorded_series.smi_query import read_smi_query
from tests.framework_metrics.results import metric, sampled, verdict
from tests.support.measured_data import MEASURED_DATA, needs_shared_data

RECORDED = sorted((MEASURED_DATA / "timeseries").glob("*.csv.gz"))

DMON = """\
# gpu    pwr  gtemp  mtemp     sm    mem   mclk   pclk
# Idx      W      C      C      %      %    MHz    MHz
    0    100     45      -     90     40   1593   1980
    1    300     50     60     10      -   1593   1605
    0    200     46      -     90     40   1593   1980
    1    300     51     60     10      0   1593   1605
# gpu    pwr  gtemp  mtemp     sm    mem   mclk   pclk
# Idx      W      C      C      %      %    MHz    MHz
    0    100     45      -     90     40   1593   1980
    1    300     50     60     10      -   1593   1605
"""

TIMED = """\
#Date       Time        gpu    pwr     sm
#YYYYMMDD   HH:MM:SS    Idx      W      %
 20240305   23:59:58      0    100     50
 20240306   00:00:00      0    200     50
 20240306   00:00:04      0    200     50
"""

QUERY = (
    "timestamp, index, uuid, name, power.draw [W], power.draw.instant [W], utilization.gpu [%], "
    "clocks.current.sm [MHz], temperature.memory, clocks_event_reasons.active\n"
    """\
2024/03/05 13:45:12.000, 0, GPU-a, NVIDIA H100, 90.00 W, 100.00 W, 35 %, 1980 MHz, N/A, 0x0000000000000004
2024/03/05 13:45:12.003, 1, GPU-b, NVIDIA H100, 90.00 W, 50.00 W, 0 %, 345 MHz, N/A, 0x0000000000000001
2024/03/05 13:45:14.000, 0, GPU-a, NVIDIA H100, 95.00 W, 300.00 W, 99 %, 1980 MHz, N/A, 0x0000000000000000
2024/03/05 13:45:14.003, 1, GPU-b, NVIDIA H100, 95.00 W, [N/A], [N/A], [Not Supported], N/A, 0x0000000000000001
2024/03/05 13:45:16.000, 0, GPU-a, NVIDIA H100, 95.00 W, 300.00 W, 99 %, 1980 MHz, N/A, 0x0000000000000000
2024/03/05 13:45:16.003, 1, GPU-b, NVIDIA H100, 95.00 W, 50.00 W, 0 %, 345 MHz, N/A, 0x0000000000000001
"""
)


def _read(kind: str, text: str, folder: Path) -> ImportedRun:
    file = folder / "recorded.csv"
    file.write_text(text)
    readers = {"dmon": read_dmon, "nvidia-smi": read_smi_query, "gpu-series": read_gpu_series}
    (run,) = readers[kind](file)
    return run


def _independent_trapezoid_j(file: Path) -> float:
    """Energy of a recorded series by plain numpy, apart from everything that is tested here."""
    with gzip.open(file, "rt", newline="") as lines:
        rows = [
            (float(row["time_s"]), float(row["gpu_power_w"]))
            for row in csv.DictReader(lines)
            if row["gpu_power_w"]
        ]
    time_s, power_w = np.array(rows).T
    return float(np.trapezoid(power_w, time_s))


def _made_series(folder: Path) -> Path:
    """Five minutes at irregular times: 100 W idle, 300 W and 50 + 20 tokens a second for 200 s, idle again."""
    times = np.cumsum(np.random.default_rng(0).uniform(0.8, 1.2, 300))
    busy = (times >= 50) & (times < 250)
    busy_s = np.cumsum(np.where(busy[1:] & busy[:-1], np.diff(times), 0.0), dtype=float)
    rows = zip(times, np.where(busy, 8, 0), np.where(busy, 300, 100), np.r_[0, busy_s], strict=True)
    file = folder / "made.csv.gz"
    text = "time_s,requests_running,gpu_power_w,prompt_tokens_total,generation_tokens_total\n"
    text += "".join(f"{t},{running},{watts},{50 * done},{20 * done}\n" for t, running, watts, done in rows)
    file.write_bytes(gzip.compress(text.encode()))
    return file


def _check_energy(file: Path) -> None:
    (run,) = read_gpu_series(file)
    energy = metric(run.result, "energy_j")
    assert energy.value == pytest.approx(_independent_trapezoid_j(file), rel=1e-9)
    assert energy.low is not None
    assert energy.high is not None
    assert energy.low < (energy.value or 0) < energy.high < 1.05 * energy.low
    assert verdict(run.result, "energy_window")[0] == "pass"


def test_the_energy_of_a_made_series_is_its_trapezoid(tmp_path: Path) -> None:
    _check_energy(_made_series(tmp_path))


@needs_shared_data("timeseries")
@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.name)
def test_the_energy_of_a_recorded_run_is_its_trapezoid(file: Path) -> None:
    _check_energy(file)


def test_power_and_energy_per_token_count_only_the_time_in_which_something_ran(tmp_path: Path) -> None:
    (run,) = read_gpu_series(_made_series(tmp_path))
    assert metric(run.result, "power_busy_mean_w").value == pytest.approx(300)
    per_token = metric(run.result, "energy_j_per_token")
    assert per_token.value == pytest.approx(300 / 70, rel=0.01)
    assert (per_token.low or 0) <= 300 / 70 <= (per_token.high or 0)


@needs_shared_data("timeseries")
@pytest.mark.parametrize(
    ("run_id", "power_w", "j_per_token"),
    [  # measured_power_mean_w, and that over measured_total_tok_s, of serving_runs_calibration.csv.gz
        ("mg-197c9fd9", 287.27, 0.07107),
        ("mg-dc4c3745", 399.17, 0.11280),
        ("mg-69e7fe73", 516.89, 0.04294),
    ],
)
def test_power_and_energy_per_token_while_busy_agree_with_the_published_run(
    run_id: str, power_w: float, j_per_token: float
) -> None:
    (run,) = read_gpu_series(next(file for file in RECORDED if file.name.startswith(run_id)))
    assert metric(run.result, "power_busy_mean_w").value == pytest.approx(power_w, rel=0.015)
    per_token = metric(run.result, "energy_j_per_token")
    assert per_token.value == pytest.approx(j_per_token, rel=0.025)
    assert 0.985 * (per_token.low or 0) <= j_per_token <= (per_token.high or 0)


def test_dmon_rows_of_two_gpus_are_a_second_apart_where_no_time_is_told(tmp_path: Path) -> None:
    result = _read("dmon", DMON, tmp_path).result
    assert sampled(result, "gpu0_power_w") == ([0, 1, 2], [100, 200, 100])
    assert sampled(result, "gpu_power_w") == ([0, 1, 2], [400, 500, 400])
    assert metric(result, "energy_j").value == pytest.approx(2 * 150 + 2 * 300)
    assert sampled(result, "gpu1_memory_util_pct") == ([1], [0])
    assert sampled(result, "gpu0_memory_temperature_c") == ([], [])
    assert (
        verdict(result, "recorded_series")[1]
        == "no time in the rows: one second between them is assumed (interval_s=N sets it)"
    )


def test_dmon_time_runs_on_over_midnight_with_and_without_a_date(tmp_path: Path) -> None:
    for text in (TIMED, "\n".join(line[:1] + line[12:] for line in TIMED.splitlines())):
        result = _read("dmon", text, tmp_path).result
        assert sampled(result, "gpu_power_w") == ([0, 2, 6], [100, 200, 200])
        assert metric(result, "energy_j").value == pytest.approx(2 * 150 + 4 * 200)


def test_dmon_as_csv_reads_the_same(tmp_path: Path) -> None:
    text = "\n".join(", ".join(line.replace("# ", "#").split()) for line in DMON.splitlines())
    assert metric(_read("dmon", text, tmp_path).result, "energy_j").value == pytest.approx(900)


def test_a_query_prefers_instant_power_and_leaves_out_what_is_not_available(tmp_path: Path) -> None:
    result = _read("nvidia-smi", QUERY, tmp_path).result
    assert sampled(result, "gpu0_power_w") == ([0, 2, 4], [100, 300, 300])
    assert sampled(result, "gpu1_power_w")[1] == [50, 50]
    assert metric(result, "energy_j").value == pytest.approx(400 + 600 + 4 * 50, rel=1e-3)
    assert metric(result, "energy_j").source.startswith("nvidia-smi power.draw.instant")
    assert metric(result, "gpu_throttled_share").value == pytest.approx(1 / 6)
    assert metric(result, "gpu_memory_temperature_max_c").reason == "not in the recorded file"
    assert [gpu["uuid"] for gpu in result.facts["gpus"]] == ["GPU-a", "GPU-b"]


def test_a_query_without_units_reads_the_same(tmp_path: Path) -> None:
    text = QUERY.replace(" W,", ",").replace(" %,", ",").replace(" MHz,", ",")
    assert metric(_read("nvidia-smi", text, tmp_path).result, "energy_j").value == pytest.approx(
        1200, rel=1e-3
    )


def test_a_file_of_powershell_reads_the_same(tmp_path: Path) -> None:
    file = tmp_path / "windows.csv"
    file.write_bytes(QUERY.replace("\n", "\r\n").encode("utf-16"))
    (run,) = read_smi_query(file)
    assert metric(run.result, "energy_j").value == pytest.approx(1200, rel=1e-3)


def test_short_and_gappy_series_are_flagged_and_never_zero(tmp_path: Path) -> None:
    short = _read("gpu-series", "time_s,gpu_power_w\n0,100\n1,120\n", tmp_path).result
    assert metric(short, "energy_j").value == pytest.approx(110)
    assert verdict(short, "energy_window") == (
        "warn",
        "short: 2 sensor updates in 1 s (10 s would be sufficient)",
    )
    rows = [f"{t},100" for t in range(20)] + [f"{t},300" for t in range(60, 80)]
    gappy = _read("gpu-series", "time_s,gpu_power_w\n" + "\n".join(rows), tmp_path).result
    assert verdict(gappy, "energy_window") == ("warn", "gaps: no samples in 41 s of 79 s")
    energy = metric(gappy, "energy_j")
    assert energy.low is not None
    assert energy.high is not None
    assert energy.low <= 19 * 100 + 41 * 100 + 19 * 300
    assert energy.high >= 19 * 100 + 41 * 300 + 19 * 300


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("0,100", "only one sample"),
        ("0,\n1,", "not in the recorded file"),
        ("0,100\n1,100\n2,\n3,\n4,\n5,\n6,\n7,\n8,\n9,", "no samples in the last 8 s of 9 s"),
    ],
)
def test_a_series_that_can_not_tell_its_energy_says_why(tmp_path: Path, rows: str, reason: str) -> None:
    result = _read("gpu-series", f"time_s,gpu_power_w\n{rows}\n", tmp_path).result
    energy = metric(result, "energy_j")
    assert energy.value is None
    assert reason in (energy.reason or "")
    assert metric(result, "power_mean_w").value is None


def test_other_columns_become_series_under_our_names(tmp_path: Path) -> None:
    text = "time_s,gpu_power_w,requests_running,queue_ms\n0,1,2,3\n1,1,4,\n2,1,0,9\n"
    result = _read("gpu-series", text, tmp_path).result
    assert sampled(result, "running") == ([0, 1, 2], [2, 4, 0])
    assert sampled(result, "queue_ms") == ([0, 2], [3, 9])
    assert metric(result, "energy_busy_j").window_s == 1.5


def test_the_same_file_is_the_same_run_and_another_of_its_name_is_not(tmp_path: Path) -> None:
    first, again = (_read("gpu-series", "time_s,gpu_power_w\n0,1\n1,1\n", tmp_path) for _ in range(2))
    other = _read("gpu-series", "time_s,gpu_power_w\n0,1\n1,2\n", tmp_path)
    assert first.origin_id == again.origin_id != other.origin_id


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("gpu-series", "", "empty"),
        ("gpu-series", "times,gpu_power_w\n0,1\n", r"line 1: no column 'time_s' \(did you mean 'times'"),
        ("gpu-series", "time_s,gpu_powr_w\n0,1\n", r"no GPU series .*did you mean 'gpu_power_w'"),
        ("gpu-series", "time_s,gpu_power_w\n", "no row below the header"),
        (
            "gpu-series",
            "time_s,gpu_power_w\n0,1\n1,x\n",
            "line 3: gpu_power_w|line 3: power_w: 'x' is not a number",
        ),
        ("gpu-series", "time_s,gpu_power_w\n0,1\n1,-5\n", "line 3: power_w: -5 is outside 0 to 5000"),
        ("gpu-series", "time_s,gpu_power_w\n0,nan\n", "line 2: power_w: nan is outside"),
        ("gpu-series", "time_s,gpu_power_w\n0,1\n1,inf\n", "line 3: power_w: inf is outside"),
        ("gpu-series", "time_s,gpu_power_w\n5,1\n1,1\n", "line 3: time decreases, from 5 s to 1 s"),
        ("gpu-series", "time_s,gpu_power_w\n0,1,2\n", "line 2: 3 values under 2 columns"),
        (
            "gpu-series",
            "time_s,gpu_power_w,gpu_power_w\n0,1,2\n",
            "column 'gpu_power_w' appears more than once",
        ),
        ("gpu-series", "time_s,gpu_power_w\n,1\n", "line 2: time_s: '' is not a number"),
        ("gpu-series", "time_s,gpu_power_w\n0,1\0\n", "line 2: no text"),
        ("dmon", "", "no row of `nvidia-smi dmon`"),
        ("dmon", "hello\n", "line 1: no header of `nvidia-smi dmon`"),
        ("dmon", "# gpu abc\n# Idx x\n0 1\n", "line 1: no known column of dmon"),
        ("dmon", "# gpu pwr\n# Idx W\n0 1 2\n", "line 3: 3 values under 2 columns"),
        ("dmon", "# gpu pwr\n# Idx W\nx 1\n", "line 3: gpu: 'x' is not an index"),
        ("dmon", "# gpu pwr\n# Idx W\n0 warm\n", "line 3: power_w: 'warm' is not a number"),
        ("dmon", "#Time gpu pwr\n#H Idx W\n25:00:00 0 1\n", "line 3: time .* is not a date and time"),
        ("nvidia-smi", "", "no row of `nvidia-smi --query-gpu`"),
        ("nvidia-smi", "2024/03/05 13:45:12.000, 0, 90.00 W\n", "written with `noheader`"),
        ("nvidia-smi", "index, power.draw [W]\n0, 1 W\n", "line 1: no field 'timestamp'"),
        ("nvidia-smi", "time_s,power.drawn\n0,1\n", "import gpu-series"),
        (
            "nvidia-smi",
            "timestamp, power.draw [W]\nyesterday, 1 W\n",
            "line 2: timestamp 'yesterday' is not a date and time",
        ),
        (
            "nvidia-smi",
            "timestamp, power.draw [W]\n2024/03/05 13:45:12, hot\n",
            "line 2: power.draw: 'hot' is no",
        ),
        ("nvidia-smi", "timestamp, power.draw [W]\n2024/03/05 13:45:12, 5 PS\n", "unit 'PS' is not known"),
        ("nvidia-smi", "timestamp, power.draw [W]\n2024/03/05 13:45:12\n", "line 2: 1 values under 2 fields"),
    ],
)
def test_a_bad_file_is_one_line_that_names_file_and_row(
    tmp_path: Path, kind: str, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        _read(kind, text, tmp_path)
    assert "recorded.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["dmon", "nvidia-smi", "gpu-series"])
@pytest.mark.parametrize(
    ("own", "text"), [("dmon", DMON), ("nvidia-smi", QUERY), ("gpu-series", "time_s,gpu_power_w\n0,1\n1,1\n")]
)
def test_a_file_of_another_kind_says_which(tmp_path: Path, kind: str, own: str, text: str) -> None:
    if kind == own:
        assert metric(_read(kind, text, tmp_path).result, "energy_j").value
    else:
        with pytest.raises(InputError, match=f"`import {own} FILE` reads this"):
            _read(kind, text, tmp_path)


def test_a_torn_archive_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "torn.csv.gz"
    file.write_bytes(gzip.compress(b"time_s,gpu_power_w\n0,1\n" * 1000)[:40])
    with pytest.raises(InputError, match=r"torn\.csv\.gz: can't be read"):
        list(read_gpu_series(file))
