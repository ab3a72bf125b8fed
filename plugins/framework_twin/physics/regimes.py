"""Below, at or above saturation: the regimes in which errors are kept apart."""

from __future__ import annotations

from framework_serving.metrics.shared_rules import STARVED_BELOW

EVERY_REGIME = "all"
_KNEE_SHARE = 0.98


def saturation_regime(served_share: float) -> str:
    """Return `below`, `at` or `above` saturation from the share of the offered tokens that is served.

    At least 98 % is below saturation; what the serving metrics call starved is above it.
    """
    if served_share < STARVED_BELOW:
        return "above"
    return "at" if served_share < _KNEE_SHARE else "below"
