"""What a command does not need, it does not load, and what it composes it composes once."""

from __future__ import annotations

import json
import os
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
    unused = [name for name in ("pandas", "scipy", "rich") if name in sys.modules]
    print(json.dumps({"status": end.code, "composed": len(modes), "unused": unused}))
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
def test_a_run_composes_once_and_loads_no_library_that_it_has_no_use_for(tmp_path: Path) -> None:
    assert told(tmp_path) == {"status": 0, "composed": 1, "unused": []}


@pytest.mark.slow
def test_a_sweep_is_still_a_sweep(tmp_path: Path) -> None:
    found = told(tmp_path, "backend.max_num_seqs=2,4", "-m")
    assert found["status"] == 0
    assert len(list((tmp_path / "runs").glob("*/run.json"))) == 2


LOADED = """
import os, sys
told = []
class Watching:
    def find_spec(self, name, path, target=None):
        if name == "numpy":
            told.append(os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
sys.meta_path.insert(0, Watching())
before = dict(os.environ)
from framework.run.number_libraries import load_numpy_and_arrow
load_numpy_and_arrow()
assert told == [sys.argv[1]]
assert os.environ == before
import pyarrow as pa
import pandas as pd
assert pa.array(pd.Series([1.0, None])).null_count == 1
assert pa.table({"a": [1]}).to_pandas().shape == (1, 1)
assert str(pa.array(pd.Series(pd.Categorical(["a"]))).type).startswith("dictionary")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("own", "told"), [({}, "20"), ({"OPENBLAS_THREAD_TIMEOUT": "9"}, "9")])
def test_numpy_is_told_to_wait_asleep_what_a_run_starts_is_not_and_pandas_imported_later_works(
    own: dict[str, str], told: str
) -> None:
    subprocess.run([sys.executable, "-c", LOADED, told], check=True, env={**os.environ, **own})
