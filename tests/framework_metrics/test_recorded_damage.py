"""Recorded series as they really come: cut off, from two hosts, with empty fields, other units, commas, restarts."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from framework.contracts import ImportedRun
from framework.errors import InputError
from framework.run.importing import import_files
from framework.store.database.reader import Store
from framework_metrics.recorded_series.columns import read_gpu_series
from framework_metrics.recorded_series.dmon import read_dmon
from framework_metrics.recorded_series.smi_query import read_smi_query
from tests.support.damaged_files import damaged

READERS: dict[str, Callable[..., object]] = {
    "smi": read_smi_query,
    "dmon": read_dmon,
    "series": read_gpu_series,
}


def read(kind: str, text: str, folder: Path, **options: str) -> ImportedRun:
    file = folder / "recorded.txt"
    file.write_text(text)
    (run,) = READERS[kind](file, **options)  # type: ignore[misc, attr-defined]
    return run  # type: ignore[no-any-return]


def value(run: ImportedRun, name: str) -> float | None:
    return next(metric.value for metric in run.result.metrics if metric.name == name)


def remarks(run: ImportedRun) -> str:
    return "; ".join(check.detail for check in run.result.checks if check.name == "recorded_series")


def smi(rows: str, fields: str = "index, power.draw [W], utilization.gpu [%]") -> str:
    return f"timestamp, {fields}\n{rows}"


def seconds(count: int, cells: str) -> str:
    return "".join(f"2025/03/01 10:00:{at:02}.000, {cells}\n" for at in range(count))


def test_gpus_of_two_hosts_have_one_index_and_are_two(tmp_path: Path) -> None:
    rows = "".join(
        f"2025/03/01 10:00:{at:02}.00{place}, 0, {uuid}, {watts} W, 90 %\n"
        for at in range(30)
        for place, (uuid, watts) in enumerate((("GPU-a", 100), ("GPU-b", 300)))
    )
    run = read("smi", smi(rows, "index, uuid, power.draw [W], utilization.gpu [%]"), tmp_path)
    assert value(run, "energy_j") == pytest.approx(29 * 400, rel=1e-3)
    assert len(run.result.facts["gpus"]) == 2  # type: ignore[arg-type]


def test_a_field_that_is_only_named_gives_way_to_one_with_values(tmp_path: Path) -> None:
    text = smi(
        seconds(30, "0, [N/A], 101.00 W, 90 %"),
        "index, power.draw.instant [W], power.draw [W], utilization.gpu [%]",
    )
    run = read("smi", text, tmp_path)
    assert value(run, "energy_j") == pytest.approx(29 * 101)


@pytest.mark.parametrize(
    "last",
    [
        "2025/03/01 10:00:05.000, 0, 62.",
        "2025/03/01 10:00:05.000, 0",
        "Unable to determine the device handle for GPU0\n",
    ],
)
def test_a_last_line_that_was_cut_off_is_left_out_with_a_remark(tmp_path: Path, last: str) -> None:
    run = read("smi", smi(seconds(5, "0, 60.00 W, 90 %") + last), tmp_path)
    assert value(run, "energy_j") == pytest.approx(240)
    assert "was cut off and is left out" in remarks(run)


def test_cut_off_rows_of_dmon_and_of_series_are_left_out_too(tmp_path: Path) -> None:
    header = "# gpu pwr gtemp sm\n# Idx W C %\n"
    run = read("dmon", header + "0 100 32 50\n0 100 32 50\n0 100 32 50\n0 300 42", tmp_path)
    assert value(run, "energy_j") == pytest.approx(200)
    run = read("series", "time_s,gpu_power_w\n0,100\n1,100\n2,100\n3,10", tmp_path)
    assert value(run, "energy_j") == pytest.approx(200)


def test_a_clock_set_back_at_the_end_of_summer_time_goes_on(tmp_path: Path) -> None:
    times = ("02:59:58", "02:59:59", "02:00:00", "02:00:01")
    run = read("smi", smi("".join(f"2025/10/26 {time}.000, 0, 60 W, 0 %\n" for time in times)), tmp_path)
    assert value(run, "energy_j") == pytest.approx(180)
    assert "end of summer time" in remarks(run)


def test_semicolons_with_decimal_commas_are_read_and_a_comma_that_could_be_both_is_refused(
    tmp_path: Path,
) -> None:
    rows = "".join(f'"2025/03/01 10:00:{at:02}.000";"0";"100,50 W";"90 %"\n' for at in range(5))
    head = '"timestamp";"index";"power.draw [W]";"utilization.gpu [%]"\n'
    assert value(read("smi", head + rows, tmp_path), "energy_j") == pytest.approx(402)
    with pytest.raises(InputError, match=r"line 2"):
        read("smi", head + rows.replace("100,50", "1,234,50"), tmp_path)
    with pytest.raises(InputError, match=r"line 2: 5 values under 4 fields"):
        read("smi", smi(seconds(3, "0, 60,50 W, 90 %")), tmp_path)


def test_a_second_reading_at_one_time_is_left_out_with_a_remark(tmp_path: Path) -> None:
    rows = "".join(
        f"{at},{energy}\n" for at, energy in ((0, 0), (1, 100), (1, 130), (2, 200), (3, 300), (4, 400))
    )
    run = read("series", "time_s,gpu_energy_counter_j\n" + rows, tmp_path)
    assert value(run, "energy_j") == pytest.approx(400)
    assert "1 readings at the time of the one before are left out" in remarks(run)
    still = read("series", "time_s,gpu_power_w,running\n" + "5,100,1\n" * 4, tmp_path)
    assert value(still, "energy_j") is None
    assert value(still, "energy_busy_j") is None


def test_iso_times_with_and_without_a_zone_are_read(tmp_path: Path) -> None:
    rows = "2025-03-01T10:00:00.000+01:00, 0, 60 W, 0 %\n2025-03-01T09:00:01.000Z, 0, 60 W, 0 %\n"
    assert value(read("smi", smi(rows), tmp_path), "energy_j") == pytest.approx(60)


def test_the_interval_of_dmon_and_the_grid_are_given_at_the_door(tmp_path: Path) -> None:
    file = tmp_path / "dmon.log"
    file.write_text("# gpu pwr\n# Idx W\n" + "0 100\n" * 11)
    import_files([str(file), "interval_s=5", "grid=FRA"], str(tmp_path / "o"))
    _, rows = Store(tmp_path / "o").rows(
        "SELECT name, value FROM metrics WHERE name IN ('energy_j', 'carbon_g') ORDER BY 1"
    )
    assert rows[1] == ("energy_j", 5000.0)
    assert rows[0][1] == pytest.approx(5000 / 3.6e6 * 56.0, rel=0.01)
    for wrong in ("interval_s=0", "grid=XXX", "grid=-1"):
        with pytest.raises(InputError):
            import_files([str(file), wrong], str(tmp_path / "p"))


def burst(first: int, last: int, end: int) -> str:
    rows, tokens = [], 0
    for at in range(end):
        busy = first <= at < last
        tokens += 150 if busy else 0
        rows.append(f"{at},{400 if busy else 60},{int(busy)},0,{tokens}\n")
    return "time_s,gpu_power_w,requests_running,prompt_tokens_total,generation_tokens_total\n" + "".join(rows)


@pytest.mark.parametrize(("first", "last", "end"), [(10, 15, 25), (10, 50, 60)])
def test_energy_while_busy_counts_the_edges_and_its_bounds_cover_them(
    tmp_path: Path, first: int, last: int, end: int
) -> None:
    run = read("series", burst(first, last, end), tmp_path)
    true_j = 400 * (last - first)
    energy = next(metric for metric in run.result.metrics if metric.name == "energy_busy_j")
    per_token = next(metric for metric in run.result.metrics if metric.name == "energy_j_per_token")
    assert energy.value == pytest.approx(true_j)
    assert (energy.low or 0) < true_j < (energy.high or 0)
    assert per_token.value == pytest.approx(400 / 150)
    assert value(run, "energy_above_idle_j") == pytest.approx(true_j - 60 * (last - first))


def test_a_counter_that_starts_again_goes_on_and_says_so(tmp_path: Path) -> None:
    counted = [1000, 1200, 1400, 1600, 0, 200, 400, 600, 800, 1000, 1200, 1400, 1600]
    rows = "".join(f"{at},{joules}\n" for at, joules in enumerate(counted))
    run = read("series", "time_s,gpu_energy_counter_j\n" + rows, tmp_path)
    assert value(run, "energy_j") == pytest.approx(600 + 1600, rel=0.2)
    assert "starts again" in remarks(run)


def test_units_in_column_names_are_converted_and_a_date_is_no_offset(tmp_path: Path) -> None:
    rows = "".join(f"{1_700_000_000_000 + 1000 * at},200000\n" for at in range(6))
    run = read("series", "time_ms,gpu_power_mw\n" + rows, tmp_path)
    assert value(run, "energy_j") == pytest.approx(1000)
    samples = run.result.tables["samples"].column("t_s").to_pylist()
    assert (min(samples), max(samples)) == (0, 5)
    slow = read("series", "time_s,gpu_power_w\n" + "".join(f"{1000 * at},200\n" for at in range(6)), tmp_path)
    assert "another unit" in remarks(slow)


def test_a_copy_under_another_name_or_packed_is_the_same_run(tmp_path: Path) -> None:
    import gzip

    text = "time_s,gpu_power_w\n0,100\n1,100\n"
    first = read("series", text, tmp_path)
    other = tmp_path / "other.csv"
    other.write_bytes(gzip.compress(text.encode()))
    (again,) = read_gpu_series(other)
    assert first.origin_id == again.origin_id


GOOD = {
    "smi": smi(seconds(12, "0, 60.00 W, 90 %")),
    "dmon": "# gpu pwr gtemp sm\n# Idx W C %\n" + "0 100 32 50\n" * 12,
    "series": burst(3, 8, 12),
}


def mutations_end_well(kind: str, folder: Path, count: int) -> None:
    draw = random.Random(kind)
    data = GOOD[kind].encode()
    file = folder / "mutated"
    for _ in range(count):
        changed = damaged(data, draw, 60)
        file.write_bytes(changed)
        with suppress(InputError):
            (run,) = READERS[kind](file)  # type: ignore[misc, attr-defined]
            assert (value(run, "energy_j") or 0) >= 0


@pytest.mark.parametrize("kind", GOOD)
def test_a_damaged_series_ends_in_numbers_or_in_one_line(kind: str, tmp_path: Path) -> None:
    mutations_end_well(kind, tmp_path, 30)


@pytest.mark.slow
@pytest.mark.parametrize("kind", GOOD)
def test_two_thousand_damaged_series_end_in_numbers_or_in_one_line(kind: str, tmp_path: Path) -> None:
    mutations_end_well(kind, tmp_path, 2000)
