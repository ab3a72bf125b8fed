"""The verb `pareto`: fronts of settings with repeats, bands, limits and groups; as a table and as files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from framework import plugins
from framework.cli.verbs import run_verb
from framework.contracts import Metric, MetricDefinition
from framework.errors import UserError
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest

DEFINITIONS = {
    "speed": MetricDefinition("speed", "1/s", "", "higher"),
    "delay_ms": MetricDefinition("delay_ms", "ms", "", "lower"),
    "cost": MetricDefinition("cost", "USD", "", "lower"),
}
# model, batch → (speed, delay, cost) of each repeat
RUNS = {
    ("small", 1): [(10.0, 1.0, 5.0)],
    ("small", 2): [(20.0, 2.0, 4.0)],
    ("small", 4): [(19.8, 2.0, 4.0)],  # beaten by batch 2, by less than the noise
    ("small", 8): [(10.0, 9.0, 9.0)],
    ("small", 16): [(99.0, 4.0, 2.0), (100.0, 4.0, 2.0), (101.0, 4.0, 2.0)],
    ("large", 1): [(1.0, 10.0, 50.0)],
    ("large", 2): [(2.0, 20.0, 40.0)],
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "metric_definitions", lambda: DEFINITIONS)
        patch.setattr("framework.store.views.macros.metric_definitions", lambda: DEFINITIONS)
        for (model, batch), repeats in RUNS.items():
            for seed, values in enumerate(repeats):
                config = {
                    "model": {"name": model},
                    "backend": {"name": "toy", "batch": batch},
                    "workload": {"seed": seed},
                }
                record = RunRecord(
                    f"{model}-{batch}-{seed}", f"{model}-{batch}-{seed}", "e", "toy", "done",
                    "2026-01-01T00:00:00+00:00", seed=seed,
                    metrics=tuple(map(Metric, DEFINITIONS, values)), config=config,
                )  # fmt: skip
                write_bundle(folder, record, {})
        ingest(folder)
    return folder


def front(outputs: Path, tmp_path: Path, *words: str) -> list[dict[str, str]]:
    file = tmp_path / "front.csv"
    assert run_verb(["pareto", *words, "--out", str(file), "--outputs", str(outputs)]) == 0
    with file.open() as lines:
        return list(csv.DictReader(lines))


def test_a_setting_beaten_within_the_noise_stays_and_one_beaten_beyond_it_goes(
    outputs: Path, tmp_path: Path
) -> None:
    rows = front(outputs, tmp_path, "speed", "delay_ms", "--by", "model")
    small = {row["batch"]: row["on_front"] for row in rows if row["model"] == "small"}
    assert small == {"1": "yes", "2": "yes", "4": "within noise", "16": "yes"}
    assert [row["batch"] for row in rows if row["model"] == "large"] == ["2", "1"]


def test_repeats_are_one_setting_with_the_interval_of_their_mean(outputs: Path, tmp_path: Path) -> None:
    (best,) = (row for row in front(outputs, tmp_path, "speed", "delay_ms") if row["batch"] == "16")
    # Student's t at 2 degrees of freedom, 4.303, times 1 / sqrt(3)
    assert float(best["speed"]) == 100.0
    assert float(best["speed_low"]) == pytest.approx(100 - 2.484, abs=0.01)
    assert (best["speed_band_from"], best["runs"]) == ("3 repeats", "3")


def test_limits_leave_settings_out_before_they_are_compared(outputs: Path, tmp_path: Path) -> None:
    rows = front(outputs, tmp_path, "speed", "delay_ms", "cost", "--slo", "delay_ms=3", "--slo", "speed>=11")
    assert {row["batch"] for row in rows} == {"2", "4"}


def test_a_direction_can_be_turned(outputs: Path, tmp_path: Path) -> None:
    assert [row["run_ids"] for row in front(outputs, tmp_path, "speed:lower")] == ["large-1-0"]


@pytest.mark.slow
def test_the_page_holds_the_plot_and_json_the_data(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("f.html", "f.json", "f.parquet"):
        file = tmp_path / name
        words = ["pareto", "speed", "delay_ms", "--out", str(file), "--outputs", str(outputs)]
        assert run_verb(words) == 0
    assert "setting_front([" in (tmp_path / "f.html").read_text()
    assert {row["model"] for row in json.loads((tmp_path / "f.json").read_text())} == {"small"}
    shown = capsys.readouterr()
    assert "Pareto front" in shown.out
    assert "hypervolume" in shown.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sped"], "no run has a metric 'sped' .did you mean 'speed'"),
        (["speed:up"], "better higher or lower, not 'up'"),
        (["speed", "--by", "modle"], "no run has a parameter 'modle'"),
        (["speed", "--from", "f"], "no run, sweep or experiment 'f'"),
        (["speed", "--slo", "delay_ms"], "'delay_ms' is not a limit"),
        (["speed", "--slo", "delay_ms=fast"], "'fast' is not a number"),
        (["speed", "--slo", "delay_ms=0.1"], r"no setting keeps all limits \(7 tried\): delay_ms ≤ 0.1"),
        (["speed", "--out", "f.xls"], "f.xls: unknown format"),
    ],
)
def test_what_cannot_be_answered_is_one_line(outputs: Path, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run_verb(["pareto", *words, "--outputs", str(outputs)])
