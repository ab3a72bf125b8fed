"""Small exports of the Nsight tools, made by us in the schema of the real ones.

Nsight Systems: tables and columns of `nsys export --type=sqlite` (user guide, SQLite schema reference): names are ids
into StringIds, times nanoseconds, NVTX event type 59 a push-pop range, the GPU in the low byte of a metric's typeId.
Nsight Compute: `ncu --csv --page raw`: messages, a header, a row of units, a row a launch.
"""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

MS = 1_000_000
TYPE_ID = 0x8000_0100

SCHEMA = """
CREATE TABLE META_DATA_EXPORT (name TEXT NOT NULL, value TEXT);
INSERT INTO META_DATA_EXPORT VALUES ('EXPORT_SCHEMA_VERSION', '3.13.2'), ('EXPORT_PRODUCT_VERSION',
    '2024.4.1.61');
CREATE TABLE StringIds (id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE TARGET_INFO_GPU (vmId INTEGER NOT NULL, id INTEGER NOT NULL, name TEXT, busLocation TEXT,
    totalMemory INTEGER, memoryBandwidth INTEGER, clockRate INTEGER, smCount INTEGER, smMajor INTEGER,
    smMinor INTEGER);
CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER
    NOT NULL, contextId INTEGER NOT NULL, streamId INTEGER NOT NULL, correlationId INTEGER, globalPid
    INTEGER, demangledName INTEGER NOT NULL, shortName INTEGER NOT NULL, mangledName INTEGER, launchType
    INTEGER, gridX INTEGER NOT NULL, gridY INTEGER NOT NULL, gridZ INTEGER NOT NULL, blockX INTEGER NOT
    NULL, blockY INTEGER NOT NULL, blockZ INTEGER NOT NULL, registersPerThread INTEGER NOT NULL,
    staticSharedMemory INTEGER NOT NULL, dynamicSharedMemory INTEGER NOT NULL, graphNodeId INTEGER);
CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY (start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER
    NOT NULL, contextId INTEGER NOT NULL, streamId INTEGER NOT NULL, correlationId INTEGER, globalPid
    INTEGER, bytes INTEGER NOT NULL, copyKind INTEGER NOT NULL);
CREATE TABLE NVTX_EVENTS (start INTEGER NOT NULL, end INTEGER, eventType INTEGER NOT NULL, rangeId
    INTEGER, category INTEGER, color INTEGER, text TEXT, globalTid INTEGER, endGlobalTid INTEGER, textId
    INTEGER, domainId INTEGER);
CREATE TABLE GPU_METRICS (timestamp INTEGER, typeId INTEGER NOT NULL, metricId INTEGER NOT NULL, value
    INTEGER NOT NULL);
CREATE TABLE TARGET_INFO_GPU_METRICS (typeId INTEGER NOT NULL, sourceId INTEGER NOT NULL, typeName TEXT
    NOT NULL, metricId INTEGER NOT NULL, metricName TEXT NOT NULL);
"""

ATTENTION = (
    "void flash::flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<(int)64, (int)64>>(flash::Flash_fwd_params)"
)
MATMUL = "sm90_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize64x64x64_warpgroupsize1x1x1_kernel__5x_cublas"
NORM = "void vllm::fused_add_rms_norm_kernel<c10::Half, (int)8>(T1 *, T1 *, const T1 *, float, int, int)"
COUNTER_NAMES = (
    "GPC Clock Frequency [MHz]",
    "SMs Active [Throughput %]",
    "Compute Warps in Flight [Throughput %]",
    "DRAM Read Bandwidth [Throughput %]",
    "DRAM Write Bandwidth [Throughput %]",
)


@dataclass
class Trace:
    """What an export is to hold; times in milliseconds.

    Attributes:
        kernels: (start, end, name) or (start, end, name, device).
        copies: (start, end).
        ranges: (start, end, text).
        counters: (time, index into COUNTER_NAMES, value).
    """

    kernels: Sequence[tuple[float, float, str] | tuple[float, float, str, int]] = ()
    copies: Sequence[tuple[float, float]] = ()
    ranges: Sequence[tuple[float, float, str]] = ()
    counters: Sequence[tuple[float, int, float]] = ()
    gpus: Sequence[str] = field(default_factory=lambda: ["NVIDIA H100"])


def write_sqlite(trace: Trace, path: Path) -> Path:
    """Write a trace as `nsys export --type=sqlite` does."""
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    strings: dict[str, int] = {}

    def string_id(text: str) -> int:
        return strings.setdefault(text, len(strings) + 1)

    for kernel in trace.kernels:
        start, end, name = kernel[:3]
        device = kernel[3] if len(kernel) == 4 else 0
        row = (ns(start), ns(end), device, 1, 7, 1, 1, string_id(name), string_id(name.partition("<")[0]))
        connection.execute(
            "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (?,?,?,?,?,?,?,?,?,NULL,1,1,1,1,128,1,1,64,0,0,NULL)",
            row,
        )
    connection.executemany(
        "INSERT INTO CUPTI_ACTIVITY_KIND_MEMCPY VALUES (?,?,0,1,7,1,1,4096,1)",
        [(ns(start), ns(end)) for start, end in trace.copies],
    )
    for number, (start, end, text) in enumerate(trace.ranges):  # some texts inline, some as ids, as nsys does
        inline = (text, None) if number % 2 else (None, string_id(text))
        connection.execute(
            "INSERT INTO NVTX_EVENTS VALUES (?,?,59,NULL,0,0,?,1,NULL,?,0)", (ns(start), ns(end), *inline)
        )
    connection.execute("INSERT INTO NVTX_EVENTS VALUES (1,NULL,75,NULL,0,0,'NCCL',1,NULL,NULL,0)")
    connection.executemany(
        "INSERT INTO TARGET_INFO_GPU_METRICS VALUES (?, 0, 'GA100', ?, ?)",
        [(TYPE_ID, number, name) for number, name in enumerate(COUNTER_NAMES)],
    )
    connection.executemany(
        "INSERT INTO GPU_METRICS VALUES (?, ?, ?, ?)",
        [(ns(time), TYPE_ID, number, value) for time, number, value in trace.counters],
    )
    connection.executemany(
        "INSERT INTO TARGET_INFO_GPU VALUES (0, ?, ?, '0000:01:00.0', 0, 0, 0, 132, 9, 0)",
        list(enumerate(trace.gpus)),
    )
    connection.executemany("INSERT INTO StringIds (value, id) VALUES (?, ?)", list(strings.items()))
    connection.commit()
    connection.close()
    return path


