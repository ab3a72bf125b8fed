"""Every format under every damage ends in the right numbers, in numbers with a remark, or in one clear line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.framework.run.damage_cases import DAMAGES, FORMATS, Outcome, compared, outcome

USUAL = {
    "gzip": "same",
    "utf-16": "same",
    "bom": "same",
    "crlf": "same",
    "torn": "refused",
    "torn-gzip": "refused",
    "doubled": "refused",
    "reversed": "refused",
    "mixed": "refused",
    "wider": "refused",
    "zeros": "refused",
    "latin-1": "refused",
}
OTHERWISE = {
    # two equal runs are one in the store
    ("vllm-bench", "doubled"): "same",
    ("sglang", "doubled"): "same",
    ("hibench", "doubled"): "same",
    # rows without a time of their own can stand in any order
    ("aloja", "reversed"): "same",
    ("hibench", "reversed"): "same",
    ("dmon", "reversed"): "same",
    ("dcgmi", "reversed"): "same",
    # a log that was being written is told to be one; its last line is left out
    ("jhist", "torn"): "flagged",
    ("spark", "torn"): "flagged",
    ("nvidia-smi", "torn"): "flagged",
    ("dmon", "torn"): "flagged",
    ("dcgmi", "torn"): "flagged",
    ("gpu-series", "torn"): "flagged",
    ("jhist", "reversed"): "flagged",
    ("spark", "reversed"): "flagged",
    # engines write their logs in UTF-8
    ("jhist", "utf-16"): "refused",
    ("jhist", "bom"): "refused",
    ("spark", "utf-16"): "refused",
    # the damage is in the schema of the events, which name their fields themselves
    ("jhist", "zeros"): "same",
}
UNKNOWABLE = {("dmon", "doubled"), ("dcgmi", "doubled")}
"""Two logs whose rows have no time, one behind the other, are a longer log."""


def _changed(format_: str, damage: str) -> bytes | None:
    """Return the damaged file; None where this damage changes nothing (one line has no order)."""
    data = FORMATS[format_]
    damaged = DAMAGES[damage](data)
    return None if damaged == data else damaged


CASES = [
    (format_, damage)
    for format_ in FORMATS
    for damage in DAMAGES
    if (format_, damage) not in UNKNOWABLE and _changed(format_, damage) is not None
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    """What each file ends in while it is whole; each is read once."""
    folder, known = tmp_path_factory.mktemp("whole"), dict[str, Outcome]()

    def read(format_: str) -> Outcome:
        if format_ not in known:
            file = folder / format_
            file.write_bytes(FORMATS[format_])
            known[format_] = outcome(file)
        return known[format_]

    return read


@pytest.mark.parametrize(("format_", "damage"), CASES)
def test_a_damaged_file_ends_in_the_right_numbers_or_in_one_clear_line(
    format_: str, damage: str, tmp_path: Path, whole: Callable[[str], Outcome]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(_changed(format_, damage) or b"")
    assert whole(format_).numbers
    assert compared(whole(format_), outcome(file)) == OTHERWISE.get((format_, damage), USUAL[damage])


def test_the_table_has_sixty_cases_and_names_no_case_twice() -> None:
    assert len(CASES) >= 60
    assert set(OTHERWISE) <= set(CASES)


def _scaled(key: str, factor: float) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        record = json.loads(data.splitlines()[0])
        return json.dumps({**record, key: record[key] * factor}).encode()

    return change


def _replaced(pattern: str, text: str) -> Callable[[bytes], bytes]:
    return lambda data: re.sub(pattern.encode(), text.encode(), data, count=1)


def _in_milliwatts(data: bytes) -> bytes:
    text = data.decode().replace("gpu_power_w", "gpu_power_mw")
    return re.sub(r"^(\d+),(\d+),", r"\1,\g<2>000,", text, flags=re.MULTILINE).encode()


WRONG_NUMBERS = [
    ("vllm-bench", _scaled("duration", 1000), "flagged"),  # in ms: contradicts rate and count
    ("vllm-bench", _scaled("total_token_throughput", 60), "flagged"),  # a minute's
    ("vllm-bench", _scaled("completed", -1), "flagged"),
    ("sglang", _scaled("duration", 1000), "flagged"),
    ("hibench", _replaced("40.000", "40000"), "refused"),  # in ms: contradicts the throughput
    ("hibench", _replaced("40.000", "1e999"), "refused"),
    ("aloja", _replaced(r"\nID", "ID"), "same"),
    ("aloja", _replaced(r",600\.\d+|,(\d{3})\.\d+", ",1e308"), "refused"),
    ("nvidia-smi", _replaced("90 %", "900 %"), "refused"),
    ("nvidia-smi", _replaced("100.00 W", "100000.00 W"), "refused"),
    ("dmon", _replaced("   100", "   1e9"), "refused"),
    ("dcgmi", _replaced("100.0", "-100.0"), "refused"),
    ("gpu-series", _replaced("0,100,90", "0,NaN,90"), "refused"),
    ("gpu-series", _replaced("gpu_power_w", "gpu_power_parsec"), "flagged"),
    ("gpu-series", _in_milliwatts, "same"),
]


@pytest.mark.parametrize(("format_", "change", "expected"), WRONG_NUMBERS)
def test_a_number_in_another_unit_or_beyond_what_can_be_is_read_rightly_refused_or_flagged(
    format_: str,
    change: Callable[[bytes], bytes],
    expected: str,
    tmp_path: Path,
    whole: Callable[[str], Outcome],
) -> None:
    file = tmp_path / "file"
    file.write_bytes(change(FORMATS[format_]))
    assert compared(whole(format_), outcome(file)) == expected
