"""Golden numbers of both factor sets: STEAM (one RoPax, production code of the same model), EPA (its unit tests)."""

from __future__ import annotations

import numpy as np
import pytest
from framework_maritime.emissions import epa, steam

from framework.errors import ConfigError


def close(value: object, golden: float) -> None:
    assert float(np.asarray(value)) == pytest.approx(golden, rel=1e-3)


def test_main_power_of_a_ropax_follows_the_cube_of_speed_and_is_flat_above_the_design_speed() -> None:
    close(steam.main_power_kw(19.7, 18_006, 21.4), 10_485.12)
    top = steam.main_power_kw(21.9, 18_006, 21.4)
    close(steam.main_power_kw(40.0, 18_006, 21.4), float(top))
    close(steam.main_power_kw(0.0, 18_006, 21.4), 0.0)


def test_auxiliary_power_of_a_cargo_ship_depends_on_the_phase_and_is_capped() -> None:
    assert steam.auxiliary_power_kw([0.5, 3, 12], 1_100, False).tolist() == [1_000, 1_100, 750]
    assert steam.auxiliary_power_kw([0.5, 3, 12], np.nan, False).tolist() == [1_000, 1_250, 750]
    assert steam.auxiliary_power_kw([0.0, 20.0], 9_000, True).tolist() == [4_000, 4_000]


@pytest.mark.parametrize(
    ("value", "golden"),
    [
        (steam.sox(166, 0.001), 0.33166),
        (steam.co2(166), 517.040),
        (steam.nox(500), 12.9843),
        (steam.nox(514), 12.9128),
        (steam.nox(np.nan), 12.9128),
        (steam.sox(200, 0.001), 0.39958),
        (steam.co2(200), 622.940),
        (steam.pm(0.8, 0.001), 0.21677),
        (steam.pm(0.8, 0.027), 1.66700),
        (steam.pm(0.1, 0.001), 0.31827),
        (steam.base_sfoc(500, 1980), 215),
        (steam.base_sfoc(200, 2010), 175),
        (steam.base_sfoc(np.nan, np.nan), 200),
    ],
)
def test_steam_factors_have_their_golden_values(value: object, golden: float) -> None:
    close(value, golden)


def test_ratios_of_a_months_totals_hold_for_any_track_of_that_ship() -> None:
    close(steam.co2(166) / steam.nox(500), 39.82)
    close(steam.co2(166) / steam.sox(166, 0.001), 1559)


@pytest.mark.parametrize(
    ("pollutant", "role", "kind", "inside", "tier", "load", "golden"),
    [
        ("co", "main", "ssd", True, 0, None, 1.4),
        ("co", "main", "msd", True, 0, None, 1.1),
        ("co", "main", "st", True, 0, None, 0.2),
        ("co", "main", "lng", True, 0, None, 1.3),
        ("co", "aux", "hsd", True, 0, None, 0.9),
        ("co", "boiler", "", True, 0, None, 0.2),
        ("hc", "main", "ssd", True, 0, None, 0.6),
        ("hc", "main", "gt", True, 0, None, 0.1),
        ("hc", "aux", "msd", True, 0, None, 0.4),
        ("hc", "boiler", "", True, 0, None, 0.1),
        ("nox", "main", "ssd", True, 0, None, 17.0),
        ("nox", "main", "ssd", False, 0, None, 18.1),
        ("nox", "main", "msd", False, 0, None, 14.0),
        ("nox", "main", "gt", True, 0, None, 5.7),
        ("nox", "main", "ssd", True, 1, None, 16.0),
        ("nox", "main", "msd", False, 1, None, 13.0),
        ("nox", "main", "ssd", False, 2, None, 15.3),
        ("nox", "main", "msd", True, 3, None, 2.6),
        ("nox", "main", "ssd", True, 3, 0.5, 3.4),
        ("nox", "main", "ssd", True, 3, 0.2, 14.4),
        ("nox", "boiler", "", True, 0, None, 2.0),
        ("nox", "boiler", "", False, 0, None, 2.1),
        ("co2", "main", "ssd", True, 0, None, 593.11),
        ("co2", "main", "ssd", False, 0, None, 607.23),
        ("co2", "main", "msd", False, 0, None, 669.51),
        ("co2", "main", "gt", True, 0, None, 961.8),
        ("co2", "aux", "hsd", False, 0, None, 706.878),
        ("co2", "boiler", "", False, 0, None, 949.77),
        ("co2", "main", "ssd", True, 0, 0.06, 734.886),
        ("co2", "main", "ssd", False, 0, 0.54, 625.009),
        ("co2", "main", "ssd", True, 0, 0.79, 594.928),
        ("co2", "main", "msd", True, 0, 0.06, 814.333),
        ("co2", "main", "msd", False, 0, 0.54, 689.112),
        ("co2", "main", "lng", True, 0, 0.79, 457.899),
        ("pm10", "main", "gt", True, 0, None, 0.01),
        ("pm10", "main", "st", True, 0, None, 0.16),
    ],
)
def test_epa_factors_have_their_golden_values(
    pollutant: str, role: str, kind: str, inside: bool, tier: int, load: float | None, golden: float
) -> None:
    close(epa.factor(pollutant, role, kind, inside, tier, load), golden)


def test_epa_fuel_consumption_and_particles_follow_load_and_sulphur() -> None:
    close(epa.bsfc_at_load(195, 0.5), 202.556)
    close(epa.bsfc_at_load(300, 0.7), 301.785)
    assert epa.bsfc_at_load(195, None) == 195
    close(epa.factor("pm10", "main", "ssd", True), 0.1545 + 0.1 * 185 * 2.247 * 7 * 1e-4)
    close(epa.factor("pm10", "aux", "msd", False), 0.5761 + 0.5 * 227 * 2.247 * 7 * 1e-4)


def test_a_factor_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="'so3'"):
        epa.factor("so3", "main", "ssd", True)
    with pytest.raises(ConfigError, match="engine kind 'gt' for 'aux'"):
        epa.factor("co", "aux", "gt", True)
