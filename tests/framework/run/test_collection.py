from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from omegaconf import DictConfig

from framework.contracts import Metric, Result, RunContext
from framework.errors import ConfigError
from framework.run import collection
from framework.run.collection import build_collectors

Make = Callable[..., DictConfig]
COLLECTOR = "toy_study.components.ToyCollector"


def _around(config: DictConfig, scratch: Path, result: Result | None = None) -> Result:
    """Return a backend's result with what the configured collectors add to it."""
    result = result or Result([Metric("duration_s", 2.0, "s")])
    collectors = build_collectors(config)
    with collectors.running(RunContext("run", {}, 0, scratch)):
        pass
    collectors.merge_into(result)
    return result


def _metric(result: Result, name: str) -> Metric:
    return next(metric for metric in result.metrics if metric.name == name)


@pytest.fixture
def failing(toy_config: Make) -> Callable[[str | None], DictConfig]:
    return lambda fail: toy_config(metrics__power={"_target_": COLLECTOR, "fail": fail, "hang_s": 0.3})


def test_a_run_without_collectors_is_left_as_it_is(toy_config: Make, tmp_path: Path) -> None:
    result = _around(toy_config(), tmp_path)
    assert result == Result([Metric("duration_s", 2.0, "s")])


def test_a_collector_adds_metrics_samples_and_facts(failing: Make, tmp_path: Path) -> None:
    result = _around(failing(None), tmp_path)
    assert _metric(result, "toy_power_w") == Metric(
        "toy_power_w", 300.0, "W", "sensor", window_s=1.0, updates=2
    )
    assert result.tables["samples"].num_rows == 2
    assert result.facts == {"power": {"sensor": "toy"}}
    assert result.checks == []


def test_samples_are_appended_to_those_of_the_backend(failing: Make, tmp_path: Path) -> None:
    samples = pa.table({"t_s": [0.0], "name": ["running"], "value": [1.0]})
    result = _around(failing(None), tmp_path, Result(tables={"samples": samples}))
    assert result.tables["samples"]["name"].to_pylist() == ["running", "toy_power_w", "toy_power_w"]


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        ("start", "power start: OSError: no sensor"),
        ("stop", "power stop: ValueError: sensor gone"),
        ("exit", "power stop: SystemExit: 3"),
        ("garbage", "power returned dict instead of a Result"),
        ("garbage_metric", "power returned ('toy_power_w', 300) among its metrics"),
        ("text_metric", "power returned Metric(name='toy_power_w', value='300 W'"),
        ("garbage_table", "power returned a table that can't be stored: table 'samples': column 'watts'"),
    ],
)
def test_a_collector_in_trouble_is_a_warning_and_its_metrics_are_absent(
    failing: Make, tmp_path: Path, fail: str, reason: str
) -> None:
    result = _around(failing(fail), tmp_path)
    power = _metric(result, "toy_power_w")
    assert power.value is None
    assert power.reason is not None
    assert power.reason.startswith(reason)
    assert "\n" not in power.reason
    assert [(check.name, check.verdict) for check in result.checks] == [("collector_power", "warn")]
    assert _metric(result, "duration_s").value == 2.0


@pytest.mark.parametrize("fail", ["hang_start", "hang_stop"])
def test_a_collector_that_hangs_is_left_behind(
    failing: Make, tmp_path: Path, fail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "COLLECTOR_TIMEOUT_S", 0.05)
    result = _around(failing(fail), tmp_path)
    assert (
        _metric(result, "toy_power_w").reason
        == f"power {fail.removeprefix('hang_')}: no answer within 0.05 s"
    )


def test_what_the_backend_measured_stands_against_a_collector(failing: Make, tmp_path: Path) -> None:
    result = _around(failing("clash"), tmp_path)
    assert [metric.value for metric in result.metrics if metric.name == "duration_s"] == [2.0]
    assert [check.verdict for check in result.checks] == ["warn"]


def test_a_collector_fills_in_what_the_backend_could_not_measure(failing: Make, tmp_path: Path) -> None:
    result = _around(failing("clash"), tmp_path, Result([Metric.absent("duration_s", "no clock")]))
    assert result.metrics == [Metric("duration_s", 99.0, "s")]
    assert result.checks == []


def test_collectors_stop_in_reverse_order_even_when_the_backend_fails(
    toy_config: Make, tmp_path: Path
) -> None:
    config = toy_config(metrics={name: {"_target_": f"{__name__}.Recorder", "name": name} for name in "ab"})
    Recorder.log.clear()
    with pytest.raises(RuntimeError), build_collectors(config).running(RunContext("run", {}, 0, tmp_path)):
        raise RuntimeError
    assert Recorder.log == ["start a", "start b", "stop b", "stop a"]


def test_a_class_that_is_no_collector_is_a_configuration_error(toy_config: Make) -> None:
    config = toy_config(metrics__power={"_target_": "toy_study.components.ToyBackend"})
    with pytest.raises(ConfigError, match=r"metrics\.power\._target_"):
        build_collectors(config)


class Recorder:
    log: list[str] = []  # noqa: RUF012 - one log for all instances

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self, context: RunContext) -> None:
        self.log.append(f"start {self.name}")

    def stop(self) -> Result:
        self.log.append(f"stop {self.name}")
        return Result()


class Wrapper:
    """A collector that wants the backend's processes under a profiler."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def start(self, context: RunContext) -> None: ...

    def stop(self) -> Result:
        return Result()

    def command_prefix(self, process: str) -> list[str]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return [f"{self.answer}-{process}"] if isinstance(self.answer, str) else self.answer  # type: ignore[return-value]


def _wrapped(*answers: object) -> tuple[list[str], Result]:
    collectors = collection.Collectors(
        [collection.Watched(f"wrapper{place}", Wrapper(answer)) for place, answer in enumerate(answers)]
    )
    words = collectors.command_prefix("engine-0")
    result = Result()
    collectors.merge_into(result)
    return words, result


def test_words_before_a_command_come_from_every_collector_the_first_one_outermost() -> None:
    words, result = _wrapped("nsys", "taskset")
    assert words == ["nsys-engine-0", "taskset-engine-0"]
    assert result.checks == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OSError("no such tool"), "wrapper0 command_prefix: OSError: no such tool"),
        ([1, 2], "wrapper0 command_prefix returned [1, 2]"),
    ],
)
def test_a_collector_that_fails_to_wrap_a_process_leaves_it_alone(answer: object, reason: str) -> None:
    words, result = _wrapped(answer, "nsys")
    assert words == ["nsys-engine-0"]
    assert [check.detail for check in result.checks] == [reason]


def test_collectors_that_wrap_nothing_put_nothing_before_a_command(toy_config: Make) -> None:
    assert build_collectors(toy_config()).command_prefix("engine-0") == []


def test_a_collector_may_say_how_long_it_needs_to_stop(
    failing: Callable[[str | None], DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "COLLECTOR_TIMEOUT_S", 0.05)
    collectors = build_collectors(failing("hang_stop"))
    collectors.watched[0].collector.stop_timeout_s = 5.0  # type: ignore[attr-defined]
    with collectors.running(RunContext("run", {}, 0, tmp_path)):
        pass
    result = Result()
    collectors.merge_into(result)
    assert "no answer" not in " ".join(check.detail for check in result.checks)
