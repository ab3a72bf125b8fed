from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from framework.contracts import DoctorCheck
from framework_metrics import doctor
from framework_metrics.sampling.probe import UnavailableError


def _lines() -> dict[str, DoctorCheck]:
    return {check.name: check for check in doctor.checks()}


def test_a_gpu_with_everything_is_said_to_have_it(fake_nvml: Callable[..., None]) -> None:
    fake_nvml("gpus 2")
    found = _lines()
    assert "gpu0 Fake GPU (driver 999.00), gpu1 Fake GPU" in found["metrics=nvml"].detail
    assert all(
        found[name].ok for name in ("GPU energy counter", "GPU power", "GPU activity (GPM)", "GPU processes")
    )


def test_what_a_gpu_lacks_is_told_with_what_stands_in_for_it(fake_nvml: Callable[..., None]) -> None:
    fake_nvml("gpm 0", "error DeviceGetTotalEnergyConsumption 3", "error DeviceGetComputeRunningProcesses 4")
    found = _lines()
    assert found["GPU energy counter"].ok is None
    assert "integrated from power instead" in found["GPU energy counter"].detail
    assert "Hopper and newer" in found["GPU activity (GPM)"].detail
    assert "contention is not checked" in found["GPU processes"].detail


@pytest.mark.parametrize(
    ("line", "ok", "fix"),
    [("error Init 9", None, "install its driver"), ("error Init 18", False, ""), ("gpus 0", False, "")],
)
def test_a_library_that_can_not_be_opened_says_why(
    fake_nvml: Callable[..., None], line: str, ok: bool | None, fix: str
) -> None:
    fake_nvml(line)
    check = _lines()["metrics=nvml"]
    assert check.ok is ok
    assert fix in check.fix


def test_counters_that_only_root_may_read_come_with_the_line_that_opens_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("1000\n")
    (zone / "energy_uj").write_text("1\n")
    read_text = Path.read_text

    def refusing(self: Path, *args: object, **keys: object) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read_text(self)

    monkeypatch.setattr(Path, "read_text", refusing)
    monkeypatch.setattr(doctor, "POWERCAP", tmp_path)
    check = _lines()["CPU energy (RAPL)"]
    assert check.ok is False
    assert check.fix.startswith("sudo chmod a+r")


def test_perf_that_is_barred_comes_with_the_line_that_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def barred(pid: int) -> None:
        raise UnavailableError("perf events are not allowed here (perf_event_paranoid is 4)")

    monkeypatch.setattr(doctor, "TaskClock", barred)
    check = _lines()["perf task-clock"]
    assert (check.ok, check.fix) == (False, "sudo sysctl kernel.perf_event_paranoid=1")
