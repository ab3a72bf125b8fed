"""Arrow schemas of the tables of a camera's run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


TRUTH, TEACHER, GENERIC, STUDENT = "truth", "teacher", "generic", "student"
"""Sources of boxes in the table `camera_boxes`: `student` is the one that the run ended with."""


def schemas() -> dict[str, pa.Schema]:
    """Return schema by table."""
    import pyarrow as pa

    number, whole, text = pa.float64(), pa.int64(), pa.string()
    return {
        "camera_pictures": pa.schema(
            [("frame", whole), ("width", whole), ("height", whole), ("jpeg", pa.binary())]
        ),
        "camera_boxes": pa.schema(
            [("frame", whole), ("source", text), ("label", whole), ("score", number)]
            + [(name, number) for name in ("left_px", "top_px", "right_px", "bottom_px")]
        ),
        "camera_motion": pa.schema([("row", whole), ("col", whole), ("share", number)]),
        "camera_windows": pa.schema(
            [
                ("first_frame", whole),
                ("last_frame", whole),
                ("map", number),
                ("agreement", number),
                ("retrained", whole),
            ]
        ),
        "camera_fleet": pa.schema(
            [
                ("camera", whole),
                ("site", whole),
                ("fleet_group", whole),
                ("map", number),
                ("generic_map", number),
            ]
        ),
    }
