"""The reproduction card: a study's published claims next to what our runs give.

Plugins give the computations (hook `claim_computations`); the core adds `sql`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from framework.analysis.claims.claim_file import Claim, Computations, load_claims
from framework.analysis.number_format import format_value
from framework.contracts import ReportScope, TableBlock
from framework.errors import NotEvaluatedError, one_line
from framework.plugins import FAULTS, ask
from framework.quantity import Quantity

REPRODUCED, NOT_REPRODUCED, NOT_EVALUATED = "reproduced", "not reproduced", "not evaluated"
_STATUSES = (REPRODUCED, NOT_REPRODUCED, NOT_EVALUATED)
_SCALED_DOWN = "these runs are scaled down"


@dataclass(frozen=True)
class ClaimResult:
    """A claim with our value and the outcome."""

    claim: Claim
    ours: Quantity | None
    status: str
    reason: str = ""


def reproduction_card(scope: ReportScope) -> TableBlock | None:
    """Return the card of an experiment that has a claims file; None if it has none.

    Raises:
        InputError: the file is malformed, or asks for a computation that no plugin gives.
    """
    if scope.claims_file is None or not scope.claims_file.is_file():
        return None
    computations = claim_computations(scope)
    results = evaluate(load_claims(scope.claims_file, computations), computations, _scaled_down(scope))
    counts = [f"{sum(result.status == status for result in results)} {status}" for status in _STATUSES]
    return TableBlock(
        title="Reproduction card",
        columns=("claim", "paper", "ours", "interval", "difference", "status"),
        rows=[_row(result) for result in results],
        caption=f"{', '.join(counts)}. Tolerances and exact meanings: {scope.claims_file.name}.",
    )


def claim_computations(scope: ReportScope) -> Computations:
    """Return what a claim can ask for over the runs of a scope, by name."""
    found: dict[str, Callable[..., Quantity | float]] = {"sql": partial(_sql, scope)}
    for _, computations in ask("claim_computations", scope=scope):
        found.update(computations)
    return found


def _sql(scope: ReportScope, query: str) -> float:
    """Return the single number that a query over the store gives."""
    values = [value for row in scope.store.query(query).to_pylist() for value in row.values()]
    if len(values) != 1 or not isinstance(values[0], int | float):
        raise NotEvaluatedError("the query gave no single number")
    return float(values[0])


def _scaled_down(scope: ReportScope) -> bool:
    """Whether `scale` shrank a run: a test of the machinery, not a measurement."""
    query = "SELECT 1 FROM params WHERE name = 'scale.name' AND value <> 'full' AND list_contains(?, run_id) LIMIT 1"
    return bool(scope.store.query(query, [list(scope.run_ids)]).num_rows)


def evaluate(
    claims: Sequence[Claim], computations: Computations, scaled_down: bool = False
) -> list[ClaimResult]:
    """Return our value and the status of each claim; scaled-down runs answer none of them."""
    return [_evaluated(claim, computations, scaled_down) for claim in claims]


def _evaluated(claim: Claim, computations: Computations, scaled_down: bool) -> ClaimResult:
    if claim.quantity is None or scaled_down:
        return ClaimResult(claim, None, NOT_EVALUATED, claim.not_evaluated or _SCALED_DOWN)
    name, parameters = claim.quantity
    try:
        found = computations[name](**parameters)
    except NotEvaluatedError as error:
        return ClaimResult(claim, None, NOT_EVALUATED, str(error))
    except FAULTS as error:  # the other claims stand
        reason = f"{name} failed: {type(error).__name__}: {one_line(error)}"
        return ClaimResult(claim, None, NOT_EVALUATED, reason)
    ours = found if isinstance(found, Quantity) else Quantity(float(found))
    return ClaimResult(claim, ours, REPRODUCED if claim.agrees(ours) else NOT_REPRODUCED)


def _row(result: ClaimResult) -> tuple[str, str, str, str, str, str]:
    claim, ours = result.claim, result.ours
    status = result.status if not result.reason else f"{result.status}: {result.reason}"
    if ours is None:
        return claim.claim, _paper(claim), "–", "–", "–", status
    interval = "–"
    if ours.low is not None and ours.high is not None:
        interval = f"{format_value(ours.low, claim.unit)} to {_text(ours.high, claim.unit)}"
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
    return f"{format_value(value, unit)} {unit}".strip()