def write_parquet(sqlite_file: Path, folder: Path) -> Path:
    """Write the tables of a SQLite export as `nsys export --type=parquetdir` does: one file a table that has rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    connection = sqlite3.connect(sqlite_file)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        cursor = connection.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
        if rows:
            pq.write_table(
                pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))),
                folder / f"{table}.parquet",
            )
    connection.close()
    return folder


def ns(milliseconds: float) -> int:
    return round(milliseconds * MS)


def decode_trace() -> Trace:
    """Two prefill and decode phases of 10 ms each with known shares.

    Each decode range of 10 ms: 3 ms attention, 2 ms matmul, 1 ms elementwise, 0.5 ms copy, the rest without work.
    Prefill: 9 ms matmul of 10.
    """
    kernels, copies, ranges = [], [], []
    for step, begin in enumerate((0.0, 20.0)):
        ranges += [
            (begin, begin + 10, f"prefill batch {8 * step}"),
            (begin + 10, begin + 20, f"decode batch {step}"),
        ]
        kernels += [
            (begin, begin + 9, MATMUL),
            (begin + 10, begin + 13, ATTENTION),
            (begin + 13, begin + 15, MATMUL),
            (begin + 15, begin + 16, NORM),
        ]
        copies.append((begin + 19.5, begin + 20))
    counters = [
        (time, number, value)
        for time in range(0, 40, 2)
        for number, value in ((3, 60), (4, 10), (2, 12), (1, 80))
    ]
    return Trace(kernels, copies, ranges, counters)


NCU_COLUMNS = (
    ("gpu__time_duration.sum", "usecond"),
    ("dram__bytes_read.sum", "Mbyte"),
    ("dram__bytes_write.sum", "Kbyte"),
    ("gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed", "%"),
    ("smsp__cycles_elapsed.avg.per_second", "cycle/nsecond"),
    ("smsp__sass_thread_inst_executed_op_ffma_pred_on.sum.per_cycle_elapsed", "inst/cycle"),
    ("smsp__sass_thread_inst_executed_op_fadd_pred_on.sum.per_cycle_elapsed", "inst/cycle"),
    ("sm__ops_path_tensor_src_fp16.sum", ""),
    ("sm__ops_path_tensor_src_fp16_dst_fp32.sum", ""),
    ("l1tex__t_sector_hit_rate.pct", "%"),
    ("lts__t_sector_hit_rate.pct", "%"),
    ("smsp__average_warps_issue_stalled_long_scoreboard_per_issue_active.ratio", "inst"),
    ("smsp__average_warps_issue_stalled_wait_per_issue_active.ratio", "inst"),
    ("smsp__average_warps_issue_stalled_selected_per_issue_active.ratio", "inst"),
)
_NCU_IDENTITY = (
    "ID", "Process ID", "Process Name", "Host Name", "Kernel Name", "Context", "Stream", "Block Size", "Grid Size",
    "Device", "CC",
)  # fmt: skip


def ncu_raw(
    rows: Sequence[tuple[str, Sequence[str]]], columns: Sequence[tuple[str, str]] = NCU_COLUMNS
) -> str:
    """Return the raw page of these launches: (kernel, values in the order of the columns)."""
    out = io.StringIO()
    out.write(
        "==PROF== Connected to process 4711 (/usr/bin/python3.11)\n==PROF== Disconnected from process 4711\n"
    )
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow([*_NCU_IDENTITY, *(name for name, _ in columns)])
    writer.writerow([*[""] * len(_NCU_IDENTITY), *(unit for _, unit in columns)])
    for number, (kernel, values) in enumerate(rows):
        identity = [
            number,
            4711,
            "python3.11",
            "127.0.0.1",
            kernel,
            1,
            7,
            "(128, 1, 1)",
            "(264, 1, 1)",
            0,
            "9.0",
        ]
        writer.writerow([*identity, *values])
    return out.getvalue()


def decode_kernels() -> list[tuple[str, Sequence[str]]]:
    """Two attention launches and a product.

    Attention, 100 µs each at 1.5 GHz: 150 MB, 900 fused operations and 200 additions a cycle, so 3e8 operations, 2 a
    byte. The product, 50.5 µs: 75.5 MB, 1.2e10 operations of the tensor cores, listed by source and by both types.
    """
    attention = ["100", "150", "0", "92", "1.5", "900", "200", "0", "0", "10", "1.5", "6", "3", "1"]
    product = [
        "50.5",
        "75",
        "500",
        "90",
        "1.5",
        "0",
        "0",
        "12,000,000,000",
        "12,000,000,000",
        "5",
        "40",
        "2",
        "2",
        "1",
    ]
    return [(ATTENTION, attention), (ATTENTION, attention), (MATMUL, product)]
