"""The reproduction card: status of each claim; printed once at the end of a sweep and shown once in the report."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from framework.analysis.claims.claim_file import Claim
from framework.analysis.claims.reproduction_card import claim_computations, evaluate, reproduction_card
from framework.contracts import ReportScope
from framework.errors import NotEvaluatedError
from framework.quantity import Quantity

SUPPORT = Path(__file__).parents[3] / "support"
CommandLine = Callable[..., subprocess.CompletedProcess[str]]


class Rows:
    """A store that answers every query with the same rows."""

    def __init__(self, **columns: list[Any]) -> None:
        self.table = pa.table(columns)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        return self.table


def of(value: float) -> float:
    return value


def missing() -> Quantity:
    raise NotEvaluatedError("no such run")


def defective() -> Quantity:
    raise KeyError("a defect")


COMPUTATIONS = {"of": of, "missing": missing, "defective": defective}


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"paper": 5.5, "tolerance": 0.6}, "reproduced"),
        ({"paper": 5.5, "tolerance": 0.4}, "not reproduced"),
        ({"at_least": 5.0, "at_most": 6.0}, "reproduced"),
        ({"at_least": 5.1}, "not reproduced"),
        ({"at_most": 4.9}, "not reproduced"),
    ],
)
def test_status_says_whether_our_value_agrees(limits: dict[str, float], status: str) -> None:
    claim = Claim("c", "text", quantity=("of", {"value": 5.0}), **limits)
    assert [result.status for result in evaluate([claim], COMPUTATIONS)] == [status]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing", "no such run"), ("defective", "defective failed: KeyError: 'a defect'")],
)
def test_a_computation_without_an_answer_costs_its_own_claim_only(name: str, reason: str) -> None:
    claims = [Claim("a", "text", quantity=(name, {})), Claim("b", "text", quantity=("of", {"value": 1}))]
    found = evaluate(claims, COMPUTATIONS)
    assert [(result.status, result.reason) for result in found] == [
        ("not evaluated", reason),
        ("reproduced", ""),
    ]


def test_scaled_down_runs_answer_no_claim() -> None:
    claims = [Claim("a", "text", quantity=("of", {"value": 1})), Claim("b", "text", not_evaluated="no GPU")]
    reasons = [result.reason for result in evaluate(claims, COMPUTATIONS, scaled_down=True)]
    assert reasons == ["these runs are scaled down", "no GPU"]


def test_sql_is_a_computation_that_gives_a_single_number(toy: Path) -> None:
    scope = ReportScope(Rows(best=[5.0]), "study", [])
    assert claim_computations(scope)["sql"](query="SELECT 5.0 AS best") == 5.0
    with pytest.raises(NotEvaluatedError, match="no single number"):
        claim_computations(ReportScope(Rows(best=[]), "study", []))["sql"](query="SELECT …")


def test_experiment_without_claims_has_no_card(tmp_path: Path) -> None:
    assert reproduction_card(ReportScope(Rows(), "study", [])) is None
    assert reproduction_card(ReportScope(Rows(), "study", [], tmp_path / "claims.yaml")) is None


@pytest.mark.slow
def test_the_card_of_a_plugins_study_is_printed_and_reported_once(
    command_line: CommandLine, tmp_path: Path
) -> None:
    ran = command_line("+experiment=toy_grid")
    assert ran.returncode == 0
    assert ran.stdout.count("Reproduction card") == 1
    assert "1 reproduced, 1 not reproduced, 1 not evaluated" in ran.stdout
    assert "not evaluated: nobody measured it" in ran.stdout
    assert command_line("report", "--experiment", "toy_grid", "--out", "page").returncode == 0
    page = (tmp_path / "work" / "page" / "report.html").read_text()
    assert page.count("The fastest way adds two numbers a second") == 1


@pytest.mark.slow
def test_a_malformed_claims_file_costs_the_card_and_is_named(
    command_line: CommandLine, tmp_path: Path
) -> None:
    study = tmp_path / "work" / "toy_study"  # the working folder comes first on the import path
    shutil.copytree(SUPPORT / "toy_study", study)
    claims = study / "experiments" / "toy_grid" / "claims.yaml"
    claims.write_text("claims: [{id: a, claim: b, quantity: {name: nothing}}]")
    ran = command_line("+experiment=toy_grid")
    assert ran.returncode == 0
    assert "claims.yaml, claim 'a': unknown computation 'nothing'" in ran.stdout + ran.stderr
