"""Arrow schemas of the tables of a maritime run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def schemas() -> dict[str, pa.Schema]:
    """Return schema by table; a null is what nobody knows."""
    import pyarrow as pa

    number, whole = pa.float64(), pa.int64()
    ship = [("ship_id", whole), ("ship_type", pa.string()), ("complete_record", pa.bool_())]
    ship += [
        (name, number) for name in ("main_kw", "main_kw_low", "main_kw_high", "co2_low_kg", "co2_high_kg")
    ]
    ship += [("total_variance_share", number)]
    ship += [(f"{name}_kg", number) for name in ("co2", "nox", "sox", "pm", "co", "hc")]
    cells = [("lat_deg", number), ("lon_deg", number), ("hour", whole), ("co2_kg", number)]
    points = [
        ("ship_id", whole),
        ("t_s", number),
        ("lat_deg", number),
        ("lon_deg", number),
        ("sog_kn", number),
    ]
    points += [("phase", whole)]
    errors = [("ship", whole), ("nrmse_turn", number), ("nrmse_speed", number), ("nrmse_depth", number)]
    return {
        "ship_emissions": pa.schema(ship),
        "emission_cells": pa.schema(cells),
        "track_points": pa.schema(points),
        "forecast_errors": pa.schema(errors),
    }
