"""Column layouts of published AIS files: which column holds what, found by the header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from framework.errors import InputError


@dataclass(frozen=True)
class Layout:
    """Where a file keeps what, by lower-case column name.

    Attributes:
        name: of the layout.
        columns: our name → the file's.
        time_format: `strptime` format of a time that isn't ISO 8601; None for ISO.
        optional: columns that a file may lack.
    """

    name: str
    columns: Mapping[str, str]
    time_format: str | None = None
    optional: Sequence[str] = field(
        default=("turn_deg_min", "nav_status", "ship_type", "length_m", "depth_level")
    )


LAYOUTS = (
    Layout(
        "danish",
        {
            "t_s": "# timestamp",
            "ship_id": "mmsi",
            "lat_deg": "latitude",
            "lon_deg": "longitude",
            "sog_kn": "sog",
            "turn_deg_min": "rot",
            "nav_status": "navigational status",
            "ship_type": "ship type",
            "length_m": "length",
        },
        "%d/%m/%Y %H:%M:%S",
    ),
    Layout(
        "us",
        {
            "t_s": "basedatetime",
            "ship_id": "mmsi",
            "lat_deg": "lat",
            "lon_deg": "lon",
            "sog_kn": "sog",
            "ship_type": "vesseltype",
            "nav_status": "status",
            "length_m": "length",
        },
    ),
    Layout(
        "us_2024",
        {
            "t_s": "base_date_time",
            "ship_id": "mmsi",
            "lat_deg": "latitude",
            "lon_deg": "longitude",
            "sog_kn": "sog",
            "ship_type": "vessel_type",
            "nav_status": "status",
            "length_m": "length",
        },
    ),
    Layout(
        "norwegian",
        {
            "t_s": "date_time_utc",
            "ship_id": "mmsi",
            "lat_deg": "lat",
            "lon_deg": "lon",
            "sog_kn": "sog",
            "nav_status": "nav_status",
            "turn_deg_min": "rot",
            "length_m": "length",
        },
    ),
    Layout(
        "norwegian_long",
        {
            "t_s": "date_time_utc",
            "ship_id": "mmsi",
            "lat_deg": "latitude",
            "lon_deg": "longitude",
            "sog_kn": "speed_over_ground",
            "nav_status": "nav_status",
            "turn_deg_min": "rate_of_turn",
            "length_m": "ship_length",
        },
    ),
    Layout(
        "plain",
        {
            "t_s": "t_s",
            "ship_id": "ship_id",
            "lat_deg": "lat_deg",
            "lon_deg": "lon_deg",
            "sog_kn": "sog_kn",
            "turn_deg_min": "turn_deg_min",
            "depth_level": "depth_level",
        },
    ),
)


def layout_of(header: Sequence[str], file: str, wanted: str = "auto") -> Layout:
    """Return the layout that a header fits.

    Raises:
        InputError: no layout fits; names the file, what is missing for the nearest one, and the columns found.
    """
    names = {name.strip().lower() for name in header}
    nearest: tuple[int, Layout, list[str]] | None = None
    for layout in LAYOUTS:
        if wanted not in ("auto", layout.name):
            continue
        needed = [column for ours, column in layout.columns.items() if ours not in layout.optional]
        lacking = [column for column in needed if column not in names]
        if not lacking:
            return layout
        if nearest is None or len(lacking) < nearest[0]:
            nearest = (len(lacking), layout, lacking)
    if nearest is None:
        known = ", ".join(layout.name for layout in LAYOUTS)
        raise InputError(f"workload.layout: unknown layout '{wanted}' (known: auto, {known})")
    _, layout, lacking = nearest
    raise InputError(
        f"{file}: not an AIS table that is known; as layout '{layout.name}' it lacks {', '.join(lacking)}"
        f" (columns: {', '.join(sorted(names)[:20])})"
    )
