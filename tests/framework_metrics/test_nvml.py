"""`metrics=nvml` on the fake library: what it reads, whom it watches, what it makes of every kind of trouble."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from framework.contracts import RunContext
from framework.errors import ConfigError
from framework_metrics.nvml.collector import NvmlCollector
from framework_metrics.sampling import process
from framework_metrics.sampling.process import SamplerError
from tests.framework_metrics.results import Around, FakeGpus, metric, sampled, unseen_s, verdict

Follow = Callable[..., FakeGpus]


def test_every_quantity_is_read_over_the_run_and_not_over_its_preparation(
    fake_nvml: Follow, around: Around
) -> None:
    gpus = fake_nvml("power_w 100 50")
    result = around(NvmlCollector(period_s=0.01), 20, before=20)
    assert [item.name for item in result.metrics if item.value is None] == []
    assert metric(result, "gpu_util_mean_pct").value == 90
    assert metric(result, "gpu_sm_clock_mean_mhz").value == 1980
    assert metric(result, "gpu_memory_used_peak_gib").value == 1
    assert metric(result, "gpu_memory_temperature_max_c").value == 60
    assert metric(result, "gpu_sm_active_mean_pct").value == 2  # the fake returns the number of GPM's metric
    assert metric(result, "gpu_dram_active_mean_pct").value == 10
    power = metric(result, "power_mean_w")
    times, _watts = sampled(result, "gpu_power_w")
    assert sum(t_s < 0 for t_s in times) >= 20
    assert power.window_s == result.facts["window_s"]
    assert power.updates == sum(0 <= t_s <= power.window_s for t_s in times)
    middle_s = (around.window.begin_s or 0) + 0.5 * power.window_s - gpus.began_s()
    assert power.value == pytest.approx(100 + 50 * middle_s, abs=50 * unseen_s(result, "gpu_power_w", 0))
    assert result.facts["window"] == "run"


@pytest.mark.slow
def test_instant_and_average_power_are_told_apart(fake_nvml: Follow, around: Around) -> None:
    fake_nvml("power_w 100 400")
    result = around(NvmlCollector(period_s=0.02), 30)
    # the fake's average stays behind by 0.5 s, in which power grows by 200 W
    instant_w, average_w = (sampled(result, f"gpu_{name}")[1][-1] for name in ("power_w", "power_average_w"))
    assert 100 <= average_w < instant_w - 100


def test_without_the_instant_field_the_older_question_stands_in(fake_nvml: Follow, around: Around) -> None:
    fake_nvml("field_error 186 3", "field_error 185 3")
    result = around(NvmlCollector(period_s=0.01))
    assert metric(result, "power_mean_w").value == 100
    assert sampled(result, "gpu_power_average_w") == ([], [])
    assert "not supported" in result.facts["absent"]["gpu0.power_average_w"]


def test_power_is_left_to_the_energy_collector_where_that_runs_too(fake_nvml: Follow, around: Around) -> None:
    fake_nvml()
    result = around(NvmlCollector(period_s=0.01), config={"metrics": {"nvml": {}, "energy": {}}})
    assert "power_mean_w" not in [item.name for item in result.metrics]
    assert metric(result, "gpu_power_peak_w").value == 100


@pytest.mark.parametrize(
    "backend", [{"gpus": 2}, {"tensor_parallel": 1, "pipeline_parallel": 2, "data_parallel": 1, "gpus": None}]
)
def test_several_gpus_have_series_of_their_own_and_a_sum(
    fake_nvml: Follow, around: Around, backend: dict[str, Any]
) -> None:
    fake_nvml("gpus 3", "power_w 100")
    result = around(NvmlCollector(period_s=0.01), config={"backend": backend})
    assert set(sampled(result, "gpu0_power_w")[1]) == {100.0}
    assert set(sampled(result, "gpu1_power_w")[1]) == {200.0}
    assert set(sampled(result, "gpu_power_w")[1]) == {300.0}
    assert sampled(result, "gpu2_power_w") == ([], [])
    assert metric(result, "power_mean_w").value == pytest.approx(300)
    assert metric(result, "gpu_util_mean_pct").value == 90


@pytest.mark.parametrize(
    ("visible", "labels"),
    [("2,0", ["gpu2", "gpu0"]), ("GPU-0001", ["gpu1"]), ("1,-1,0", ["gpu1"]), ("0,0", ["gpu0"])],
)
def test_the_gpus_of_the_run_are_those_that_cuda_sees(
    fake_nvml: Follow, around: Around, monkeypatch: pytest.MonkeyPatch, visible: str, labels: list[str]
) -> None:
    fake_nvml("gpus 3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    result = around(NvmlCollector(period_s=0.01))
    assert [gpu["label"] for gpu in result.facts["gpus"]] == labels


@pytest.mark.parametrize(
    ("visible", "reason"),
    [("", "CUDA_VISIBLE_DEVICES hides every GPU"), ("7", "names '7', but NVML sees 0 \\(GPU-0000-fake\\)")],
)
def test_gpus_that_are_not_there_are_one_clear_line(
    fake_nvml: Follow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str, reason: str
) -> None:
    fake_nvml()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(SamplerError, match=reason):
        NvmlCollector().start(RunContext("run", {}, 0, tmp_path))


def test_a_mig_instance_has_its_own_memory_and_its_boards_power(fake_nvml: Follow, around: Around) -> None:
    fake_nvml("mig 2", "memory_used_mib 2048")
    result = around(NvmlCollector(period_s=0.01, gpus=["MIG-0-1"]))
    assert [gpu["label"] for gpu in result.facts["gpus"]] == ["gpu0mig1"]
    assert metric(result, "gpu_memory_used_peak_gib").value == 1
    assert metric(result, "power_mean_w").value == 100
    assert metric(result, "gpu_util_mean_pct").reason == (
        "not supported by this GPU or driver (NVML: not supported)"
    )


def test_two_mig_instances_do_not_count_their_boards_power_twice(fake_nvml: Follow, around: Around) -> None:
    fake_nvml("mig 2")
    assert metric(around(NvmlCollector(period_s=0.01)), "power_mean_w").value == pytest.approx(100)


def test_what_a_gpu_does_not_support_is_absent_with_the_reason(fake_nvml: Follow, around: Around) -> None:
    fake_nvml("gpm 0", "error DeviceGetTemperature 4", "error DeviceGetPcieThroughput 3")
    result = around(NvmlCollector(period_s=0.01))
    assert metric(result, "gpu_sm_active_mean_pct").reason == (
        "this GPU offers no performance monitoring (GPM: Hopper and newer)"
    )
    assert metric(result, "gpu_temperature_max_c").reason == "no permission (NVML: insufficient permissions)"
    assert metric(result, "gpu_pcie_tx_mean_mib_s").value is None
    assert metric(result, "gpu_util_mean_pct").value == 90


def test_traffic_is_asked_for_where_gpm_does_not_tell(fake_nvml: Follow, around: Around) -> None:
    fake_nvml("gpm 0")
    assert metric(around(NvmlCollector(period_s=0.01)), "gpu_pcie_rx_mean_mib_s").value == 2
    silent = around(NvmlCollector(period_s=0.01, pcie=False))
    assert "metrics.nvml.pcie=false" in (metric(silent, "gpu_pcie_rx_mean_mib_s").reason or "")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["error Init 9"], "the NVIDIA driver is not loaded"),
        (["error Init 18"], "driver and NVML library differ in version"),
        (["error Init 777"], "NVML error 777"),
        (["gpus 0"], "NVML finds no GPU"),
        (["error DeviceGetCount 4"], "no permission"),
        (["crash DeviceGetCount"], "the sampler was ended by SIGABRT"),
    ],
)
def test_a_library_that_fails_at_the_start_says_why(
    fake_nvml: Follow, tmp_path: Path, lines: list[str], reason: str
) -> None:
    fake_nvml(*lines)
    with pytest.raises(SamplerError, match=reason):
        NvmlCollector().start(RunContext("run", {}, 0, tmp_path))


def test_without_a_library_that_is_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SamplerError, match="no NVML library on this machine"):
        NvmlCollector(gpus=["0"]).start(RunContext("run", {}, 0, tmp_path))


def test_a_library_that_hangs_at_the_start_is_given_up(
    fake_nvml: Follow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_nvml("hang DeviceGetCount")
    monkeypatch.setattr(process, "START_LIMIT_S", 0.3)
    monkeypatch.setattr(process, "GRACE_S", 0.3)
    with pytest.raises(SamplerError, match=r"no answer from the sensors within 0\.3 s"):
        NvmlCollector().start(RunContext("run", {}, 0, tmp_path))


def test_a_gpu_that_is_lost_midway_leaves_its_metrics_absent_with_the_reason(
    fake_nvml: Follow, around: Around
) -> None:
    fake_nvml("error DeviceGetUtilizationRates 15 4")
    result = around(NvmlCollector(period_s=0.01), 30)
    reason = metric(result, "gpu_util_mean_pct").reason
    assert reason is not None
    assert reason.startswith("no samples in the last")
    assert "the GPU is lost" in reason
    assert metric(result, "gpu_sm_clock_mean_mhz").value == 1980
    assert max(sampled(result, "gpu_util_pct")[0]) < max(sampled(result, "gpu_sm_clock_mhz")[0])


def test_a_library_that_crashes_midway_keeps_what_was_seen(fake_nvml: Follow, around: Around) -> None:
    gpus = fake_nvml("crash DeviceGetUtilizationRates 5")
    result = around(NvmlCollector(period_s=0.01), until=gpus.stuck, length_s=60)
    assert verdict(result, "nvml_sampler") == ("warn", "the sampler was ended by SIGABRT")
    assert "SIGABRT" in (metric(result, "gpu_util_mean_pct").reason or "")
    assert len(sampled(result, "gpu_util_pct")[0]) == 3  # one of the four calls before was to find out


def test_a_library_that_hangs_midway_does_not_hold_the_run_up(
    fake_nvml: Follow, around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus = fake_nvml("hang DeviceGetUtilizationRates 5")
    monkeypatch.setattr(process, "GRACE_S", 0.3)
    result = around(NvmlCollector(period_s=0.01), until=gpus.stuck, length_s=60)
    assert verdict(result, "nvml_sampler") == ("warn", "the sensors stopped answering")
    assert metric(result, "gpu_util_mean_pct").value is None
    assert len(sampled(result, "gpu_util_pct")[0]) == 3  # one of the four calls before was to find out


def test_nonsense_from_a_sensor_is_no_reading(fake_nvml: Follow, around: Around) -> None:
    fake_nvml("garbage 1")
    result = around(NvmlCollector(period_s=0.01))
    assert "outside 0 to 5000" in (metric(result, "power_mean_w").reason or "")
    assert "outside 0 to 100" in (metric(result, "gpu_util_mean_pct").reason or "")
    assert metric(result, "gpu_sm_clock_mean_mhz").value == 1980


@pytest.mark.slow
def test_slow_sensors_miss_samples_and_say_so(fake_nvml: Follow, around: Around) -> None:
    fake_nvml("slow DeviceGetTemperature 0.06")
    result = around(NvmlCollector(period_s=0.01), 8)
    state, detail = verdict(result, "nvml_sampler")
    assert state == "warn"
    assert "samples missed" in detail
    gaps = sampled(result, "gpu_util_pct")[0]
    assert min(later - earlier for earlier, later in pairwise(gaps[:-1])) > 0.05


@pytest.mark.parametrize(
    ("lines", "state", "words"),
    [
        (["sm_clock_mhz 1980"], "pass", "1980 of 1980 MHz under load"),
        (["sm_clock_mhz 1605", "throttle 2"], "fail", "clocks set by the user"),
        (["sm_clock_mhz 1605"], "warn", "no reason given by NVML"),
        (["sm_clock_mhz 1605", "throttle 4"], "warn", "power cap"),
        (["sm_clock_mhz 1605", "throttle 64"], "warn", "hardware thermal slowdown"),
        (["sm_clock_mhz 345", "util 0", "throttle 1"], "pass", "never under load"),
    ],
)
def test_capped_clocks_are_seen_under_load(
    fake_nvml: Follow, around: Around, lines: list[str], state: str, words: str
) -> None:
    fake_nvml(*lines)
    found, detail = verdict(around(NvmlCollector(period_s=0.01)), "gpu_clocks")
    assert found == state
    assert words in detail


def test_a_clock_that_was_meant_is_no_cap(fake_nvml: Follow, around: Around) -> None:
    fake_nvml("sm_clock_mhz 1605", "throttle 2")
    result = around(NvmlCollector(period_s=0.01, expected_sm_clock_mhz=1605))
    assert verdict(result, "gpu_clocks")[0] == "pass"


def test_a_foreign_process_on_the_gpu_is_contention(fake_nvml: Follow, around: Around) -> None:
    fake_nvml("neighbour 1 4096")
    state, detail = verdict(around(NvmlCollector(period_s=0.01)), "gpu_contention")
    assert state == "fail"
    assert "(pid 1) with 4096 MiB on gpu0" in detail


def test_the_runs_own_process_and_attached_servers_are_no_contention(
    fake_nvml: Follow, around: Around
) -> None:
    import os

    fake_nvml("util 0", f"neighbour {os.getpid()} 4096")
    assert verdict(around(NvmlCollector(period_s=0.01)), "gpu_contention")[0] == "pass"
    fake_nvml("neighbour 1 4096")
    attached = {"backend": {"urls": ["http://127.0.0.1:8000"]}}
    result = around(NvmlCollector(period_s=0.01), config=attached)
    assert verdict(result, "gpu_contention")[0] == "pass"


def test_where_processes_are_hidden_contention_is_not_judged(fake_nvml: Follow, around: Around) -> None:
    fake_nvml("error DeviceGetComputeRunningProcesses 4")
    state, detail = verdict(around(NvmlCollector(period_s=0.01)), "gpu_contention")
    assert state == "pass"
    assert detail.startswith("not checked: no permission")


@pytest.mark.parametrize(
    ("line", "words"), [("util 80", "gpu0 80 % busy"), ("memory_used_mib 9000", "gpu0 9000 MiB in use")]
)
def test_a_gpu_in_use_before_the_run_is_suspicious_though_its_user_is_hidden(
    fake_nvml: Follow, around: Around, line: str, words: str
) -> None:
    fake_nvml(line)
    state, detail = verdict(around(NvmlCollector(period_s=0.01)), "gpu_contention")
    assert state == "warn"
    assert words in detail


@pytest.mark.parametrize("period_s", [0.0, -1.0, 1e9, float("nan")])
def test_a_period_that_can_not_be_kept_is_refused(period_s: float) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.nvml\.period_s"):
        NvmlCollector(period_s=period_s)
