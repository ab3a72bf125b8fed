"""Tables of measured runs: what is read, and one clear line for what can't be."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.errors import InputError
from framework_twin.measured.measured_runs import measured_run, read_measured_runs

Record = dict[str, str]


@pytest.fixture
def table(tmp_path: Path) -> Callable[[list[Record]], Path]:
    def write(records: list[Record]) -> Path:
        path = tmp_path / "runs.csv"
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, sorted({name for record in records for name in record}))
            writer.writeheader()
            writer.writerows(records)
        return path

    return write


def test_adapters_are_dealt_one_rate_and_one_rank_each(poisson_record: Record) -> None:
    setup = measured_run(poisson_record, 0).setup
    assert len(setup.adapter_rates_rps) == len(setup.adapter_ranks) == 16
    assert setup.offered_rps == pytest.approx(0.975)
    assert setup.max_cpu_loras == 16


def test_setup_holds_nothing_that_was_measured(poisson_record: Record) -> None:
    plain = measured_run(poisson_record, 0)
    with_result = measured_run({**poisson_record, "measured_itl_mean_ms": "15.0", "starved": "False"}, 0)
    assert plain.setup == with_result.setup
    assert with_result.measured == {"measured_itl_mean_ms": 15.0}
    assert with_result.starved is False
    assert plain.starved is None


def test_row_that_breaks_the_schema_is_returned_with_its_reason(
    table: Callable[[list[Record]], Path], poisson_record: Record
) -> None:
    runs, bad = read_measured_runs(table([poisson_record, {**poisson_record, "max_num_seqs": "-4"}]))
    assert len(runs) == 1
    assert (bad[0].row, bad[0].reason) == (1, "max_num_seqs: -4 is below 1")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"engine_generation": "v7"}, "engine_generation: 'v7' is not one of v0, v1"),
        (
            {"duration_limit_s": "", "num_prompts": ""},
            "duration_limit_s: a poisson run needs a time window, or num_prompts a number of prompts",
        ),
        ({"adapter_ranks": "8x8;64x8"}, "max_lora_rank: 16 is below rank 64"),
        ({"max_loras": ""}, "max_loras: no adapter slots for 16 adapters"),
        ({"input_tokens_mean": "nan"}, "input_tokens_mean: nan is below 1"),
        ({"adapter_rates_rps": "0.1xmany"}, "adapter_rates_rps: '0.1xmany' is not value x count"),
        ({"model": ""}, "model: is empty"),
    ],
)
def test_each_bad_cell_is_one_line_that_names_its_column(
    poisson_record: Record, change: Record, reason: str
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        measured_run({**poisson_record, **change}, 0)
    assert str(caught.value) == reason


def test_table_without_a_required_column_is_refused(
    table: Callable[[list[Record]], Path], poisson_record: Record
) -> None:
    del poisson_record["max_model_len"]
    with pytest.raises(InputError, match="column max_model_len is missing"):
        read_measured_runs(table([poisson_record]))


def test_truncated_gzip_is_refused_in_one_line(tmp_path: Path, poisson_record: Record) -> None:
    whole = gzip.compress((",".join(poisson_record) + "\n").encode() * 50)
    path = tmp_path / "runs.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"runs\.csv\.gz: can't be read"):
        read_measured_runs(path)


def test_empty_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_measured_runs(tmp_path / "absent.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(InputError, match="missing"):
        read_measured_runs(empty)
