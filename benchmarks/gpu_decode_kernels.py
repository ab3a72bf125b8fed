"""Attention and matrix products over batch and context, timed on a GPU with PyTorch alone; random values.

    python benchmarks/gpu_decode_kernels.py [--model opt-1.3b] [--out kernels.csv] [--device cuda|cpu] [--once]

For one layer of the model: attention of one query token a request over its cached keys and values (PyTorch's
scaled_dot_product_attention), causal attention over whole prompts (`--kinds prefill`), and the four kinds of matrix
products of the layer for a batch of tokens. Each point: warm-up, then as many calls as fill `--seconds`, timed by
CUDA events around all of them; a working set larger than the L2 cache is cycled through, so that keys, values and
weights come from memory as they do in an engine. Operations and bytes follow from the shapes: bytes are the least
that must move. In addition to the time the joules of NVML's energy counter, where it ticks.

Prints a table with arithmetic intensity, TFLOP/s, TB/s and the share of the roofs, and with `--out` writes it as CSV
in the layout of `ncu --csv --page raw`, which `python -m framework import nsight FILE` reads. `--once` calls every
point once, for `ncu` around it. `--device cpu` is a smoke test of the script: its numbers say nothing about a GPU.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
CONTEXTS = (330, 1024, 2048)
PREFILL_LENGTHS = (512, 2048, 8192)
KINDS = ("decode", "matmul", "prefill")
_CYCLED_BYTES = 256 * 2**20
"""Larger than any L2 cache: what one call left there is gone when its turn comes again."""
_SHAPES: dict[str, tuple[int, int, int, int]] = {
    # hidden, heads, kv_heads, intermediate (conf/model/*.yaml); this script runs where the framework is not installed
    "opt-125m": (768, 12, 12, 3072),
    "opt-1.3b": (2048, 32, 32, 8192),
    "opt-2.7b": (2560, 32, 32, 10240),
    "llama-2-7b": (4096, 32, 32, 11008),
    "llama-2-13b": (5120, 40, 40, 13824),
    "llama-3.1-8b": (4096, 32, 8, 14336),
}


@dataclass(frozen=True)
class Point:
    """One measured point.

    Attributes:
        kernel: what was called, with its shape.
        flops, bytes: of one call, from the shape.
        seconds: of one call.
        joules: of one call by the energy counter; None where it did not tick or there is none.
        calls: calls behind it.
    """

    kernel: str
    flops: float
    bytes: float
    seconds: float
    joules: float | None
    calls: int


@dataclass(frozen=True)
class Work:
    """A kernel to call: `copies` distinct operands are cycled through."""

    kernel: str
    flops: float
    bytes: float
    copies: int
    call: Callable[[int], object]


def attention_work(
    torch: Any,
    device: torch.device,
    dtype: torch.dtype,
    shape: tuple[int, int, int, int],
    batch: int,
    context: int,
) -> Work:
    """Return decode attention of a batch at one context length."""
    hidden, heads, kv_heads, _ = shape
    size = hidden // heads
    width = torch.finfo(dtype).bits // 8
    cache_bytes = 2 * batch * kv_heads * context * size * width
    copies = max(1, _CYCLED_BYTES // cache_bytes)
    query = torch.randn(batch, heads, 1, size, device=device, dtype=dtype)
    keys = [torch.randn(batch, kv_heads, context, size, device=device, dtype=dtype) for _ in range(copies)]
    values = [torch.randn_like(key) for key in keys]
    grouped = heads != kv_heads

    def call(turn: int) -> object:
        return torch.nn.functional.scaled_dot_product_attention(
            query, keys[turn % copies], values[turn % copies], **({"enable_gqa": True} if grouped else {})
        )

    flops = 4.0 * batch * heads * context * size
    return Work(f"decode_attention_b{batch}_c{context}", flops, cache_bytes, copies, call)


def prefill_work(
    torch: Any, device: torch.device, dtype: torch.dtype, shape: tuple[int, int, int, int], length: int
) -> Work:
    """Return causal attention over a whole prompt of one request."""
    hidden, heads, kv_heads, _ = shape
    size = hidden // heads
    width = torch.finfo(dtype).bits // 8
    moved = 2 * (heads + kv_heads) * length * size * width  # queries in and out, keys and values
    copies = max(1, min(64, _CYCLED_BYTES // moved))
    queries = [torch.randn(1, heads, length, size, device=device, dtype=dtype) for _ in range(copies)]
    key = torch.randn(1, kv_heads, length, size, device=device, dtype=dtype)
    value = torch.randn_like(key)
    grouped = heads != kv_heads

    def call(turn: int) -> object:
        return torch.nn.functional.scaled_dot_product_attention(
            queries[turn % copies], key, value, is_causal=True, **({"enable_gqa": True} if grouped else {})
        )

    return Work(f"prefill_attention_c{length}", 2.0 * heads * length**2 * size, moved, copies, call)


def product_work(
    torch: Any, device: torch.device, dtype: torch.dtype, rows: int, columns: int, batch: int, name: str
) -> Work:
    """Return a product of `batch` tokens with a (columns × rows) matrix."""
    width = torch.finfo(dtype).bits // 8
    weight_bytes = rows * columns * width
    copies = max(1, _CYCLED_BYTES // weight_bytes)
    weights = [torch.randn(columns, rows, device=device, dtype=dtype) for _ in range(copies)]
    tokens = torch.randn(batch, columns, device=device, dtype=dtype)

    def call(turn: int) -> object:
        return tokens @ weights[turn % copies]

    moved = weight_bytes + batch * (rows + columns) * width
    return Work(f"matmul_{name}_b{batch}", 2.0 * batch * rows * columns, moved, copies, call)


def works(torch: Any, device: torch.device, model: str, wanted: argparse.Namespace) -> Iterator[Work]:
    """Yield every kernel of the sweep."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    shape = _SHAPES[model]
    hidden, heads, kv_heads, intermediate = shape
    kv_width = kv_heads * (hidden // heads)
    products = (
        ("qkv", hidden + 2 * kv_width, hidden),
        ("out", hidden, hidden),
        ("up", intermediate, hidden),
        ("down", hidden, intermediate),
    )
    for batch in wanted.batches:
        for name, rows, columns in products if "matmul" in wanted.kinds else ():
            yield product_work(torch, device, dtype, rows, columns, batch, name)
        for context in wanted.contexts if "decode" in wanted.kinds else ():
            yield attention_work(torch, device, dtype, shape, batch, context)
    for length in wanted.prefill_lengths if "prefill" in wanted.kinds else ():
        yield prefill_work(torch, device, dtype, shape, length)


def measure(
    torch: Any, device: torch.device, work: Work, seconds: float, energy: Callable[[], float | None]
) -> Point:
    """Time a kernel: warm up, guess how many calls fill the time, then time them all together."""
    clock = _cuda_seconds if device.type == "cuda" else _cpu_seconds
    clock(torch, work, max(3, min(work.copies, 50)))
    once = clock(torch, work, 10) / 10
    calls = max(10, round(seconds / max(once, 1e-7)))
    before = energy()
    elapsed = clock(torch, work, calls)
    after = energy()
    joules = (after - before) / calls if before is not None and after is not None and after > before else None
    return Point(work.kernel, work.flops, work.bytes, elapsed / calls, joules, calls)


def _cuda_seconds(torch: Any, work: Work, calls: int) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    for turn in range(calls):
        work.call(turn)
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


def _cpu_seconds(torch: Any, work: Work, calls: int) -> float:
    begin = time.perf_counter()
    for turn in range(calls):
        work.call(turn)
    return time.perf_counter() - begin


def energy_counter(device: torch.device) -> Callable[[], float | None]:
    """Return a reader of the GPU's energy since driver load, joules; one that returns None where there is none."""
    if device.type != "cuda":
        return lambda: None
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(device.index or 0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception as error:  # no library, no driver, not supported: the sweep goes on without joules
        print(f"no energy counter: {error}", file=sys.stderr)
        return lambda: None
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3


def print_point(point: Point, bandwidth_tb_s: float | None, tflops: float | None) -> None:
    """Print one line: time, intensity, rates, and the larger of the two shares of the roofs."""
    rate, traffic = point.flops / point.seconds / 1e12, point.bytes / point.seconds / 1e12
    shares = [rate / tflops if tflops else 0.0, traffic / bandwidth_tb_s if bandwidth_tb_s else 0.0]
    roof = f"{100 * max(shares):6.1f} %" if any(shares) else "     –  "
    joules = f"{1e3 * point.joules:9.3f}" if point.joules is not None else "        –"
    print(
        f"{point.kernel:28} {1e6 * point.seconds:10.1f} µs {point.flops / point.bytes:8.2f} FLOP/B "
        f"{rate:8.2f} TFLOP/s {traffic:7.3f} TB/s {roof} {joules} mJ"
    )


def write_raw_page(points: Sequence[Point], path: Path, device_name: str) -> None:
    """Write the points in the layout of `ncu --csv --page raw`; operations stand under the tensor cores' counter."""
    columns = {
        "gpu__time_duration.sum": "usecond",
        "dram__bytes.sum": "byte",
        "sm__ops_path_tensor_from_shapes.sum": "",
        "energy_per_call": "joule",
    }
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
        writer.writerow(["ID", "Kernel Name", "device__attribute_display_name", "CC", *columns])
        writer.writerow(["", "", "", "", *columns.values()])
        for number, point in enumerate(points):
            values = [
                1e6 * point.seconds,
                point.bytes,
                point.flops,
                "" if point.joules is None else point.joules,
            ]
            writer.writerow([number, point.kernel, device_name, "", *values])


def main() -> None:
    """Run the sweep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=sorted(_SHAPES), default="opt-1.3b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--contexts", type=int, nargs="+", default=list(CONTEXTS))
    parser.add_argument("--prefill-lengths", type=int, nargs="+", default=list(PREFILL_LENGTHS))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["decode", "matmul"])
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="time of each point; 5 s for the energy counter"
    )
    parser.add_argument("--bandwidth-tb-s", type=float, help="the GPU's peak, for shares of the roof")
    parser.add_argument("--tflops", type=float, help="the GPU's dense 16-bit peak")
    parser.add_argument(
        "--once", action="store_true", help="call every kernel once and print nothing: for ncu"
    )
    parser.add_argument("--out", type=Path, help="CSV that `import nsight` reads")
    wanted = parser.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("gpu_decode_kernels: needs PyTorch in this interpreter")
    if wanted.device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu_decode_kernels: PyTorch sees no GPU; --device cpu is a smoke test")
    device = torch.device(wanted.device, 0) if wanted.device == "cuda" else torch.device("cpu")
    name = torch.cuda.get_device_name(0) if wanted.device == "cuda" else "CPU (smoke test, no measurement)"
    energy = energy_counter(device)
    points = []
    for work in works(torch, device, wanted.model, wanted):
        if wanted.once:
            work.call(0)
            continue
        points.append(measure(torch, device, work, wanted.seconds, energy))
        print_point(points[-1], wanted.bandwidth_tb_s, wanted.tflops)
    if wanted.out and points:
        write_raw_page(points, wanted.out, name)
        print(f"{wanted.out}: python -m framework import nsight {wanted.out}")


if __name__ == "__main__":
    main()
