"""Traces of PyTorch's profiler (Kineto, Chrome's trace format): kernels, copies and annotated ranges of the GPUs.

An event with `ph: X` has a begin `ts` and a length `dur` in microseconds. `cat` says what it is: `kernel`,
`gpu_memcpy`, `gpu_memset`, or a range that the program marked (`gpu_user_annotation`, else `user_annotation`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from framework.errors import InputError
from framework.input_files.opening import opened_text
from framework_metrics.nsight.exports.nsys_export import KERNELS, NsysExport

_WORK = {
    "kernel": KERNELS,
    "gpu_memcpy": "CUPTI_ACTIVITY_KIND_MEMCPY",
    "gpu_memset": "CUPTI_ACTIVITY_KIND_MEMSET",
}
_RANGES = ("gpu_user_annotation", "user_annotation")


def read_kineto(path: Path) -> NsysExport:
    """Read a trace, compressed or not. Raises `InputError` for another file, or one that breaks off."""
    import pyarrow as pa

    try:
        with opened_text(path) as text:
            found = json.load(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON, or breaks off: {error}") from None
    events = found.get("traceEvents") if isinstance(found, dict) else None
    if not isinstance(events, list):
        raise InputError(f"{path}: no list 'traceEvents': not a trace of PyTorch's profiler")
    work: dict[str, list[Any]] = {key: [] for key in ("start_ns", "end_ns", "device", "source", "name")}
    ranges: dict[str, list[tuple[int, int, str]]] = {kind: [] for kind in _RANGES}
    for number, event in enumerate(events):
        if not isinstance(event, dict) or event.get("ph") != "X":
            continue
        kind = str(event.get("cat", "")).lower()
        if kind not in _WORK and kind not in ranges:
            continue
        try:
            begin, end = (
                round(1000 * float(event["ts"])),
                round(1000 * (float(event["ts"]) + float(event["dur"]))),
            )
            if end < begin:
                raise ValueError(f"lasts {event['dur']} µs")
            if kind in ranges:
                ranges[kind].append((begin, end, str(event["name"])))
                continue
            device = int((event.get("args") or {}).get("device", 0))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: event {number} ({kind}): {error}") from None
        for key, value in zip(work, (begin, end, device, _WORK[kind], str(event.get("name"))), strict=True):
            work[key].append(value)
    if not work["start_ns"]:
        raise InputError(f"{path}: contains no work of a GPU: was ProfilerActivity.CUDA traced?")
    marked = next((ranges[kind] for kind in _RANGES if ranges[kind]), [])
    whole = {key: pa.array(work[key], pa.int64()) for key in ("start_ns", "end_ns", "device")}
    begins, ends, texts = (list(column) for column in zip(*marked, strict=True)) if marked else ([], [], [])
    schema = pa.schema([("start_ns", pa.int64()), ("end_ns", pa.int64()), ("text", pa.string())])
    counters = pa.schema(
        [("time_ns", pa.int64()), ("device", pa.int64()), ("name", pa.string()), ("value", pa.float64())]
    )
    devices = found.get("deviceProperties") or []
    gpus = {int(item["id"]): str(item["name"]) for item in devices if {"id", "name"} <= set(item)}
    return NsysExport(
        pa.table({**whole, "source": work["source"], "name": work["name"]}),
        pa.table([begins, ends, texts], schema=schema),
        counters.empty_table(),
        gpus,
        f"schema {found.get('schemaVersion', '')}".strip(),
    )
