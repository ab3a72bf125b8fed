"""What a unit of work costs when machines are paid by the hour."""

from __future__ import annotations

from framework.quantity import Quantity

SECONDS_PER_HOUR = 3600.0


def cost_of_work(rate_per_s: Quantity, price_per_hour: float, machines: float, units: float) -> Quantity:
    """Return what `units` of work cost: price · machines · units / (3600 · rate), with the band of the rate.

    Args:
        rate_per_s: units of work that all machines together do in a second.
        price_per_hour: of one machine, in any currency; the cost is in the same.

    Raises:
        ValueError: a rate that is not above 0.
    """
    if rate_per_s.value <= 0:
        raise ValueError(f"a rate of {rate_per_s.value:g} does no work")
    spent = price_per_hour * machines * units / SECONDS_PER_HOUR
    low, high = rate_per_s.interval()
    return Quantity(spent / rate_per_s.value, spent / high, spent / low if low > 0 else None)
