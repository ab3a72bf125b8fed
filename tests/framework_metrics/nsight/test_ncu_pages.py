"""Pages of Nsight Compute with commas, texts before them, empty cells, two families of counters."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from framework.errors import InputError
from framework_metrics.nsight.kernel_classes import kernel_class
from framework_metrics.nsight.results import read_profile
from tests.framework_metrics.nsight_exports import decode_trace, write_sqlite
from tests.support.damaged_files import damaged

HEAD = (
    '"ID","Process ID","Host Name","Kernel Name","Device","CC","gpu__time_duration.sum","dram__bytes_read.sum",'
    '"dram__bytes_write.sum","smsp__sass_thread_inst_executed_op_fadd_pred_on.sum",'
    '"gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed"\n'
)


def page(units: str, *cells: str) -> str:
    quoted = ["".join(f',"{cell}"' for cell in row.split("|")) for row in cells]
    unit_row = '"","","","","",""' + "".join(f',"{unit}"' for unit in units.split("|")) + "\n"
    rows = "".join(f'"{number}","1","h","gemv_kernel","0","9.0"{row}\n' for number, row in enumerate(quoted))
    return HEAD + unit_row + rows


GOOD = page("us|Mbyte|Kbyte|inst|%", "10.00|8.000000|500.000|1,000,000|45.00")


def dram(text: str, folder: Path) -> float | str:
    file = folder / "page.csv"
    file.write_text(text)
    metric = next(item for item in read_profile(file).metrics if item.name == "nsight_matmul_dram_tb_s")
    return metric.value if metric.value is not None else str(metric.reason)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        page("us|Mbyte|Kbyte|inst|%", "10,00|8,000000|500,000|1.000.000|45,00"),
        page("us|Mbyte|Kbyte|inst|%", "10,00|8,000000|500,000|1 000 000|45,00"),
        page("nsecond|byte|byte|inst|%", "10,000|8,000,000|500,000|1,000,000|45.00"),
        "==PROF== Connected\nstep 1 loss 2.3\n" + GOOD,
    ],
)
def test_the_same_launch_in_any_notation_has_the_same_rate(text: str, tmp_path: Path) -> None:
    assert dram(text, tmp_path) == pytest.approx(0.85)


def test_the_details_page_gives_what_it_contains(tmp_path: Path) -> None:
    head = '"ID","Process ID","Host Name","Kernel Name","CC","Section Name","Metric Name","Metric Unit","Metric Value"\n'  # noqa: E501
    rows = (
        ("Duration", "us", "10.00"),
        ("DRAM Throughput", "%", "45.00"),
        ("Memory Throughput", "Gbyte/s", "850.00"),
    )
    rows += (("Memory Throughput", "%", "45.00"), ("L2 Hit Rate", "%", "71.5"))
    text = head + "".join(f'"0","1","h","gemv_kernel","9.0","s","{a}","{b}","{c}"\n' for a, b, c in rows)
    assert dram(text, tmp_path) == pytest.approx(0.85)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("45.00", "4500"), "is 4500 %, more than the whole"),
        (GOOD.replace("8.000000", "80000000.0"), "TB/s, which no memory has"),
        (GOOD.replace("10.00", "10,00"), "point .* and with a comma"),
        (GOOD.replace(',"45.00"', ""), "10 values for 11 columns"),
        (GOOD.replace('"dram__bytes_write.sum"', '"dram__bytes_read.sum"'), "is in the header twice"),
        (page("us|Mbyte|Kbyte|inst|%", "10|8|1,234|1|45"), "thousands or a decimal comma"),
    ],
)
def test_impossible_and_ambiguous_values_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        dram(text, tmp_path)


def test_tables_of_newer_exports_have_their_version_behind_the_name(tmp_path: Path) -> None:
    plain = write_sqlite(decode_trace(), tmp_path / "plain.sqlite")
    newer = write_sqlite(decode_trace(), tmp_path / "newer.sqlite")
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("ALTER TABLE NVTX_EVENTS RENAME TO NVTX_EVENTS_V3")
        connection.commit()
    found = [{item.name: item.value for item in read_profile(file).metrics} for file in (plain, newer)]
    assert found[0] == found[1]


def test_a_launch_without_a_value_is_the_reason_and_not_a_missing_column(tmp_path: Path) -> None:
    text = page("us|Mbyte|Kbyte|inst|%", "10.00|8.0|500.5|1|45.00", "10.00|n/a|500.5|1|45.00")
    assert dram(text, tmp_path) == "memory traffic has no value (n/a) in 1 of 2 launches"


def test_tensor_operations_counted_by_source_and_by_instruction_are_counted_once(tmp_path: Path) -> None:
    names = (
        "sm__ops_path_tensor_src_bf16_dst_fp32.sum",
        "sm__ops_path_tensor_op_hgmma_src_bf16_dst_fp32_sparsity_off.sum",
    )
    file = tmp_path / "page.csv"
    file.write_text(
        f'"ID","Kernel Name","gpu__time_duration.sum","dram__bytes_read.sum","dram__bytes_write.sum","{names[0]}","{names[1]}"\n'  # noqa: E501
        '"","","us","Mbyte","Mbyte","",""\n"0","nvjet_tst","10.00","10.0","0.0","1,000,000,000","1,000,000,000"\n'
    )
    values = {item.name: item.value for item in read_profile(file).metrics}
    assert values["nsight_matmul_tflops"] == pytest.approx(100)
    assert values["nsight_matmul_flop_per_byte"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("void at::native::upsample_bilinear2d_out_frame<float>", "elementwise"),
        ("void at::native::grid_sampler_2d_kernel<float>", "elementwise"),
        ("cudnn::cnn::conv2d_grouped_direct_kernel", "convolution"),
        ("void wgrad2d_grouped_direct_kernel", "convolution"),
        ("void implicit_convolve_sgemm<float>", "convolution"),
        ("void adam_fused_kernel", "optimizer"),
        ("void hadamard_transform", "elementwise"),
        ("top_p_sampling_kernel", "sampling"),
        ("void convert_fp8_kernel_copy", "elementwise"),
    ],
)
def test_kernels_beyond_language_models_have_a_class(name: str, kind: str) -> None:
    assert kernel_class(name) == kind


def mutations_end_well(folder: Path, count: int) -> None:
    draw = random.Random(7)
    data = GOOD.encode()
    for _ in range(count):
        changed = damaged(data, draw, 60)
        file = folder / "page.csv"
        file.write_bytes(changed)
        with suppress(InputError):
            assert all(item.value is None or item.value >= 0 for item in read_profile(file).metrics)


def test_a_damaged_page_ends_in_numbers_or_in_one_line(tmp_path: Path) -> None:
    mutations_end_well(tmp_path, 60)


@pytest.mark.slow
def test_two_thousand_damaged_pages_end_in_numbers_or_in_one_line(tmp_path: Path) -> None:
    mutations_end_well(tmp_path, 2000)
