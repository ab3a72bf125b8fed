"""Nsight Compute: the raw page becomes arithmetic intensity, rates, hit rates and stalls."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.contracts import Metric
from framework.errors import InputError
from framework_metrics.nsight.exports.ncu_csv import read_launches
from framework_metrics.nsight.launch_counters import by_class, dram_peak_tb_s, flops
from framework_metrics.nsight.results import read_profile
from tests.framework_metrics.nsight_exports import ATTENTION, MATMUL, NCU_COLUMNS, decode_kernels, ncu_raw

CUDA_CORES_ONLY = tuple(column for column in NCU_COLUMNS if "tensor" not in column[0])


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "decode.csv"
    path.write_text(ncu_raw(decode_kernels()))
    return path


def metrics(path: Path) -> dict[str, Metric]:
    return {metric.name: metric for metric in read_profile(path).metrics}


def test_units_of_the_second_row_are_brought_to_base_units(raw: Path) -> None:
    launches = read_launches(raw)
    assert [launch.duration_s for launch in launches] == pytest.approx([100e-6, 100e-6, 50.5e-6])
    assert launches[0].values["dram__bytes_read.sum"] == pytest.approx(150e6)
    assert launches[2].values["dram__bytes_write.sum"] == pytest.approx(500e3)
    assert launches[0].values["smsp__cycles_elapsed.avg.per_second"] == pytest.approx(1.5e9)


def test_intensity_counts_fused_operations_twice_and_rates_a_cycle_over_the_cycles(raw: Path) -> None:
    found = metrics(raw)
    assert found["nsight_attention_flop_per_byte"].value == pytest.approx(2.0)
    assert found["nsight_attention_tflops"].value == pytest.approx(3.0)
    assert found["nsight_attention_dram_tb_s"].value == pytest.approx(1.5)
    assert found["nsight_attention_flop_per_byte"].updates == 2


def test_tensor_operations_are_counted_once_though_listed_by_source_and_by_both_types(raw: Path) -> None:
    found = metrics(raw)
    assert found["nsight_matmul_tflops"].value == pytest.approx(12e9 / 50.5e-6 / 1e12)
    assert found["nsight_matmul_flop_per_byte"].value == pytest.approx(12e9 / 75.5e6)


def test_l1_and_l2_are_not_exchanged_and_stalls_are_shares_of_waiting(raw: Path) -> None:
    found = metrics(raw)
    assert found["nsight_matmul_l1_hit_pct"].value == pytest.approx(5)
    assert found["nsight_matmul_l2_hit_pct"].value == pytest.approx(40)
    assert found["nsight_attention_memory_stall_share"].value == pytest.approx(6 / 9)
    assert next(iter(by_class(read_launches(raw))[0].stalls)) == "long_scoreboard"


def test_peak_bandwidth_follows_from_rate_and_share(raw: Path) -> None:
    assert dram_peak_tb_s(read_launches(raw)) == pytest.approx(1.5 / 0.92)


def test_product_whose_tensor_operations_were_not_counted_has_no_intensity_instead_of_a_small_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cores.csv"
    rows = [(kernel, [*values[:7], *values[9:]]) for kernel, values in decode_kernels()]
    path.write_text(ncu_raw(rows, CUDA_CORES_ONLY))
    assert flops(read_launches(path)[2]) is None
    found = metrics(path)["nsight_matmul_flop_per_byte"]
    assert found.value is None
    assert "operations of the tensor cores were not counted" in (found.reason or "")
    assert metrics(path)["nsight_matmul_dram_tb_s"].value == pytest.approx(75.5e6 / 50.5e-6 / 1e12)


def test_elementwise_kernel_has_an_intensity_without_any_tensor_counter(tmp_path: Path) -> None:
    path = tmp_path / "cores.csv"
    values = decode_kernels()[0][1]
    path.write_text(ncu_raw([("vectorized_elementwise_kernel", [*values[:7], *values[9:]])], CUDA_CORES_ONLY))
    assert flops(read_launches(path)[0]) == pytest.approx(3e8)


def test_a_class_that_was_not_profiled_is_absent_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "attention.csv"
    path.write_text(ncu_raw([row for row in decode_kernels() if row[0] == ATTENTION]))
    found = metrics(path)["nsight_matmul_tflops"]
    assert (found.value, found.reason) == (None, "no matmul kernel among the profiled launches")


def test_table_has_one_row_a_kernel_with_its_launches(raw: Path) -> None:
    rows = read_profile(raw).tables["gpu_kernel_counters"].to_pylist()
    assert [(row["kind"], row["name"], row["launches"]) for row in rows] == [
        ("attention", ATTENTION, 2),
        ("matmul", MATMUL, 1),
    ]
    assert rows[0]["duration_us"] == pytest.approx(100)
    assert rows[0]["stall_reason"] == "long_scoreboard"


def test_values_that_are_no_numbers_are_missing_and_never_zero(tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    kernel, values = decode_kernels()[0]
    path.write_text(ncu_raw([(kernel, ["100", "n/a", "", "nan", *values[4:]])]))
    launch = read_launches(path)[0]
    assert "dram__bytes_read.sum" not in launch.values
    found = metrics(path)["nsight_attention_dram_tb_s"]
    assert found.value is None
    assert "memory traffic has no value" in (found.reason or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'Kernel Name'"),
        (
            "==PROF== Connected\n==ERROR== The application returned an error code (1).\n",
            "no column 'Kernel Name'",
        ),
        ("a,b,c\n1,2,3\n", "no column 'Kernel Name'"),
        (
            '"ID","Kernel Name","Section Name","Metric Name","Metric Unit","Metric Value"\n',
            "contains no kernel",
        ),
        ('"ID","Kernel Name","dram__bytes.sum"\n"","","byte"\n', "no column 'gpu__time_duration.sum'"),
        ('"ID","Kernel Name","gpu__time_duration.sum"\n"0","gemm","5"\n', "no row of units"),
        ('"ID","Kernel Name","gpu__time_duration.sum"\n"","",""\n"0","gemm","5"\n', "has no unit"),
        ('"ID","Kernel Name","gpu__time_duration.sum"\n"","","ns"\n', "contains no kernel"),
        (
            '"ID","Kernel Name","gpu__time_duration.sum"\n"","","ns"\n"0","gemm","soon"\n',
            "kernel 1: 'gpu__time_duration.sum'",
        ),
        (
            '"ID","Kernel Name","gpu__time_duration.sum"\n"","","ns"\n"0","gemm"\n',
            "kernel 1: 2 values for 3 columns",
        ),
    ],
)
def test_a_page_that_can_not_be_read_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "page.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_profile(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_binary_file_named_csv_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "page.csv"
    path.write_bytes(b"\x00\xff\xfe\x80")
    with pytest.raises(InputError, match=r"can't be read|no column|not a text"):
        read_profile(path)
