"""Nsight Systems: exports become time by class, host gaps and counters."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.contracts import Result
from framework.errors import InputError
from framework_metrics.nsight.exports.nsys_export import NsysExport, read_export
from framework_metrics.nsight.importer import read_nsight
from framework_metrics.nsight.kernel_classes import kernel_class
from framework_metrics.nsight.results import read_profile
from framework_metrics.nsight.timeline import HOST_GAP, analyse
from tests.framework_metrics.nsight_exports import (
    ATTENTION,
    MATMUL,
    NORM,
    Trace,
    decode_trace,
    write_parquet,
    write_sqlite,
)


def values(result: Result) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in result.metrics}


@pytest.fixture
def decode_export(tmp_path: Path) -> Path:
    return write_sqlite(decode_trace(), tmp_path / "decode.sqlite")


def test_metrics_are_shares_of_the_decode_ranges_where_the_trace_marks_them(decode_export: Path) -> None:
    found = values(read_profile(decode_export))
    assert found["nsight_window_s"] == pytest.approx(20e-3)
    assert found["nsight_attention_share"] == pytest.approx(0.30)
    assert found["nsight_matmul_share"] == pytest.approx(0.20)
    assert found["nsight_elementwise_share"] == pytest.approx(0.10)
    assert found["nsight_memcpy_share"] == pytest.approx(0.05)
    assert found["nsight_other_share"] == 0.0
    assert found["nsight_host_gap_share"] == pytest.approx(0.35)


def test_table_holds_every_phase_and_shares_add_up_to_the_whole(decode_export: Path) -> None:
    rows = read_profile(decode_export).tables["gpu_time"].to_pylist()
    by_phase: dict[str, dict[str, float]] = {}
    for row in rows:
        by_phase.setdefault(row["phase"], {})[row["kind"]] = row["share"]
    assert list(by_phase) == ["all", "decode", "prefill"]
    for shares in by_phase.values():
        assert sum(shares.values()) == pytest.approx(1.0)
    assert by_phase["prefill"] == {"matmul": pytest.approx(0.9), HOST_GAP: pytest.approx(0.1)}


def test_a_trace_without_ranges_is_one_phase_from_first_to_last_work(tmp_path: Path) -> None:
    trace = Trace(kernels=[(5, 6, ATTENTION), (8, 9, MATMUL)])
    result = read_profile(write_sqlite(trace, tmp_path / "plain.sqlite"))
    assert values(result)["nsight_window_s"] == pytest.approx(4e-3)
    assert values(result)["nsight_host_gap_share"] == pytest.approx(0.5)
    assert {metric.source for metric in result.metrics} == {"nsys"}


def test_overlapping_kernels_are_busy_once(tmp_path: Path) -> None:
    trace = Trace(kernels=[(0, 4, ATTENTION), (1, 3, MATMUL), (2, 6, NORM), (9, 10, NORM)])
    phase = analyse(read_export(write_sqlite(trace, tmp_path / "streams.sqlite"))).phases[0]
    assert phase.busy_s == pytest.approx(7e-3)
    assert phase.seconds == pytest.approx({"attention": 4e-3, "matmul": 2e-3, "elementwise": 5e-3})


def test_each_device_has_its_own_window(tmp_path: Path) -> None:
    trace = Trace(kernels=[(0, 1, MATMUL, 0), (3, 4, MATMUL, 0), (2, 3, MATMUL, 1), (5, 6, MATMUL, 1)])
    phase = analyse(read_export(write_sqlite(trace, tmp_path / "two.sqlite"))).phases[0]
    assert [phase.window_s, phase.busy_s] == pytest.approx([8e-3, 4e-3])


def test_ranges_of_one_name_that_nest_count_once(tmp_path: Path) -> None:
    trace = Trace(
        kernels=[(0, 10, MATMUL)],
        ranges=[(0, 4, "decode 1"), (1, 2, "decode inner"), (4, 6, "decode 2"), (8, 8, "decode empty")],
    )
    phase = analyse(read_export(write_sqlite(trace, tmp_path / "nested.sqlite"))).phase("decode")
    assert phase is not None
    assert [phase.window_s, phase.busy_s] == pytest.approx([6e-3, 6e-3])


def test_counters_are_means_over_the_time_with_work_and_samples(decode_export: Path) -> None:
    result = read_profile(decode_export)
    found = {metric.name: metric for metric in result.metrics}
    assert found["nsight_dram_read_pct"].value == pytest.approx(60)
    assert found["nsight_dram_write_pct"].value == pytest.approx(10)
    assert found["nsight_warps_in_flight_pct"].value == pytest.approx(12)
    assert found["nsight_sm_active_pct"].value == pytest.approx(80)
    assert found["nsight_dram_read_pct"].updates == 20
    tensor = found["nsight_tensor_active_pct"]
    assert tensor.value is None
    assert "no such GPU metric" in (tensor.reason or "")
    samples = result.tables["samples"].to_pylist()
    assert {row["name"] for row in samples} == {name for name in found if name.endswith("_pct")} - {
        tensor.name
    }
    assert min(row["t_s"] for row in samples) == pytest.approx(0.0)


def test_parquet_and_sqlite_exports_say_the_same(decode_export: Path, tmp_path: Path) -> None:
    from_sqlite = read_profile(decode_export)
    from_parquet = read_profile(write_parquet(decode_export, tmp_path / "decode_pqtdir"))
    assert values(from_parquet) == values(from_sqlite)
    assert from_parquet.tables["gpu_kernels"].equals(from_sqlite.tables["gpu_kernels"])


def test_whole_graphs_are_a_class_of_their_own_with_a_warning(tmp_path: Path) -> None:
    file = write_sqlite(Trace(kernels=[(0, 1, MATMUL)]), tmp_path / "graphs.sqlite")
    with sqlite3.connect(file) as connection:
        connection.execute(
            "CREATE TABLE CUPTI_ACTIVITY_KIND_GRAPH_TRACE "
            "(start INTEGER, end INTEGER, deviceId INTEGER, graphId INTEGER)"
        )
        connection.execute("INSERT INTO CUPTI_ACTIVITY_KIND_GRAPH_TRACE VALUES (1000000, 4000000, 0, 1)")
    result = read_profile(file)
    assert {row["kind"]: row["share"] for row in result.tables["gpu_time"].to_pylist()}["cuda_graph"] == 0.75
    (check,) = result.checks
    assert check.verdict == "warn"
    assert "75%" in check.detail
    assert "--cuda-graph-trace=node" in check.detail


def test_time_in_kernels_of_no_known_class_is_a_warning_that_names_the_largest(tmp_path: Path) -> None:
    trace = Trace(kernels=[(0, 1, MATMUL), (1, 2, "mystery_kernel"), (2, 2.1, "riddle_kernel")])
    (check,) = read_profile(write_sqlite(trace, tmp_path / "other.sqlite")).checks
    assert (check.name, check.verdict) == ("nsight_other", "warn")
    assert "mystery_kernel" in check.detail


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 100), st.integers(1, 30), st.sampled_from([ATTENTION, MATMUL, NORM, "mystery"])
        ),
        min_size=1,
        max_size=12,
    )
)
def test_busy_time_is_the_union_of_the_kernels_whatever_their_order(
    drawn: list[tuple[int, int, str]],
) -> None:
    import pyarrow as pa

    covered = {tick for start, length, _ in drawn for tick in range(start, start + length)}
    work = pa.table(
        {
            "start_ns": [start for start, _, _ in drawn],
            "end_ns": [start + length for start, length, _ in drawn],
            "device": [0] * len(drawn),
            "source": ["CUPTI_ACTIVITY_KIND_KERNEL"] * len(drawn),
            "name": [name for _, _, name in drawn],
        }
    )
    ranges = pa.table(
        {
            "start_ns": pa.array([], pa.int64()),
            "end_ns": pa.array([], pa.int64()),
            "text": pa.array([], pa.string()),
        }
    )
    counters = pa.table(
        {
            "time_ns": pa.array([], pa.int64()),
            "device": pa.array([], pa.int64()),
            "name": pa.array([], pa.string()),
            "value": pa.array([], pa.float64()),
        }
    )
    phase = analyse(NsysExport(work, ranges, counters, {}, "")).phases[0]
    assert phase.busy_s == pytest.approx(len(covered) / 1e9)
    assert phase.window_s == pytest.approx((max(covered) + 1 - min(covered)) / 1e9)
    assert sum(phase.seconds.values()) == pytest.approx(sum(length for _, length, _ in drawn) / 1e9)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (ATTENTION, "attention"),
        (
            "void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<>>>(T1::Params)",
            "attention",
        ),
        (
            "void vllm::paged_attention_v1_kernel<unsigned short, unsigned short, 80, 16, 128>(unsigned short *)",
            "attention",
        ),
        (
            "fmha_cutlassF_f16_aligned_64x64_rf_sm80(PyTorchMemEffAttention::AttentionKernel<>::Params)",
            "attention",
        ),
        ("void flashinfer::BatchDecodeWithPagedKVCacheKernel<(flashinfer::PosEncodingMode)0>()", "attention"),
        ("BatchPrefillWithPagedKVCacheKernel", "attention"),
        ("kernel_unified_attention_2d", "attention"),
        ("_fwd_grouped_kernel_stage1", "attention"),
        (MATMUL, "matmul"),
        ("ampere_fp16_s16816gemm_fp16_128x64_ldg8_relu_f2f_stages_64x3_tn", "matmul"),
        (
            "void gemv2T_kernel_val<int, int, __half, __half, __half, float, 128>(cublasGemvParamsEx)",
            "matmul",
        ),
        (
            "void cublasLt::splitKreduce_kernel<32, 16, int, __half>(cublasLt::cublasSplitKParams<__half>)",
            "matmul",
        ),
        ("void gemvNSP_kernel<__half, __half, __half, float, 1, 32, 4, 1024>", "matmul"),
        ("nvjet_hsh_64x8_64x16_4x1_v_bz_TNT", "matmul"),
        (
            "void cutlass::Kernel2<cutlass_80_tensorop_f16_s16816gemm_relu_f16_64x64_64x6_tn_align8>(T1::Params)",
            "matmul",
        ),
        ("void vllm::reshape_and_cache_flash_kernel<unsigned short>(unsigned short const *)", "kv_cache"),
        (NORM, "elementwise"),
        ("void vllm::act_and_mul_kernel<c10::BFloat16, silu_kernel>(T1 *, const T1 *, int)", "elementwise"),
        ("void vllm::rotary_embedding_kernel<c10::BFloat16, true>(long const *)", "elementwise"),
        ("triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_3", "elementwise"),
        ("triton_poi_fused_mul_silu_slice_1", "elementwise"),
        ("void at::native::vectorized_elementwise_kernel<4, CUDAFunctor_add<c10::Half>>()", "elementwise"),
        ("void at::native::reduce_kernel<512, 1, ReduceOp<float, ArgMaxOps<float>>>()", "sampling"),
        ("void at::native::cunn_SoftMaxForward<4, float, float, float>()", "sampling"),
        ("TopPSamplingFromProbKernel", "sampling"),
        ("ncclDevKernel_AllReduce_Sum_f16_RING_LL(ncclDevKernelArgsStorage<4096>)", "communication"),
        ("void vllm::cross_device_reduce_1stage<__half, 2>(RankData *)", "communication"),
        ("_lora_shrink_kernel", "adapters"),
        ("void something_else(int)", "other"),
    ],
)
def test_kernels_are_classed_by_what_dominates_their_time(name: str, kind: str) -> None:
    assert kernel_class(name) == kind


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x00" * (len(data) - 4096)
    path.write_bytes(data)


def without(table: str) -> Callable[[Path], None]:
    def drop(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute(f"DROP TABLE {table}")

    return drop


def sql(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            connection.executescript(statement)

    return change


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_text("not a database"), "is not a SQLite database"),
        (lambda path: path.write_bytes(b""), "is not a SQLite database"),
        (damaged, "damaged SQLite database"),
        (without("StringIds"), "no table StringIds"),
        (without("CUPTI_ACTIVITY_KIND_KERNEL"), "contains no GPU work"),
        (sql("DELETE FROM CUPTI_ACTIVITY_KIND_KERNEL"), "contains no GPU work"),
        (sql("ALTER TABLE CUPTI_ACTIVITY_KIND_KERNEL RENAME COLUMN end TO stop"), "has no column 'end'"),
        (sql("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET start = 'soon'"), "is not a whole number"),
    ],
)
def test_a_file_that_is_no_whole_export_is_one_line(
    tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    file = write_sqlite(Trace(kernels=[(0, 1, MATMUL)]), tmp_path / "trace.sqlite")
    spoil(file)
    with pytest.raises(InputError) as caught:
        list(read_nsight(file))
    assert str(caught.value).startswith(str(file))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_foreign_folders_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_nsight(tmp_path / "nowhere.sqlite"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"without \.parquet files"):
        list(read_nsight(tmp_path / "folder"))
    (tmp_path / "folder" / "StringIds.parquet").write_text("no parquet")
    with pytest.raises(InputError, match=r"StringIds\.parquet"):
        list(read_nsight(tmp_path / "folder"))


def test_a_report_of_the_tool_itself_names_the_command_that_exports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    for name, command in (
        ("a.nsys-rep", "nsys export --type=sqlite a.nsys-rep"),
        ("b.ncu-rep", "--page raw --import b.ncu-rep"),
    ):
        (tmp_path / name).write_bytes(b"binary")
        with pytest.raises(InputError, match=command):
            list(read_nsight(tmp_path / name))


def test_an_imported_profile_is_a_run_named_by_its_content(decode_export: Path, tmp_path: Path) -> None:
    (first,) = read_nsight(decode_export)
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(decode_export.read_bytes())
    (second,) = read_nsight(copy)
    assert first.origin_id == second.origin_id
    assert (first.experiment, first.backend) == ("import:nsight", "recorded")
    assert first.config["gpu"] == {"name": "NVIDIA H100"}
    assert first.result.facts["phases"] == ["all", "decode", "prefill"]
