from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from framework.errors import InputError
from framework_hadoop.executions.disks import DiskLayout, disk_layout
from framework_hadoop.executions.execution_files import read_executions
from framework_hadoop.executions.execution_table import from_arrow, to_arrow
from tests.framework_hadoop.aloja_files import HEADINGS, execution, executions, write
from tests.support.measured_data import MEASURED_DATA, needs_shared_data


def test_none_is_a_codec_and_an_empty_cell_is_missing(tmp_path: Path) -> None:
    rows = [
        execution(1, Comp="None"),
        execution(2, Comp="0"),
        execution(3, Comp=""),
        execution(4, Comp="NULL"),
    ]

    codec = read_executions(write(tmp_path / "runs.csv", rows)).columns["codec"].tolist()

    assert codec == ["none", "none", None, None]


def test_block_size_zero_is_missing_and_a_provider_is_one_level_however_written(tmp_path: Path) -> None:
    rows = [execution(1, **{"Blk.size": "0", "Provider": "On-Premise"}), execution(2, Provider="On-premise")]

    found = read_executions(write(tmp_path / "runs.csv", rows))

    assert np.isnan(found.columns["block_size_mb"][0])
    assert found.columns["provider"].tolist() == ["on-premise", "on-premise"]


def test_an_odd_cell_is_missing_and_noted_with_its_row_and_refused_when_strict(tmp_path: Path) -> None:
    file = write(tmp_path / "runs.csv", [execution(1), execution(2, Maps="many")])

    found = read_executions(file)

    assert np.isnan(found.columns["map_slots"][1])
    assert [str(cell) for cell in found.odd] == ["row 2: column 'Maps' holds 'many'"]
    with pytest.raises(
        InputError, match=r"runs\.csv: row 2: column 'Maps' holds 'many', not a positive number"
    ):
        read_executions(file, strict=True)


def test_unknown_codes_and_absent_columns_are_no_errors(tmp_path: Path) -> None:
    headings = [name for name in HEADINGS if name != "VM.RAM"]
    found = read_executions(write(tmp_path / "runs.csv", [execution(1, Disk="NVME9", Comp="7")], headings))

    assert found.columns["disk"].tolist() == ["NVME9"]
    assert found.columns["codec"].tolist() == ["7"]
    assert found.absent == ("memory_per_node_gb",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a readable CSV table"),
        ("a,b\n1,2\n", "no column 'Benchmark'"),
        ("Benchmark,Exe.Time\nsort,1\nsort,1,2\n", r"row 2 has 3 cells instead of 2"),
        ("Benchmark,Benchmark\nsort,sort\n", "is in the header twice"),
        ("Benchmark,Exe.Time\n", "contains no execution"),
    ],
)
def test_a_file_that_is_no_table_of_executions_gives_one_line_with_its_name(
    tmp_path: Path, text: str, reason: str
) -> None:
    file = tmp_path / "odd.csv"
    file.write_text(text)

    with pytest.raises(InputError, match=reason) as caught:
        read_executions(file)

    assert "odd.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_is_opened_by_what_it_holds_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "runs.csv.gz").write_text("Benchmark,Exe.Time\nsort,1\n")
    (tmp_path / "utf16.csv").write_bytes("Benchmark,Exe.Time\nsort,1\n".encode("utf-16"))
    (tmp_path / "torn.csv").write_bytes(gzip.compress(b"Benchmark,Exe.Time\nsort,1\n")[:-6])

    assert read_executions(tmp_path / "runs.csv.gz").time_s.tolist() == [1.0]
    assert read_executions(tmp_path / "utf16.csv").time_s.tolist() == [1.0]
    for name in ("nowhere.csv", "torn.csv"):
        with pytest.raises(InputError, match=name):
            read_executions(tmp_path / name)


