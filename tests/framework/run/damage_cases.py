"""Files of every importer, and what disks, editors, spreadsheets and hasty copies do to them."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from framework.contracts import ImportedRun, ImportedTable
from framework.errors import InputError
from framework.run.recognition import recognised
from tests.framework_hadoop.aloja_files import HEADINGS, executions

TESTS = Path(__file__).parents[2]
SERVING = TESTS / "framework_serving" / "result_files" / "files"
DATA = TESTS / "framework_hadoop" / "fixtures"


def _aloja() -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADINGS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(executions(8))
    return text.getvalue().encode()


def _rows(header: str, row: Callable[[int], str], count: int = 20) -> bytes:
    return (header + "".join(f"{row(at)}\n" for at in range(count))).encode()


FORMATS: dict[str, bytes] = {
    "vllm-bench": (SERVING / "vllm_0.6.3.json").read_bytes(),
    "sglang": (SERVING / "sglang_0.5.23.jsonl").read_bytes(),
    "guidellm": (SERVING / "guidellm_0.8.1.json").read_bytes(),
    "guidellm-csv": (SERVING / "guidellm_0.8.1.csv").read_bytes(),
    "aiperf-json": (SERVING / "aiperf_0.13.json").read_bytes(),
    "aiperf-csv": (SERVING / "aiperf_0.13.csv").read_bytes(),
    "inference-perf": (SERVING / "inference_perf_0.7_stage.json").read_bytes(),
    "llm-d": (SERVING / "llmd_0.2.yaml").read_bytes(),
    "jhist": (DATA / "succeeded.jhist").read_bytes(),
    "spark": (DATA / "pagerank.spark.jsonl").read_bytes(),
    "aloja": _aloja(),
    "hibench": b"Type Date Time Input_data_size Duration(s) Throughput(bytes/s) Throughput/node\n"
    b"HadoopWordcount 2024-05-02 10:11:12 3200000000 40.000 80000000 20000000\n"
    b"ScalaSparkTerasort 2024-05-02 10:21:12 32000000000 160.000 200000000 50000000\n",
    "nvidia-smi": _rows(
        "timestamp, index, power.draw [W], utilization.gpu [%]\n",
        lambda at: f"2025/03/01 10:00:{at:02}.000, 0, {100 + at}.00 W, 90 %",
    ),
    "dmon": _rows(
        "# gpu   pwr gtemp    sm\n# Idx     W     C     %\n", lambda at: f"    0   {100 + at}    40    90"
    ),
    "dcgmi": _rows("#Entity   POWER   GPUTL\nID          W\n", lambda at: f"GPU 0     {100 + at}.0   90"),
    "gpu-series": _rows("time_s,gpu_power_w,gpu_util_pct\n", lambda at: f"{at},{100 + at},90"),
}


def _reversed_rows(data: bytes) -> bytes:
    first, *rows = data.decode().splitlines(keepends=True)
    return (first + "".join(reversed(rows))).encode()


def _cut(data: bytes) -> bytes:
    """Return it up to the middle of a line after its middle."""
    begin = data.rfind(b"\n", 0, int(len(data) * 0.6)) + 1
    end = data.find(b"\n", begin)
    return data[: begin + ((len(data) if end < 0 else end) - begin) // 2]


def _other(data: bytes) -> bytes:
    """Return another format's content behind it."""
    return data.rstrip(b"\n") + b"\n" + FORMATS["vllm-bench" if b"Benchmark" in data[:400] else "aloja"]


def _wider(data: bytes) -> bytes:
    """Return it with one more cell in its third line, or a number as a word."""
    lines = data.decode().splitlines(keepends=True)
    if len(lines) >= 3 and not data.lstrip().startswith((b"{", b"[", b"Avro")):
        mark = "," if "," in lines[2] else " "
        lines[2] = lines[2].rstrip("\n") + f"{mark}7{mark}7\n"
    return "".join(lines).encode()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data),
    "utf-16": lambda data: data.decode().encode("utf-16"),
    "bom": lambda data: b"\xef\xbb\xbf" + data,
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "torn": _cut,
    "torn-gzip": lambda data: gzip.compress(data)[: -max(12, len(data) // 40)],
    "doubled": lambda data: data.rstrip(b"\n") + b"\n" + data,
    "reversed": _reversed_rows,
    "mixed": _other,
    "wider": _wider,
    "zeros": lambda data: data[: len(data) // 2] + b"\0" * 64 + data[len(data) // 2 + 64 :],
    "latin-1": lambda data: data[: len(data) // 2] + b"\xe9\xff" + data[len(data) // 2 :],
}


@dataclass(frozen=True)
class Outcome:
    """What a file ends in: its numbers with remarks, or refused."""

    numbers: frozenset[str] = frozenset()
    remarks: frozenset[str] = frozenset()
    refused: bool = False


def outcome(file: Path) -> Outcome:
    """Read a file as `import FILE` does; what is refused must be refused in one line that names it."""
    try:
        importer, _ = recognised(file)
        found = list(importer.read(file))
    except InputError as error:
        line = str(error)
    else:
        line = ""
    if line:
        assert "\n" not in line
        assert file.name in line
        return Outcome(refused=True)
    numbers, remarks = set[str](), set[str]()
    for item in found:
        if isinstance(item, ImportedTable):
            for name, values in sorted(item.metrics.items()):
                numbers |= {f"{name}={value!r}" for value in values.to_pylist()}
            continue
        assert isinstance(item, ImportedRun)
        remarks |= {
            f"{check.name}: {check.detail}" for check in item.result.checks if check.verdict != "pass"
        }
        remarks |= set() if item.complete else {"incomplete"}
        numbers |= {f"{m.name}={m.value:.9g}" for m in item.result.metrics if m.value is not None}
    return Outcome(frozenset(numbers), frozenset(remarks))


def compared(original: Outcome, damaged: Outcome) -> str:
    """Return `same`, `refused`, `flagged` (other numbers, with a new remark) or `CHANGED` (without one)."""
    if damaged.refused:
        return "refused"
    if damaged.numbers == original.numbers:
        return "same"
    return "flagged" if damaged.remarks - original.remarks else "CHANGED"
