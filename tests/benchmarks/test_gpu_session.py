"""The session for a machine with a GPU, tried without one: everything but the GPU is real."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

REPOSITORY = Path(__file__).parents[2]
FAKE_SMI = """#!/bin/sh
if [ "$1" = -q ]; then echo "Product Name : Fake GPU"; exit 0; fi
echo "timestamp, index, name, power.draw [W], utilization.gpu [%], clocks.current.sm [MHz]"
while true; do
    echo "$(date +%Y/%m/%d\\ %H:%M:%S.000), 0, Fake GPU, 300.00 W, 90 %, 1980 MHz"
    sleep 0.2
done
"""
FAKE_NCU = """#!/bin/sh
while [ "$1" != --log-file ]; do shift; done
cat >"$2" <<'END'
==PROF== Connected to process 1
"ID","Kernel Name","device__attribute_display_name","CC","gpu__time_duration.sum","dram__bytes.sum"
"","","","","usecond","byte"
"0","flash_fwd_splitkv_kernel","Fake GPU","9.0","10.5","2000000"
"1","flash_fwd_splitkv_kernel","Fake GPU","9.0","11.5","2000000"
END
"""


def session(out: Path, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    small = {
        "SESSION_DEVICE": "cpu",
        "SESSION_POINT_S": "0.01",
        "SESSION_IDLE_S": "1",
        "SESSION_MODELS": "opt-125m",
        "SESSION_BATCHES": "1",
        "SESSION_CONTEXTS": "16",
        "SESSION_PREFILL": "16",
    }
    return subprocess.run(
        ["bash", str(REPOSITORY / "benchmarks" / "gpu_session.sh"), str(out), sys.executable],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **small, **environment, "PATH": path},
    )


def imported(folder: Path, outputs: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "framework", "import", str(folder), "--outputs", str(outputs)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
def test_a_session_leaves_a_folder_that_import_reads(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("nvidia-smi", FAKE_SMI), ("ncu", FAKE_NCU)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    fake = REPOSITORY / "tests" / "framework_metrics" / "fake_nvml.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(tools / "libnvidia-ml.so.1"), str(fake)], check=True)
    (tools / "script").write_text("power_w 250\n")
    out = tmp_path / "out"
    done = session(
        out,
        f"{tools}:{os.environ['PATH']}",
        LD_LIBRARY_PATH=str(tools),
        FAKE_NVML_SCRIPT=str(tools / "script"),
    )
    log = (out / "session.log").read_text()
    assert done.returncode == 0, log
    assert "left out" not in log, log
    assert "cpu_ms_per_sample" in log
    assert "energy_by_counter_j" in log
    index = json.loads((out / "import.json").read_text())
    kinds = {"kernels_opt-125m.csv": "nsight", "ncu.csv": "nsight"}
    assert index["files"] == {**kinds, "nvidia-smi.csv": "nvidia-smi", "sensors.csv": "gpu-series"}
    read = imported(out, tmp_path / "outputs")
    assert read.returncode == 0, read.stderr
    with duckdb.connect(str(tmp_path / "outputs" / "framework.duckdb"), read_only=True) as store:
        found = dict(store.sql("SELECT experiment, count(*) FROM runs GROUP BY 1").fetchall())
        power = store.sql("SELECT avg(value) FROM metrics WHERE name = 'power_mean_w'").fetchall()
    assert found == {"import:nsight": 2, "import:nvidia-smi": 1, "import:gpu-series": 1}
    assert power[0][0] == pytest.approx(275, rel=0.05)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
def test_a_machine_without_a_gpu_is_one_clear_line(tmp_path: Path) -> None:
    done = session(tmp_path / "out", os.environ["PATH"], SESSION_DEVICE="cuda")
    assert done.returncode == 2
    assert "PyTorch sees no GPU" in done.stdout


def test_an_index_that_names_no_file_of_its_folder_is_refused(tmp_path: Path) -> None:
    from framework.errors import InputError
    from framework.run.importing import import_file

    for text, message in (
        ("[]", "is not an index"),
        ('{"files": {"../a.csv": "nsight"}}', "names '../a.csv'"),
        ('{"files": {"a.csv": "nsight"}}', "names 'a.csv'"),
    ):
        (tmp_path / "import.json").write_text(text)
        with pytest.raises(InputError, match=message):
            import_file(None, tmp_path, str(tmp_path / "outputs"))
