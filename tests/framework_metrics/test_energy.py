"""`metrics=energy` on the fake library and on RAPL files made here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.contracts import RunContext
from framework.errors import ConfigError
from framework_metrics.energy.collector import EnergyCollector
from framework_metrics.sampling.process import SamplerError
from tests.framework_metrics.results import Around, FakeGpus, metric, readings, sampled, unseen_s, verdict
from tests.support.waiting import wait_for

Follow = Callable[..., FakeGpus]


@pytest.fixture
def no_rapl(tmp_path: Path) -> str:
    return str(tmp_path / "nothing")


def _zone(folder: Path, place: str, name: str, energy_uj: int, wrap_at_uj: int = 262_143_328_850) -> Path:
    zone = folder / f"intel-rapl:{place}"
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{name}\n")
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    (zone / "max_energy_range_uj").write_text(f"{wrap_at_uj}\n")
    return zone


def _write(zone: Path, energy_uj: int) -> None:
    """Replace a counter's file at once, as a reader of a real one never sees half a number."""
    (zone / "next").write_text(f"{energy_uj}\n")
    (zone / "next").replace(zone / "energy_uj")


def test_the_counter_comes_first_and_tells_the_energy_of_the_run(
    fake_nvml: Follow, around: Around, no_rapl: str
) -> None:
    fake_nvml("power_w 200")
    result = around(EnergyCollector(period_s=0.01, powercap_dir=no_rapl), 40, before=10)
    energy, window_s = metric(result, "energy_j"), result.facts["window_s"]
    assert energy.value == pytest.approx(200 * window_s, abs=200 * unseen_s(result))
    assert energy.source == "nvml energy counter"
    assert energy.window_s == window_s
    assert energy.low is not None
    assert energy.high is not None
    assert energy.low <= energy.value <= energy.high
    assert metric(result, "power_mean_w").value == pytest.approx(energy.value / window_s)
    assert result.facts["window"] == "run"
    assert min(sampled(result, "gpu_energy_j")[0]) < 0
    assert 0.015 < result.facts["sensor_cadence_s"] <= unseen_s(result)


def test_a_ramp_of_power_is_its_integral(fake_nvml: Follow, around: Around, no_rapl: str) -> None:
    gpus = fake_nvml("power_w 100 500")
    result = around(EnergyCollector(period_s=0.01, powercap_dir=no_rapl), 40, before=10)
    begin_s, end_s = (
        float(t_s or 0) - gpus.began_s() for t_s in (around.window.begin_s, around.window.end_s)
    )
    true_j = 100 * (end_s - begin_s) + 250 * (end_s**2 - begin_s**2)
    largest_w = 100 + 500 * end_s
    assert metric(result, "energy_j").value == pytest.approx(true_j, abs=largest_w * unseen_s(result))


def test_without_a_counter_power_is_integrated_and_says_so(
    fake_nvml: Follow, around: Around, no_rapl: str
) -> None:
    fake_nvml("power_w 200", "error DeviceGetTotalEnergyConsumption 3")
    result = around(EnergyCollector(period_s=0.01, powercap_dir=no_rapl), 20)
    energy = metric(result, "energy_j")
    assert energy.value == pytest.approx(200 * result.facts["window_s"])
    assert energy.source == "nvml power, trapezoid"
    assert sampled(result, "gpu_energy_j")[1][-1] >= 200 * result.facts["window_s"]


@pytest.mark.parametrize("line", ["counter_s 0", "counter_s 30", "reset_at 8"])
def test_a_counter_that_stands_still_or_is_reset_gives_way_to_power(
    fake_nvml: Follow, around: Around, no_rapl: str, line: str
) -> None:
    fake_nvml("power_w 200", line)
    result = around(EnergyCollector(period_s=0.01, powercap_dir=no_rapl), 20)
    assert metric(result, "energy_j").source == "nvml power, trapezoid"
    assert metric(result, "energy_j").value == pytest.approx(200 * result.facts["window_s"])


