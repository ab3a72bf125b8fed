"""The sampler's process never outlives the run, and never takes it along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from framework_metrics.sampling.process import SamplerError, SamplerProcess
from framework_metrics.sampling.recording import read_recording
from tests.framework_metrics.results import readings
from tests.support.waiting import wait_for

NVML = "framework_metrics.nvml.probe:NvmlProbe"
SETTINGS = {"names": None, "count": None, "run_pid": 1, "pcie": False}

RUN = """
import os, signal, sys
from pathlib import Path
from framework_metrics.sampling.process import SamplerProcess
sampler = SamplerProcess("nvml", sys.argv[1], eval(sys.argv[2]), 0.02, Path(sys.argv[3]))
sampler.start()
print(*sampler._child.pids(), flush=True)
signal.pause()
"""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"  # whoever adopted it may take its time to notice


@pytest.mark.parametrize("lines", [[], pytest.param(["hang DeviceGetTemperature 4"], marks=pytest.mark.slow)])
def test_a_run_that_is_killed_takes_its_sampler_with_it(
    fake_nvml: Callable[..., None], tmp_path: Path, lines: list[str]
) -> None:
    fake_nvml(*lines)
    command = [sys.executable, "-c", RUN, NVML, repr(SETTINGS), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        processes = [int(pid) for pid in run.stdout.readline().split()]
        try:
            wait_for(lambda: readings(tmp_path))
            assert processes
            assert all(map(_alive, processes))
        finally:
            run.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(map(_alive, processes)))


def test_a_probe_that_does_not_exist_is_a_reason_and_no_crash(tmp_path: Path) -> None:
    with pytest.raises(SamplerError, match="ModuleNotFoundError: No module named 'nowhere'"):
        SamplerProcess("x", "nowhere.at:All", {}, 1.0, tmp_path).start()


def test_a_sampler_that_was_never_started_recorded_nothing(tmp_path: Path) -> None:
    recording = SamplerProcess("x", NVML, {}, 1.0, tmp_path).stop()
    assert recording.ended_early == "the sampler was not running"
    assert recording.series("gpu0.power_w") is None
    assert recording.reason("gpu0.power_w") == "the sampler was not running"


def test_a_file_that_was_cut_off_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    file = tmp_path / "cut.jsonl"
    file.write_text('{"columns":["a","b"],"absent":{"c":"no"},"facts":{}}\n[1.0,2,null]\n[2.0,3,4]\n[3.0,')
    recording = read_recording(file, None)
    assert recording.ended_early == "the sampler ended before the end of the run"
    assert recording.t_s.tolist() == [1.0, 2.0]
    series = recording.series("b")
    assert series is not None
    assert (series.t_s.tolist(), series.values.tolist()) == ([2.0], [4.0])
    assert np.isnan(recording.values[0, 1])
    assert recording.reason("c") == "no"
