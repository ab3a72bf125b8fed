"""Files of adapters and of deployments."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.errors import InputError
from framework_serving.advice.fleet.adapter_list import Deployment, read_adapters, read_deployment


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "adapter,rank,rate_rps,input_tokens\nx,8,0.5,100\ny,16,0,\n"),
        (
            "a.json",
            '[{"adapter": "x", "rank": 8, "rate_rps": 0.5, "input_tokens": 100},'
            ' {"adapter": "y", "rank": 16, "rate_rps": 0}]',
        ),
        (
            "a.yaml",
            "- {adapter: x, rank: 8, rate_rps: 0.5, input_tokens: 100}\n- {adapter: y, rank: 16, rate_rps: 0}",
        ),
    ],
)
def test_one_list_in_each_format_is_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = read_adapters(tmp_path / name)
    assert found.names == ("x", "y")
    assert found.adapters.rank.tolist() == [8, 16]
    assert found.adapters.rate_rps.tolist() == [0.5, 0]
    assert found.adapters.input_mean.tolist() == [100, 222.6]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("adapter,rank,rate_rps\n", "there is no adapter in it"),
        ("adapter,rank,rate_rps\nx,8,fast\n", "row 1: rate_rps 'fast' is not a number"),
        ("adapter,rank,rate_rps\nx,0,1\n", "row 1: rank must be at least 1, got 0"),
        ("adapter,rank,rate_rps\nx,8,-1\n", "row 1: rate_rps must be at least 0, got -1"),
        ("adapter,rank,rate_rps\nx,8,1\nx,8,1\n", "row 2: adapter 'x' is given twice"),
        ("adapter,rank\nx,8\n", "row 1: rate_rps '' is not a number"),
        ("adapter,rank,speed\nx,8,1\n", "unknown column 'speed'"),
    ],
)
def test_a_bad_list_is_named_with_its_row(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=r"a\.csv: ") as error:
        read_adapters(tmp_path / "a.csv")
    assert said in str(error.value)


def test_a_deployment_is_read_back(tmp_path: Path) -> None:
    written = Deployment(
        "m", (("l4", 4, ("x", "y")), ("l4", 2, ("z",))), {"x": 8, "y": 8, "z": 16}, dict.fromkeys("xyz", 0.25)
    )
    written.save(tmp_path / "d.yaml", ["vllm serve m", "vllm serve m"])
    assert read_deployment(tmp_path / "d.yaml") == written


@pytest.mark.parametrize("text", ["a: 1", "[", "gpus: [{gpu: l4}]", "3"])
def test_another_file_than_a_deployment_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "d.yaml").write_text(text)
    with pytest.raises(InputError, match=r"d\.yaml"):
        read_deployment(tmp_path / "d.yaml")
