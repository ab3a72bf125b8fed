"""Ship types: typical engines and behaviour, and the words that AIS and registers use for them."""

from __future__ import annotations

from dataclasses import dataclass

TYPES_SOURCE = "typical values of port registers; see docs, 'Synthetic fleet'"


@dataclass(frozen=True)
class ShipType:
    """A type of ship.

    Attributes:
        design_speed_kn, main_kw: median design speed and installed power.
        sigma: standard deviation of log power among ships of the type.
        turning: how much ships of the type turn, relative to a cargo ship under way.
        length_m: median length.
        rpm, engines: typical main engines.
        aux_kw: median installed auxiliary power.
        share: of the ships in a port.
        passenger: whether hotel load runs at all times.
    """

    name: str
    design_speed_kn: float
    main_kw: float
    sigma: float
    turning: float
    length_m: float
    rpm: float
    engines: int
    aux_kw: float
    share: float
    passenger: bool = False


SHIP_TYPES = {
    kind.name: kind
    for kind in (
        ShipType("tug", 12, 3_000, 0.25, 2.5, 32, 1000, 2, 200, 0.12),
        ShipType("cargo", 15, 9_000, 0.30, 0.6, 150, 500, 1, 1_500, 0.30),
        ShipType("container", 23, 45_000, 0.35, 0.5, 290, 102, 1, 7_000, 0.20),
        ShipType("ropax", 21, 18_000, 0.30, 0.9, 180, 500, 4, 4_500, 0.13, True),
        ShipType("cruise", 22, 60_000, 0.45, 0.7, 290, 514, 4, 9_000, 0.07, True),
        ShipType("fishing", 11, 900, 0.30, 3.0, 25, 1000, 1, 150, 0.18),
    )
}


def type_of_ais_code(code: int | None) -> str | None:
    """Return our type for an AIS ship-type number (ITU-R M.1371); None where it says too little."""
    if code is None:
        return None
    if code == 30:
        return "fishing"
    if code in (31, 32, 52):
        return "tug"
    if 60 <= code <= 69:
        return "ropax"
    if 70 <= code <= 79:
        return "cargo"
    return None


_WORDS = {
    "tug": "tug",
    "towing": "tug",
    "fishing": "fishing",
    "passenger": "ropax",
    "ro-pax": "ropax",
    "ferry": "ropax",
    "cruise": "cruise",
    "container": "container",
    "cargo": "cargo",
    "bulk": "cargo",
    "tanker": "cargo",
}


def type_of_word(text: str | None) -> str | None:
    """Return our type for a word in a register; None where it isn't known."""
    if not text:
        return None
    low = text.strip().lower()
    if low in SHIP_TYPES:
        return low
    return next((kind for word, kind in _WORDS.items() if word in low), None)
