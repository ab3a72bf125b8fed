"""Named computations on studies of adapter slots (arXiv 2508.08343)."""

from __future__ import annotations

import json

from framework.errors import NotEvaluatedError
from framework.quantity import Quantity
from framework_serving.claims.evidence import Evidence
from framework_serving.sweeps.adapter_points import ADAPTERS, SLOTS, best_slots, mix_of, slot_points
from framework_serving.sweeps.sweep_points import SweepPoint


def most_adapters(evidence: Evidence, model: str, mix: str) -> Quantity:
    """Return the largest number of adapters of a mix that some number of slots serves without starving."""
    return Quantity(max(_best(evidence, model, mix)))


def best_adapter_throughput(evidence: Evidence, model: str, mix: str) -> Quantity:
    """Return the most throughput, tok/s, at the largest number of adapters that is served without starving."""
    best = _best(evidence, model, mix)
    return best[max(best)].metrics["total_tok_s"]


def slot_regret(evidence: Evidence, model: str, mix: str, slots: int) -> Quantity:
    """Return what a fixed number of slots loses of the best throughput, %, at that number of adapters."""
    best = _best(evidence, model, mix)
    adapters = max(best)
    for point in _own(evidence, model, mix):
        if (point.number(ADAPTERS), point.number(SLOTS)) == (adapters, slots):
            value = point.value("total_tok_s")
            if value is not None:
                return Quantity(100 * (1 - value / best[adapters].metrics["total_tok_s"].value))
    raise NotEvaluatedError(f"no run of {model}, mix '{mix}', with {adapters:g} adapters and {slots} slots")


def learned_error(evidence: Evidence) -> Quantity:
    """Return the halved SMAPE, %, of the throughput that the learned answer gives for populations held out whole.

    It is the error of the model behind the latest learned advice in the store (`learn-adapters` measures it).
    """
    rows = evidence.store.query(
        "SELECT facts FROM advice WHERE advisor = 'adapter_caching' AND facts LIKE '%throughput_smape_halved%' "
        "ORDER BY advised_at"
    ).to_pylist()
    if not rows:
        raise NotEvaluatedError(
            "no learned answer in this store; python -m framework learn-adapters, then "
            "advisor.adapter_caching.method=learned"
        )
    return Quantity(float(json.loads(rows[-1]["facts"])["model_throughput_smape_halved"]))


def _own(evidence: Evidence, model: str, mix: str) -> list[SweepPoint]:
    return [point for point in slot_points(evidence.points) if mix_of(point) == (model, mix)]


def _best(evidence: Evidence, model: str, mix: str) -> dict[float, SweepPoint]:
    own = _own(evidence, model, mix)
    if not own:
        raise NotEvaluatedError(f"no sweep over adapters and slots of {model}, mix '{mix}'")
    best = best_slots(own)
    if not best:
        raise NotEvaluatedError(f"every run of {model}, mix '{mix}', starves")
    return best
