"""The verb `predict`: order, values that all runs have, parameters that follow from the given ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("threadpoolctl")

from framework import plugins
from framework.cli.verbs import run_verb
from framework.contracts import Law, Metric, MetricDefinition
from framework.errors import UserError
from framework.quantity import Quantity
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store

LAYERS = {"small": 12, "large": 48}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of two models over the batch on one GPU; `speed` rises and `delay_ms` falls with the batch."""
    definitions = {
        "speed": MetricDefinition("speed", "1/s", "", "higher"),
        "delay_ms": MetricDefinition("delay_ms", "ms", "", "lower"),
    }
    monkeypatch.setattr(plugins, "metric_definitions", lambda: definitions)
    for model, layers in LAYERS.items():
        for batch in (1, 2, 4, 8, 16, 32, 64):
            speed = 1000.0 * batch**0.5 / layers
            metrics = (Metric("speed", speed), Metric("delay_ms", 1e4 / speed), Metric("size", speed))
            config = {
                "model": {"name": model, "layers": layers},
                "gpu": {"name": "H100-64GB"},
                "backend": {"name": "toy", "batch": batch},
            }
            record = RunRecord(
                f"{model}-{batch}", f"{model}-{batch}", "e", "toy", "done", "2026-01-01T00:00:00+00:00",
                metrics=metrics, config=config,
            )  # fmt: skip
            write_bundle(tmp_path, record, {})
    ingest(tmp_path)
    return tmp_path


def predicted(store: Path, *words: str) -> list[list[str]]:
    assert run_verb(["predict", *words, "--outputs", str(store)]) == 0
    return Store(store).rows("SELECT config FROM predictions ORDER BY row")[1]


@pytest.mark.parametrize(
    ("metric", "order"),
    [("speed", ["48", "12", "3"]), ("delay_ms", ["48", "12", "3"]), ("size", ["12", "3", "48"])],
)
def test_a_grid_is_listed_best_first_by_the_metrics_direction_and_as_asked_without_one(
    store: Path, capsys: pytest.CaptureFixture[str], metric: str, order: list[str]
) -> None:
    predicted(store, metric, "model=small", "--grid", "batch=12,3,48")
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("small")]
    assert [row[1] for row in rows] == order


def test_a_value_that_all_runs_have_is_accepted_in_the_spelling_of_an_override(store: Path) -> None:
    predicted(store, "speed", "gpu=h100-64gb", "model=small", "batch=12")


def test_a_value_that_no_run_has_of_a_parameter_that_all_share_is_refused(store: Path) -> None:
    with pytest.raises(UserError, match=r"^all 14 runs use gpu=H100-64GB; it can't be varied$"):
        run_verb(["predict", "speed", "gpu=a100-80gb", "--outputs", str(store)])


def test_a_misspelt_parameter_is_named_with_the_nearest(store: Path) -> None:
    with pytest.raises(UserError, match=r"no run has a parameter 'bach' \(did you mean 'batch'\?\)"):
        run_verb(["predict", "speed", "bach=3", "--outputs", str(store)])


def test_each_model_of_a_grid_is_predicted_with_its_own_layers(store: Path) -> None:
    configurations = [
        json.loads(config) for (config,) in predicted(store, "speed", "batch=12", "--grid", "model=*")
    ]
    assert {each["model.name"]: float(each["model.layers"]) for each in configurations} == LAYERS


def test_a_law_is_the_baseline_and_says_so(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A law that knows the layers predicts a model that no run has; its constant is corrected by the runs."""
    from framework.analysis.prediction import prediction_answer

    def half(metric: str, configs: list[dict[str, Any]]) -> list[Quantity | None]:
        return [
            Quantity(500.0 * float(config["backend"]["batch"]) ** 0.5 / float(config["model"]["layers"]))
            if metric == "speed"
            else None
            for config in configs
        ]

    monkeypatch.setattr(prediction_answer, "installed_laws", lambda: [Law("toy law", half)])
    (config,) = predicted(store, "speed", "model.layers=96", "batch=16")[0]
    assert json.loads(config)["model.layers"] == "96"
    ((value, method),) = Store(store).rows("SELECT predicted, method FROM predictions")[1]
    assert value == pytest.approx(1000 * 16**0.5 / 96, rel=0.05)
    assert method.startswith("law, ")
    assert "new model" in method
    shown = capsys.readouterr()
    assert "predicted from toy law and 14 runs" in shown.out
    assert "trust: law" in shown.err
    assert "runs nearest to the first row: large-16 (" in shown.err


def test_beyond_the_numbers_that_were_run_a_prediction_says_so_and_is_less_certain(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predicted(store, "speed", "model=small", "--grid", "batch=64,65")
    (inside, beyond) = Store(store).rows("SELECT high / low, method FROM predictions ORDER BY row")[1]
    assert "inside" in inside[1]
    assert "batch above all runs" in beyond[1]
    assert beyond[0] > 1.5 * inside[0] or beyond[0] > inside[0] ** 1.9


def test_an_unknown_model_is_named_with_the_nearest(store: Path) -> None:
    with pytest.raises(UserError, match=r"^unknown model 'opt-1\.3c' \(did you mean 'opt-1\.3b'\?\)$"):
        run_verb(["predict", "speed", "model=opt-1.3c", "--outputs", str(store)])
