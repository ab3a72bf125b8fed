"""From positions to seconds and grams."""

from __future__ import annotations

import numpy as np
import pytest
from framework_maritime.emissions.activity import activity, segments
from framework_maritime.emissions.totals import Engines, grams_by_ship, grams_of_pieces
from framework_maritime.emissions.zones import in_control_area, sulphur_share
from hypothesis import given, settings
from hypothesis import strategies as st

T0 = 1_748_736_000.0  # 2025-06-01


def fleet(ships: int) -> Engines:
    ones = np.ones(ships)
    return Engines(
        18_006 * ones, 4 * ones, 21.4 * ones, 500 * ones, 4_500 * ones, 2005 * ones, np.zeros(ships, bool)
    )


def track(speeds: np.ndarray, period_s: float) -> tuple[np.ndarray, ...]:
    rows = len(speeds)
    return (
        np.zeros(rows, np.int64),
        T0 + period_s * np.arange(rows),
        np.full(rows, 2.2),
        np.full(rows, 41.3),
        speeds,
    )


def test_steps_of_10_and_60_seconds_agree_on_a_smooth_track() -> None:
    speeds = 10 + 8 * np.sin(np.arange(600) / 50)
    mass = [
        grams_by_ship(fleet(1), activity(segments(*track(speeds, 60.0), step_s=step), 1))["co2"][0]
        for step in (10.0, 60.0)
    ]
    assert mass[0] == pytest.approx(mass[1], rel=0.01)


def test_a_gap_of_more_than_15_minutes_adds_nothing() -> None:
    ship, t, lon, lat, speed = track(np.full(100, 12.0), 60.0)
    whole = segments(ship, t, lon, lat, speed)
    later = segments(ship, np.where(np.arange(100) >= 50, t + 901, t), lon, lat, speed)
    assert whole.duration_s.sum() == 99 * 60
    assert later.duration_s.sum() == 98 * 60


def test_a_ship_at_rest_runs_its_auxiliary_engines_and_not_its_main_engines() -> None:
    done = activity(segments(*track(np.zeros(61), 60.0)), 1)
    mass = grams_by_ship(fleet(1), done)["co2"][0]
    assert mass == pytest.approx(1_000 * 225 * 0.85 / 12.01 * 44.00886, rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(1, 98))
def test_emissions_add_up_over_parts_of_a_track_and_over_ships(seed: int, cut: int) -> None:
    random = np.random.default_rng(seed)
    ship, t, lon, lat, speed = track(random.uniform(0, 25, 100), 60.0)
    whole = grams_of_pieces(fleet(1), segments(ship, t, lon, lat, speed))
    parts = [
        grams_of_pieces(fleet(1), segments(*(column[rows] for column in (ship, t, lon, lat, speed))))
        for rows in (slice(0, cut + 1), slice(cut, 100))
    ]
    for name, values in whole.items():
        assert values.sum() == pytest.approx(sum(part[name].sum() for part in parts))
    two = [
        np.concatenate([a, b])
        for a, b in zip((ship, t, lon, lat, speed), (ship + 1, t, lon, lat, speed), strict=True)
    ]
    both = grams_by_ship(fleet(2), activity(segments(*two), 2))
    assert both["nox"][0] == pytest.approx(both["nox"][1])


def test_sums_by_speed_bin_equal_sums_over_pieces() -> None:
    pieces = segments(*track(np.random.default_rng(0).uniform(0, 25, 2_000), 60.0))
    by_bin = grams_by_ship(fleet(1), activity(pieces, 1))
    for name, values in grams_of_pieces(fleet(1), pieces).items():
        assert by_bin[name][0] == pytest.approx(values.sum(), rel=2e-3)


def test_sulphur_follows_place_date_and_berth() -> None:
    at_sea = (np.array([-30.0]), np.array([30.0]))
    barcelona = (np.array([2.3]), np.array([41.2]))

    def share(place: tuple[np.ndarray, np.ndarray], day: str, speed: float = 12.0) -> float:
        t = np.array([np.datetime64(day).astype("datetime64[s]").astype(float)])
        return float(sulphur_share(*place, t, np.array([speed]))[0])

    assert share(at_sea, "2019-12-31") == pytest.approx(0.035)
    assert share(at_sea, "2020-01-01") == pytest.approx(0.005)
    assert share(barcelona, "2025-04-30") == pytest.approx(0.005)
    assert share(barcelona, "2025-05-01") == pytest.approx(0.001)
    assert share(barcelona, "2024-01-01", speed=0.0) == pytest.approx(0.001)
    assert in_control_area(*barcelona, np.array([T0]))[0]
    assert not in_control_area(*at_sea, np.array([T0]))[0]
