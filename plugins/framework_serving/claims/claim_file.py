"""Claims of a paper against our runs: `experiments/<name>/claims.yaml` becomes the reproduction card."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.contracts import TableBlock
from framework.errors import InputError, did_you_mean
from framework_serving.claims.claim_quantities import COMPUTATIONS, Evidence, compute
from framework_serving.sweeps.quantity import NotEvaluatedError, Quantity

if TYPE_CHECKING:
    from framework.contracts import ReportScope

REPRODUCED, NOT_REPRODUCED, NOT_EVALUATED = "reproduced", "not reproduced", "not evaluated"
SCALED_DOWN = "these runs are scaled down"
_KEYS = (
    "id", "claim", "where", "quantity", "paper", "at_least", "at_most", "tolerance", "unit", "not_evaluated"
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """One claim, exactly.

    Attributes:
        id: stable name.
        claim: what the paper says, in one sentence.
        where: where it says so.
        quantity: computation (`name`) and its parameters; empty if the runs can't answer.
        paper: the paper's number; None for a claim of shape.
        tolerance: largest difference that counts as agreement, in the claim's unit.
        at_least, at_most: limits of a claim of shape.
        unit: unit of all these numbers.
        not_evaluated: why no run can answer it.
    """

    id: str
    claim: str
    where: str = ""
    quantity: tuple[str, dict[str, Any]] | None = None
    paper: float | None = None
    tolerance: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""
    not_evaluated: str | None = None

    def agrees(self, ours: Quantity) -> bool:
        """Return whether our value is within the tolerance of the paper's, or within the limits of the shape."""
        if self.paper is not None and self.tolerance is not None:
            return abs(ours.value - self.paper) <= self.tolerance
        above = self.at_least is None or ours.value >= self.at_least
        return above and (self.at_most is None or ours.value <= self.at_most)


@dataclass(frozen=True)
class ClaimResult:
    """A claim with our value and the outcome."""

    claim: Claim
    ours: Quantity | None
    status: str
    reason: str = ""


def load_claims(file: Path) -> list[Claim]:
    """Return the claims of a file. Raises `InputError` naming file, claim and key."""
    import yaml  # type: ignore[import-untyped]

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: can't be read: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    items = content.get("claims") if isinstance(content, dict) else None
    if not isinstance(items, list):
        raise InputError(f"{file}: expected a list 'claims'")
    claims = [_claim(file, position, item) for position, item in enumerate(items)]
    names = [claim.id for claim in claims]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{file}: two claims are called '{name}'")
    return claims


def _claim(file: Path, position: int, item: Any) -> Claim:
    if not isinstance(item, dict) or not item.get("id") or not item.get("claim"):
        raise InputError(f"{file}: claim {position} needs 'id' and 'claim'")
    where = f"{file}, claim '{item['id']}'"
    for key in item:
        if key not in _KEYS:
            raise InputError(f"{where}: unknown key '{key}'{did_you_mean(str(key), _KEYS)}")
    for key in ("paper", "tolerance", "at_least", "at_most"):
        value = item.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"{where}: '{key}' is no number: {value!r}")
    quantity = None if item.get("quantity") is None else _quantity(where, item["quantity"])
    if quantity is None and not item.get("not_evaluated"):
        raise InputError(f"{where}: needs a 'quantity' or the reason why it is 'not_evaluated'")
    if quantity is not None and item.get("paper") is not None and item.get("tolerance") is None:
        raise InputError(f"{where}: 'paper' needs a 'tolerance'")
    if quantity is not None and all(item.get(key) is None for key in ("paper", "at_least", "at_most")):
        raise InputError(f"{where}: needs 'paper', 'at_least' or 'at_most' to compare with")
    return Claim(**{**item, "quantity": quantity})


def _quantity(where: str, item: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(item, dict) or "name" not in item:
        raise InputError(
            f"{where}: 'quantity' needs the 'name' of a computation{did_you_mean('', COMPUTATIONS)}"
        )
    parameters = dict(item)
    name = parameters.pop("name")
    if name not in COMPUTATIONS:
        raise InputError(f"{where}: unknown computation '{name}'{did_you_mean(str(name), COMPUTATIONS)}")
    try:
        inspect.signature(COMPUTATIONS[name]).bind(None, **parameters)
    except TypeError as error:
        raise InputError(f"{where}: computation '{name}': {error}") from None
    return name, parameters


def evaluate(claims: Sequence[Claim], evidence: Evidence) -> list[ClaimResult]:
    """Return our value and the status of each claim; a scaled-down sweep answers none of them."""
    if any(point.scaled_down for point in evidence.points):
        return [
            ClaimResult(claim, None, NOT_EVALUATED, claim.not_evaluated or SCALED_DOWN) for claim in claims
        ]
    return [_evaluated(claim, evidence) for claim in claims]


def _evaluated(claim: Claim, evidence: Evidence) -> ClaimResult:
    if claim.quantity is None:
        return ClaimResult(claim, None, NOT_EVALUATED, claim.not_evaluated or "")
    try:
        ours = compute(evidence, *claim.quantity)
    except NotEvaluatedError as error:
        return ClaimResult(claim, None, NOT_EVALUATED, str(error))
    return ClaimResult(claim, ours, REPRODUCED if claim.agrees(ours) else NOT_REPRODUCED)


def reproduction_card(scope: ReportScope, evidence: Evidence) -> TableBlock | None:
    """Return the card of an experiment that has a claims file; None if it has none."""
    if scope.claims_file is None or not scope.claims_file.is_file():
        return None
    results = evaluate(load_claims(scope.claims_file), evidence)
    counts = [f"{sum(result.status == status for result in results)} {status}" for status in _STATUSES]
    return TableBlock(
        title="Reproduction card",
        columns=("claim", "paper", "ours", "interval", "difference", "status"),
        rows=[_row(result) for result in results],
        caption=f"{', '.join(counts)}. Tolerances and exact meanings: {scope.claims_file.name}.",
    )


_STATUSES = (REPRODUCED, NOT_REPRODUCED, NOT_EVALUATED)


def _row(result: ClaimResult) -> tuple[str, str, str, str, str, str]:
    claim, ours = result.claim, result.ours
    status = result.status if not result.reason else f"{result.status}: {result.reason}"
    if ours is None:
        return claim.claim, _paper(claim), "–", "–", "–", status
    interval = "–"
    if ours.low is not None and ours.high is not None:
        interval = f"{_text(ours.low, '')} to {_text(ours.high, claim.unit)}"
    difference = "–"
    if claim.paper is not None:
        points = "points" if claim.unit == "%" else claim.unit
        difference = f"{ours.value - claim.paper:+.3g} {points}".strip()
    return claim.claim, _paper(claim), _text(ours.value, claim.unit), interval, difference, status


def _paper(claim: Claim) -> str:
    if claim.paper is not None:
        return _text(claim.paper, claim.unit)
    limits = []
    if claim.at_least is not None:
        limits.append(f"≥ {_text(claim.at_least, claim.unit)}")
    if claim.at_most is not None:
        limits.append(f"≤ {_text(claim.at_most, claim.unit)}")
    return ", ".join(limits) or "–"


def _text(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".strip()
