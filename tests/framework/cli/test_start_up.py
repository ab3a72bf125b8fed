"""What a command does not need, it does not load, and what it composes it composes once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
from hydra._internal.config_loader_impl import ConfigLoaderImpl
plain, modes = ConfigLoaderImpl._load_configuration_impl, []
def counted(self, *rest, **named):
    modes.append(1)
    return plain(self, *rest, **named)
ConfigLoaderImpl._load_configuration_impl = counted
sys.argv = ["framework", *sys.argv[1:]]
from framework.cli import main
try:
    main()
except SystemExit as end:
    print(json.dumps({"status": end.code, "composed": len(modes), "pandas": "pandas" in sys.modules}))
"""
RUN = [
    "backend=twin",
    "model=opt-125m",
    "gpu=h100-64gb",
    "workload=fixed",
    "workload.num_requests=4",
    "progress=false",
]


def told(tmp_path: Path, *arguments: str) -> dict[str, object]:
    command = [sys.executable, "-c", SCRIPT, *RUN, f"outputs_dir={tmp_path}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_a_run_composes_once_and_leaves_pandas_alone(tmp_path: Path) -> None:
    assert told(tmp_path) == {"status": 0, "composed": 1, "pandas": False}


@pytest.mark.slow
def test_a_sweep_is_still_a_sweep(tmp_path: Path) -> None:
    found = told(tmp_path, "backend.max_num_seqs=2,4", "-m")
    assert found["status"] == 0
    assert len(list((tmp_path / "runs").glob("*/run.json"))) == 2


@pytest.mark.slow
def test_pandas_that_is_imported_later_works_with_arrow() -> None:
    script = (
        "from framework.run.number_libraries import load_numpy_and_arrow\n"
        "load_numpy_and_arrow()\n"
        "import pyarrow as pa\n"
        "import pandas as pd\n"
        "assert pa.array(pd.Series([1.0, None])).null_count == 1\n"
        "assert pa.table({'a': [1]}).to_pandas().shape == (1, 1)\n"
        "assert str(pa.array(pd.Series(pd.Categorical(['a']))).type).startswith('dictionary')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
