"""A GPU by the name that its driver prints, a model by its name on the hub."""

from __future__ import annotations

import pytest

from framework_serving.hardware.catalogue import catalogue_name


@pytest.mark.parametrize(
    ("printed", "ours"),
    [
        ("NVIDIA H100 80GB HBM3", "H100-80GB"),
        ("NVIDIA H100 PCIe", "H100-80GB-PCIe"),  # another bandwidth than that of the SXM board
        ("NVIDIA A100-SXM4-40GB", "A100-40GB"),
        ("NVIDIA A100 80GB PCIe", "A100-80GB-PCIe"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
        ("NVIDIA GeForce RTX 4090 D", None),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000"),
        ("NVIDIA RTX 6000 Ada Generation", None),
        ("NVIDIA H200", "H200-141GB"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("h100", None),  # two boards are called so
        ("Tesla T4", None),
        ("h100-80gb", "H100-80GB"),
    ],
)
def test_a_gpu_is_known_by_its_drivers_name_and_no_other_board_is(printed: str, ours: str | None) -> None:
    assert catalogue_name("gpu", printed) == ours


def test_a_model_is_known_by_its_name_on_the_hub() -> None:
    assert catalogue_name("model", "meta-llama/Llama-3.1-8B-Instruct") == "llama-3.1-8b-instruct"
    assert catalogue_name("model", "Llama-2 7b") == "llama-2-7b"
    assert catalogue_name("model", "made-up/model") is None
