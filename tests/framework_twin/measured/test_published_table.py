"""Tables of published runs: read, predicted with bands by a named provider, refused with reasons."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from framework.errors import ConfigError
from framework_twin.measured.published_prediction import deployment_of, predict_published
from framework_twin.measured.published_table import PublishedSetup, read_published_runs
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.operators import installed
from framework_twin.validation.published_validation import (
    print_published,
    validate_published,
    write_published,
)

TABLE = Path(__file__).with_name("published_fixture.csv")
RUNS, BAD = read_published_runs(TABLE)
SETUPS = {run.setup.run_id: run.setup for run in RUNS}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    path = tmp_path_factory.mktemp("published") / "predictions.csv"
    write_published(validate_published(RUNS, BAD), path)
    with path.open() as stream:
        return {row["run_id"]: row for row in csv.DictReader(stream)}


def test_every_row_is_predicted_with_a_band_or_refused_with_a_reason(
    written: dict[str, dict[str, str]],
) -> None:
    assert len(written) == 7
    for name, metric in (("loop", "ttft_mean_ms"), ("batch", "duration_s"), ("steady", "power_mean_w")):
        row = written[name]
        low, value, high = (float(row[f"{end}_{metric}"]) for end in ("low", "predicted", "high"))
        assert low < value < high
        assert row["provider"]
        assert not row["reason"]
    assert "acme/unheard-of" in written["unheard"]["reason"]
    assert "32 attention heads" in written["odd-heads"]["reason"]
    assert written["nonsense"]["reason"] == "output_tokens: 'many' is not a number"


def test_providers_are_named(written: dict[str, dict[str, str]]) -> None:
    assert written["batch"]["provider"] == "roofline"
    assert written["loop"]["provider"] == ("operators" if installed() else "roofline")


def test_ranks_that_are_not_stated_follow_from_the_gpus() -> None:
    assert deployment_of(SETUPS["steady"]).tensor == 4
    assert deployment_of(SETUPS["steady"]).expert == 4
    assert deployment_of(SETUPS["loop"]).gpus == 2


def test_columns_that_count_gpus_twice_are_read_as_the_id_states(written: dict[str, dict[str, str]]) -> None:
    setup = SETUPS["moe_c16_tp4_ep4_1"]
    assert deployment_of(setup) == Deployment(tensor=4, expert=4)
    assert (setup.gpus, setup.concurrency) == (4, 16)
    assert "read as its id: TP 4, EP 4, 16 users" in written[setup.run_id]["notes"]
    assert not any(other.restated for name, other in SETUPS.items() if name != setup.run_id)


def test_a_closed_loop_answers_as_many_requests_at_a_time_as_it_has_users() -> None:
    loop = SETUPS["loop"]
    single, many = (
        predict_published(replace(loop, concurrency=users), "roofline").values for users in (1, 64)
    )
    assert many["tpot_mean_ms"] > single["tpot_mean_ms"]
    assert (
        many["ttft_mean_ms"] > 2 * single["ttft_mean_ms"]
    )  # all users start at once, and wait for each other


def value(setup: PublishedSetup, metric: str) -> float:
    return predict_published(setup, "roofline").values[metric]


def test_predictions_never_read_what_was_measured_but_the_running_batch() -> None:
    run = next(run for run in RUNS if run.setup.run_id == "loop")
    assert not hasattr(run.setup, "measured")
    assert run.measured["tpot_mean_ms"] == 22


def test_more_gpus_and_fewer_bits_are_faster() -> None:
    loop = SETUPS["loop"]
    assert value(replace(loop, tensor=4, expert_tensor=4, gpus=4), "tpot_mean_ms") < value(
        loop, "tpot_mean_ms"
    )
    assert value(replace(loop, weight_type="bfloat16", expert_type=""), "tpot_mean_ms") > value(
        loop, "tpot_mean_ms"
    )


def test_a_batch_ends_where_the_models_context_ends() -> None:
    batch = SETUPS["batch"]
    short = replace(
        batch, model="facebook/opt-6.7b", gpu="H100-80GB", input_tokens=2047, output_tokens=2048.0
    )
    assert value(short, "duration_s") < value(
        replace(short, input_tokens=1024, output_tokens=1024.0), "duration_s"
    )


def test_a_load_without_its_numbers_is_refused() -> None:
    with pytest.raises(ConfigError, match="input_tokens: not published"):
        predict_published(replace(SETUPS["loop"], input_tokens=None))
    with pytest.raises(ConfigError, match="measured_running_mean"):
        predict_published(replace(SETUPS["steady"], running=None))


@pytest.mark.slow
def test_validate_reads_the_table_on_the_command_line(tmp_path: Path) -> None:
    import typer

    from framework_twin.verbs import add_verbs

    app = typer.Typer()
    add_verbs(app)
    out = tmp_path / "out.csv"
    done = CliRunner().invoke(app, ["validate", str(TABLE), "--out", str(out)], env={"COLUMNS": "200"})
    assert "4 of 7 runs predicted" in done.output
    assert "uncalibrated" in done.output
    assert "acme/unheard-of" in done.output
    assert out.read_text().startswith("run_id,predicted_")


def test_a_name_given_twice_and_a_torn_row_are_refused_and_what_is_not_compared_is_said(
    tmp_path: Path,
) -> None:
    with TABLE.open() as stream:
        rows = list(csv.DictReader(stream))
    (loop,) = (row for row in rows if row["run_id"] == "loop")
    odd = {**loop, "measured_tpot_mean_s": "0.01"}
    table = tmp_path / "odd.csv"
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, odd)
        writer.writeheader()
        writer.writerows([odd, odd, {**odd, "run_id": "torn"}])
    table.write_text(table.read_text().rstrip() + ",1\n" + "short,aic\n")
    console = Console(width=200, record=True, file=io.StringIO())
    print_published(console, validate_published(*read_published_runs(table)), [])
    said = console.export_text()
    assert "1 of 4 runs predicted" in said
    assert "not compared, as no run has such a prediction: measured_tpot_mean_s" in said
    assert "no prediction for row 1 (loop): run_id: an earlier row is called 'loop' as well" in said
    assert "no prediction for row 2 (torn): the row has more cells than the header" in said
    assert "no prediction for row 3 (short): the row has fewer cells than the header" in said
