"""Claims files: where they are found, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.analysis.claims.claim_file import claims_file, load_claims
from framework.errors import InputError


def _sql(query: str) -> float:
    return 1.0


COMPUTATIONS = {"sql": _sql}


def test_a_study_without_published_claims_has_no_file_of_them() -> None:
    assert claims_file("no_such_study") is None


def test_claims_of_a_plugins_study_are_beside_its_configuration(toy: Path) -> None:
    assert claims_file("toy_grid") == toy_experiments() / "toy_grid" / "claims.yaml"


def toy_experiments() -> Path:
    return Path(__file__).parents[3] / "support" / "toy_study" / "experiments"


GOOD = "id: a, claim: text, quantity: {name: sql, query: q}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claims: [", "not YAML"),
        ("[]", "expected a list 'claims'"),
        ("claims: [{id: a}]", "claim 0 needs 'id' and 'claim'"),
        (f"claims: [{{{GOOD}, papper: 3}}]", "claim 'a': unknown key 'papper' (did you mean 'paper'?)"),
        (f"claims: [{{{GOOD}, paper: many}}]", "claim 'a': 'paper' is not a number: 'many'"),
        (f"claims: [{{{GOOD}, paper: 3}}]", "claim 'a': 'paper' needs a 'tolerance'"),
        (f"claims: [{{{GOOD}}}]", "claim 'a': needs 'paper', 'at_least' or 'at_most'"),
        ("claims: [{id: a, claim: text}]", "claim 'a': needs a 'quantity' or the reason"),
        (
            "claims: [{id: a, claim: t, quantity: {name: sqll, query: q}}]",
            "unknown computation 'sqll' (did you",
        ),
        (
            "claims: [{id: a, claim: t, quantity: {name: sql, sql: q}}]",
            "computation 'sql': missing a required argument: 'query'",
        ),
        ("claims: [{id: a, claim: t, quantity: fast}]", "'quantity' needs the 'name'"),
        (f"claims: [{{{GOOD}, at_most: 1}}, {{{GOOD}, at_most: 1}}]", "two claims are called 'a'"),
    ],
)
def test_bad_claims_file_is_one_line_that_names_the_claim(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_claims(path, COMPUTATIONS)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_claims_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: can't be read"):
        load_claims(tmp_path / "nowhere.yaml", COMPUTATIONS)
