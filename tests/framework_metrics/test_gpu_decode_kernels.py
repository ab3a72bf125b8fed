"""The sweep of decode kernels as a smoke test on a CPU, with the PyTorch of the engine's interpreter."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from framework_metrics.nsight.exports.ncu_csv import read_launches

REPOSITORY = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("FRAMEWORK_VLLM_PYTHON", REPOSITORY / ".venv-vllm" / "bin" / "python"))


@pytest.mark.integration
@pytest.mark.skipif(not PYTHON.is_file(), reason="no interpreter with PyTorch (FRAMEWORK_VLLM_PYTHON)")
def test_sweep_of_decode_kernels_writes_what_the_importer_reads(tmp_path: Path) -> None:
    out = tmp_path / "kernels.csv"
    command = [str(PYTHON), "benchmarks/gpu_decode_kernels.py", "--device", "cpu", "--model", "opt-125m"]
    command += ["--batches", "1", "4", "--contexts", "64", "--seconds", "0.01", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    launches = read_launches(out)
    assert len(launches) == 10
    attention = next(launch for launch in launches if launch.kernel == "decode_attention_b4_c64")
    assert attention.device.startswith("CPU (smoke test")
    # 4 · 4 · 12 · 64 · 64 operations, 2 · 4 · 12 · 64 · 64 values of 4 bytes
    assert attention.values["sm__ops_path_tensor_from_shapes.sum"] == 4 * 4 * 12 * 64 * 64
    assert attention.values["dram__bytes.sum"] == 2 * 4 * 12 * 64 * 64 * 4