def test_a_window_with_few_updates_is_flagged_and_not_zero(
    fake_nvml: Follow, around: Around, no_rapl: str
) -> None:
    fake_nvml("power_w 200", "counter_s 0.04")
    result = around(EnergyCollector(period_s=0.02, powercap_dir=no_rapl), 9, before=3)
    energy = metric(result, "energy_j")
    assert energy.value is not None
    assert energy.low is not None
    assert energy.high is not None
    assert energy.low < energy.value < energy.high
    state, detail = verdict(result, "energy_window")
    assert state == "warn"
    assert detail.startswith("short: ")


def test_replicas_share_a_counter_so_each_gpu_counts_once(
    fake_nvml: Follow, around: Around, no_rapl: str
) -> None:
    fake_nvml("gpus 3", "power_w 100")
    config = {"backend": {"gpus": 2, "replicas": 4}}
    result = around(EnergyCollector(period_s=0.01, powercap_dir=no_rapl), 40, config=config)
    off_w = 300 * unseen_s(result, "gpu1_energy_j") / result.facts["window_s"]
    assert metric(result, "power_mean_w").value == pytest.approx(300, abs=off_w)
    assert metric(result, "energy_j").source == "nvml energy counter, sum of 2"
    assert len(sampled(result, "gpu1_energy_j")[0]) >= 2


def test_two_instances_of_a_split_gpu_share_its_sensor_and_the_run_says_so(
    fake_nvml: Follow, around: Around, no_rapl: str
) -> None:
    fake_nvml("mig 2", "power_w 100")
    result = around(EnergyCollector(period_s=0.01, powercap_dir=no_rapl), 40)
    off_w = 100 * unseen_s(result) / result.facts["window_s"]
    assert metric(result, "power_mean_w").value == pytest.approx(100, abs=off_w)
    assert verdict(result, "energy_scope")[0] == "warn"


@pytest.mark.slow
def test_idle_power_is_measured_before_the_run_when_asked_for(
    fake_nvml: Follow, around: Around, no_rapl: str
) -> None:
    fake_nvml("power_w 100")
    result = around(EnergyCollector(period_s=0.01, idle_s=0.4, powercap_dir=no_rapl), 20)
    idle = metric(result, "gpu_idle_w")
    assert idle.value == pytest.approx(100, abs=100 * unseen_s(result) / 0.4)
    assert idle.source.endswith("so without its model")
    above = metric(result, "energy_above_idle_j")
    idle_j = (idle.value or 0) * result.facts["window_s"]
    assert above.value == pytest.approx((metric(result, "energy_j").value or 0) - idle_j)


def test_a_stretch_with_the_model_loaded_is_the_better_idle(
    fake_nvml: Follow, tmp_path: Path, no_rapl: str
) -> None:
    fake_nvml("power_w 100")
    context = RunContext("run", {}, 0, tmp_path)
    collector = EnergyCollector(period_s=0.01, powercap_dir=no_rapl)
    collector.start(context)
    context.window.idle_begin_s = time.monotonic()
    wait_for(lambda: len(readings(tmp_path)) >= 40)
    context.window.idle_end_s = context.window.begin_s = time.monotonic()
    wait_for(lambda: len(readings(tmp_path)) >= 50)
    context.window.end_s = time.monotonic()
    result = collector.stop()
    idle = metric(result, "gpu_idle_w")
    off_w = 100 * unseen_s(result) / (context.window.idle_end_s - context.window.idle_begin_s)
    assert idle.value == pytest.approx(100, abs=off_w)
    assert idle.source.endswith("model loaded")


def test_idle_power_that_was_not_asked_for_is_absent(fake_nvml: Follow, around: Around, no_rapl: str) -> None:
    fake_nvml()
    result = around(EnergyCollector(period_s=0.01, powercap_dir=no_rapl))
    assert metric(result, "gpu_idle_w").reason == "idle power was not measured (metrics.energy.idle_s is 0)"


