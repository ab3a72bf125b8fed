"""Carbon of energy: joules times what a kilowatt-hour emits where it was used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from framework.errors import InputError, did_you_mean

JOULES_PER_KWH = 3.6e6
_DATA = Path(__file__).with_name("grid_intensity.yaml")


@dataclass(frozen=True)
class GridIntensity:
    """What a kilowatt-hour emits.

    Attributes:
        g_per_kwh: grams of CO2-equivalent.
        source: country and year, or that the user gave it.
    """

    g_per_kwh: float
    source: str

    def grams(self, energy_j: float) -> float:
        """Return the emissions of an energy in grams."""
        return energy_j / JOULES_PER_KWH * self.g_per_kwh


def grid_intensity(text: str) -> GridIntensity:
    """Return the intensity that a text names: a number (g/kWh), or a country by its three letters.

    Raises:
        InputError: neither.
    """
    text = str(text).strip()
    try:
        number = float(text)
    except ValueError:
        number = None
    if number is not None:
        if not 0 <= number <= 5000:
            raise InputError(f"grid: {text} g/kWh is outside 0 to 5000")
        return GridIntensity(number, "as given")
    countries = _countries()
    found = countries.get(text.upper())
    if found is None:
        raise InputError(
            f"grid: '{text}' is not a country by its three letters or g/kWh{did_you_mean(text.upper(), countries)}"
        )
    return GridIntensity(float(found["g_per_kwh"]), f"{found['name']}, mean of {found['year']}")


@cache
def _countries() -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    found: dict[str, Any] = yaml.safe_load(_DATA.read_text())["countries"]
    return found