def test_the_names_of_alojas_database_and_of_its_old_exports_are_read(tmp_path: Path) -> None:
    file = tmp_path / "dump.csv"
    file.write_text(
        "id_exec,id_cluster,bench,exe_time,net,disk,maps,iosf,replication,iofilebuf,comp,blk_size,valid\n"
        "1,2,terasort,1366,ETH,HDD,8,10,1,65536,Cmp0,64,1\n"
    )
    found = read_executions(file, strict=True)
    row = {name: values.tolist()[0] for name, values in found.columns.items()}
    assert (row["execution_id"], row["cluster"], row["benchmark"], row["exe_time_s"]) == (
        "1",
        "2",
        "terasort",
        1366.0,
    )
    assert (row["io_sort_factor"], row["replication"], row["block_size_mb"], row["codec"]) == (
        10,
        1,
        64,
        "none",
    )
    assert (list(found.own), list(found.facts)) == ([], ["valid"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Benchmark;Exe.Time\nsort;120,5\n", 120.5),
        ("Benchmark;Exe.Time\nsort;1.120,5\n", 1120.5),
        ("Benchmark\tExe.Time\nsort\t120.5\n", 120.5),
        ("benchmark,EXE_TIME\nsort,120.5\n", 120.5),
        ("Benchmark;Exe.Time\nsort;1,205\ngrep;2,5\n", 1.205),
        ("Benchmark;Exe.Time\nsort;1,205\n", None),
        ("Benchmark;Exe.Time\nsort;2,5\ngrep;2.5\n", None),
        ('Benchmark,Exe.Time\nsort,"120,5"\n', None),
        ("Benchmark,benchmark\nsort,sort\n", None),
    ],
)
def test_decimal_marks_are_read_by_evidence_or_refused(
    tmp_path: Path, text: str, expected: float | None
) -> None:
    file = tmp_path / "runs.csv"
    file.write_text(text)
    if expected is None:
        with pytest.raises(InputError, match=r"runs\.csv"):
            read_executions(file, strict=True)
    else:
        assert read_executions(file, strict=True).time_s[0] == expected


def test_a_column_with_another_text_in_each_row_is_a_fact_and_told(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    lines = [f"sort,{10 + row},node{row}-{row},{row % 2}" for row in range(12)]
    file.write_text("\n".join(["Benchmark,Exe.Time,log,Executors", *lines]))
    found = read_executions(file)
    assert (list(found.own), list(found.facts)) == (["backend.executors"], ["log"])
    assert any("log" in note for note in found.notes)


def test_own_columns_of_training_rows_are_asked_of_test_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Benchmark,Exe.Time,Executors\nsort,1,4\n")
    (tmp_path / "b.csv").write_text("Benchmark,Exe.Time,Other\nsort,1,4\n")
    known, asked = read_executions(tmp_path / "a.csv"), read_executions(tmp_path / "b.csv")
    assert list(asked.like(known).own) == ["backend.executors"]
    assert np.isnan(asked.like(known).columns["backend.executors"][0])
    assert "backend.other" not in asked.like(known).columns


def test_executions_survive_the_way_through_arrow(tmp_path: Path) -> None:
    found = read_executions(write(tmp_path / "runs.csv", [*executions(5), execution(9, Maps="", Comp="")]))

    back = from_arrow(to_arrow(found))

    for name, values in found.columns.items():
        np.testing.assert_array_equal(back.columns[name], values)


def test_a_compressed_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    plain = write(tmp_path / "runs.csv", executions(3))
    (tmp_path / "runs.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))

    assert read_executions(tmp_path / "runs.csv.gz").time_s.tolist() == read_executions(plain).time_s.tolist()


@pytest.mark.parametrize(
    ("code", "layout"),
    [
        ("HDD", DiskLayout(0, 0, 1, "local")),
        ("HD4", DiskLayout(0, 0, 4, "local")),
        ("SSD", DiskLayout(0, 1, 0, "ssd")),
        ("SS2", DiskLayout(0, 2, 0, "ssd")),
        ("RL3", DiskLayout(3, 0, 1, "local")),
        ("RR6", DiskLayout(6, 0, 0, "remote")),
        ("HS5", DiskLayout(0, 1, 5, "ssd")),
        ("RS3", DiskLayout(3, 1, 0, "ssd")),
        ("NVME9", None),
        (None, None),
    ],
)
def test_disk_codes_say_how_many_volumes_of_which_kind(code: str | None, layout: DiskLayout | None) -> None:
    assert disk_layout(code) == layout


def test_a_whole_file_of_the_documented_columns_holds_no_odd_cell(tmp_path: Path) -> None:
    found = read_executions(write(tmp_path / "runs.csv", executions(200)), strict=True)

    assert len(found) == 200
    assert found.finished.all()


@needs_shared_data("aloja_executions_dev.csv.gz")
def test_the_published_executions_hold_no_odd_cell() -> None:
    found = read_executions(MEASURED_DATA / "aloja_executions_dev.csv.gz", strict=True)

    assert len(found) == 22_058
    assert found.finished.all()