def test_a_gpu_that_is_lost_midway_has_no_energy_but_a_reason(
    fake_nvml: Follow, around: Around, no_rapl: str
) -> None:
    lost = ("DeviceGetTotalEnergyConsumption", "DeviceGetFieldValues")
    fake_nvml("error DeviceGetPowerUsage 15", *(f"error {name} 15 4" for name in lost))
    result = around(EnergyCollector(period_s=0.01, powercap_dir=no_rapl), 30)
    energy = metric(result, "energy_j")
    assert energy.value is None
    assert "the GPU is lost" in (energy.reason or "")


def test_a_backend_that_does_not_say_when_it_ran_is_measured_whole_and_that_is_said(
    fake_nvml: Follow, around: Around, no_rapl: str
) -> None:
    fake_nvml("power_w 200")
    result = around(EnergyCollector(period_s=0.01, powercap_dir=no_rapl), 40, stated=False)
    energy = metric(result, "energy_j")
    times, _ = sampled(result, "gpu_energy_j")
    assert energy.window_s is not None
    assert times[0] == pytest.approx(0)
    assert times[-1] <= energy.window_s
    assert energy.value == pytest.approx(200 * energy.window_s, abs=200 * unseen_s(result))
    assert verdict(result, "energy_window")[0] == "warn"
    assert "start-up is included" in verdict(result, "energy_window")[1]


@pytest.mark.slow
def test_packages_and_dram_add_up_over_sockets_and_wraps_are_undone(around: Around, tmp_path: Path) -> None:
    folder = tmp_path / "powercap"
    zones = [
        _zone(folder, "0", "package-0", 999_000_000, 1_000_000_000),
        _zone(folder, "1", "package-1", 5_000_000),
    ]
    dram = _zone(folder, "0:2", "dram", 7_000_000)
    _zone(folder, "0:0", "core", 1)
    _zone(folder, "2", "psys", 1)

    over = threading.Event()

    def grow() -> None:
        seen = step = 0
        while not over.wait(0.001):
            if (now := len(readings(tmp_path))) > seen:  # so at most two steps between two readings
                seen, step = now, step + 1
                _write(zones[0], (999_000_000 + step * 200_000) % 1_000_000_000)
                _write(zones[1], 5_000_000 + step * 100_000)
                _write(dram, 7_000_000 + step * 50_000)

    thread = threading.Thread(target=grow)
    thread.start()
    collector = EnergyCollector(period_s=0.01, gpus=["0"], powercap_dir=str(folder))
    result = around(collector, 60, stated=False)
    over.set()
    thread.join()
    package, memory = metric(result, "cpu_energy_j"), metric(result, "dram_energy_j")
    assert package.value is not None
    assert memory.value is not None
    assert package.value > 1
    two_steps_at_each_end_j = 4 * (0.2 + 0.1 + 6 * 0.05)
    assert package.value == pytest.approx(6 * memory.value, abs=two_steps_at_each_end_j)
    assert package.source == "RAPL, sum of 2"
    assert "no NVML library" in (metric(result, "energy_j").reason or "")


def test_a_counter_without_permission_is_absent_with_the_line_that_fixes_it(
    fake_nvml: Follow, around: Around, tmp_path: Path
) -> None:
    fake_nvml()
    zone = _zone(tmp_path / "powercap", "0", "package-0", 1)
    (zone / "energy_uj").unlink()
    (zone / "energy_uj").mkdir()  # a folder can't be read, by root neither
    result = around(EnergyCollector(period_s=0.01, powercap_dir=str(tmp_path / "powercap")), 20)
    assert "energy_uj" in (metric(result, "cpu_energy_j").reason or "")
    assert metric(result, "energy_j").value is not None


def test_a_machine_without_any_counter_says_so_at_the_start(tmp_path: Path, no_rapl: str) -> None:
    collector = EnergyCollector(powercap_dir=no_rapl)
    with pytest.raises(SamplerError, match=r"no NVML library on this machine.*no RAPL counters"):
        collector.start(RunContext("run", {}, 0, tmp_path))


@pytest.mark.parametrize("idle_s", [-1, 11, float("nan")])
def test_an_idle_time_that_can_not_be_waited_for_is_refused(idle_s: float) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.energy\.idle_s"):
        EnergyCollector(idle_s=idle_s)
