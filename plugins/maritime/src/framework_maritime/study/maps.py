"""What a map shows: emissions by cell and hour of the day, and track points with their phase."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from framework_maritime.emissions.activity import Segments
from framework_maritime.study.fleet_tables import FleetTables

Array = npt.NDArray[np.float64]

CELL_DEG = 0.02
MOST_POINTS = 6_000
PHASE_COUNT = 4


def emission_cells(pieces: Segments, co2_g: Array) -> pa.Table:
    """Return kilograms of CO2 by cell (0.02 degrees) and hour of the day.

    A ship's mass is spread over its track by time × (1 + speed³): hotel load and propulsion, as the power law has it.
    """
    weight = pieces.duration_s * (1.0 + (pieces.speed_kn / 5.0) ** 3)
    total = np.bincount(pieces.ship, weight, len(co2_g))
    with np.errstate(divide="ignore", invalid="ignore"):
        mass = np.nan_to_num(co2_g)[pieces.ship] * weight / total[pieces.ship] / 1e3
    lat = np.floor(pieces.lat_deg / CELL_DEG).astype(np.int64)
    lon = np.floor(pieces.lon_deg / CELL_DEG).astype(np.int64)
    hour = (pieces.t_s // 3600 % 24).astype(np.int64)
    keys, where = np.unique(np.stack([lat, lon, hour], axis=1), axis=0, return_inverse=True)
    kilograms = np.bincount(np.ravel(where), mass, len(keys)) if len(keys) else np.zeros(0)
    return pa.table(
        {
            "lat_deg": (keys[:, 0] + 0.5) * CELL_DEG,
            "lon_deg": (keys[:, 1] + 0.5) * CELL_DEG,
            "hour": keys[:, 2],
            "co2_kg": kilograms,
        }
    )


def track_points(fleet: FleetTables, seed: int) -> pa.Table:
    """Return an even sample of positions with the phase that k-means gives them, slowest phase first."""
    from sklearn.cluster import KMeans

    columns = fleet.columns
    rows = np.arange(len(fleet.ship))[:: max(1, len(fleet.ship) // MOST_POINTS)]
    features = np.stack(
        [
            columns["sog_kn"][rows] / 5.0,
            np.log1p(np.abs(columns["turn_deg_min"][rows])),
            columns["depth_level"][rows],
        ],
        axis=1,
    )
    count = min(PHASE_COUNT, len(np.unique(features, axis=0)))
    labels = (
        KMeans(count, n_init=4, random_state=seed).fit_predict(features)
        if count > 1
        else np.zeros(len(rows), int)
    )
    speed = np.array([columns["sog_kn"][rows][labels == label].mean() for label in range(max(1, count))])
    rank = np.argsort(np.argsort(speed))
    return pa.table(
        {
            "ship_id": np.asarray(fleet.register.table["ship_id"].to_numpy())[fleet.ship[rows]],
            "t_s": columns["t_s"][rows],
            "lat_deg": columns["lat_deg"][rows],
            "lon_deg": columns["lon_deg"][rows],
            "sog_kn": columns["sog_kn"][rows],
            "phase": rank[labels].astype(np.int64),
        }
    )
