"""Damaged traces: requests that the file says, or one line; never a crash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from framework.errors import InputError
from framework_serving.workloads.trace import TraceWorkload
from tests.framework_serving.workloads.test_published_traces import PUBLISHED
from tests.support.damaged_files import mutations


def try_all(name: str, folder: Path, count: int) -> None:
    form, text, _ = PUBLISHED[name]
    data = text.encode()
    damaged, told = folder / "damaged", []
    for mutant in mutations(data, count):
        damaged.write_bytes(mutant)
        try:
            built = TraceWorkload(file=str(damaged), preset=form).build(0)
        except InputError as error:
            told.append(str(error))
            continue
        requests = built.tables["requests"]
        content = mutant.decode("utf-8", errors="ignore")
        said = {float(number) for number in re.findall(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", content)}
        for column in ("input_tokens", "output_tokens"):
            assert set(requests[column].to_pylist()) <= said
        assert requests.num_rows <= max(content.count("\n"), content.count("\r")) + 1
    assert [line for line in told if "\n" in line] == []


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_damaged_trace_ends_in_its_own_numbers_or_in_one_line(name: str, tmp_path: Path) -> None:
    try_all(name, tmp_path, 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_two_thousand_damaged_traces_end_in_their_own_numbers_or_in_one_line(
    name: str, tmp_path: Path
) -> None:
    try_all(name, tmp_path, 2000)
