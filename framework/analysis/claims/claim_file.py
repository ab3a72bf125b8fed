"""Published claims of a study: `experiments/<name>/claims.yaml`, next to the `conf/` of the study."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.errors import InputError, did_you_mean
from framework.quantity import Quantity

Computations = Mapping[str, Callable[..., Quantity | float]]
"""By name: what computes a quantity of a claim from a study's runs; its parameters are those of the claim."""

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


def claims_file(experiment: str) -> Path | None:
    """Return the file of a study's published claims, if it has one."""
    from framework.configuration.search_path import config_roots  # not at the start of every command

    files = (root.parent / "experiments" / experiment / "claims.yaml" for root in config_roots())
    return next((file for file in files if file.is_file()), None)


def load_claims(file: Path, computations: Computations) -> list[Claim]:
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
    claims = [_claim(file, position, item, computations) for position, item in enumerate(items)]
    names = [claim.id for claim in claims]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{file}: two claims are called '{name}'")
    return claims


def _claim(file: Path, position: int, item: Any, computations: Computations) -> Claim:
    if not isinstance(item, dict) or not item.get("id") or not item.get("claim"):
        raise InputError(f"{file}: claim {position} needs 'id' and 'claim'")
    where = f"{file}, claim '{item['id']}'"
    for key in item:
        if key not in _KEYS:
            raise InputError(f"{where}: unknown key '{key}'{did_you_mean(str(key), _KEYS)}")
    for key in ("paper", "tolerance", "at_least", "at_most"):
        value = item.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"{where}: '{key}' is not a number: {value!r}")
    quantity = None if item.get("quantity") is None else _quantity(where, item["quantity"], computations)
    if quantity is None and not item.get("not_evaluated"):
        raise InputError(f"{where}: needs a 'quantity' or the reason why it is 'not_evaluated'")
    if quantity is not None and item.get("paper") is not None and item.get("tolerance") is None:
        raise InputError(f"{where}: 'paper' needs a 'tolerance'")
    if quantity is not None and all(item.get(key) is None for key in ("paper", "at_least", "at_most")):
        raise InputError(f"{where}: needs 'paper', 'at_least' or 'at_most' to compare with")
    return Claim(**{**item, "quantity": quantity})


def _quantity(where: str, item: Any, computations: Computations) -> tuple[str, dict[str, Any]]:
    if not isinstance(item, dict) or "name" not in item:
        raise InputError(
            f"{where}: 'quantity' needs the 'name' of a computation{did_you_mean('', computations)}"
        )
    parameters = dict(item)
    name = parameters.pop("name")
    if name not in computations:
        raise InputError(f"{where}: unknown computation '{name}'{did_you_mean(str(name), computations)}")
    try:
        inspect.signature(computations[name]).bind(**parameters)
    except TypeError as error:
        raise InputError(f"{where}: computation '{name}': {error}") from None
    return name, parameters
