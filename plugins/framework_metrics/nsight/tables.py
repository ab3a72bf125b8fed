"""Schemas of the tables that a profiled run holds."""

from __future__ import annotations

import pyarrow as pa

_TEXT, _REAL, _WHOLE = pa.string(), pa.float64(), pa.int64()


def gpu_time() -> pa.Schema:
    """Time by phase and class of kernel; the row `host gap` is the time without work on the GPU."""
    return pa.schema([("phase", _TEXT), ("kind", _TEXT), ("time_s", _REAL), ("share", _REAL)])


def gpu_kernels() -> pa.Schema:
    """Kernels by name, the longest of the whole trace."""
    return pa.schema(
        [
            ("phase", _TEXT),
            ("kind", _TEXT),
            ("name", _TEXT),
            ("calls", _WHOLE),
            ("total_s", _REAL),
            ("mean_us", _REAL),
            ("share", _REAL),
        ]
    )


def kernel_counters() -> pa.Schema:
    """Hardware counters of profiled kernels, all launches of a name taken together."""
    return pa.schema(
        [
            ("kind", _TEXT),
            ("name", _TEXT),
            ("launches", _WHOLE),
            ("duration_us", _REAL),
            ("flops", _REAL),
            ("dram_bytes", _REAL),
            ("flop_per_byte", _REAL),
            ("tflops", _REAL),
            ("dram_tb_s", _REAL),
            ("dram_pct", _REAL),
            ("l1_hit_pct", _REAL),
            ("l2_hit_pct", _REAL),
            ("stall_reason", _TEXT),
            ("stall_share", _REAL),
        ]
    )
