"""Measured data that the project does not ship: `../shared/data` beside the checkout, where somebody has put them.

Every promise that such a test proves is also proved on figures or files of our own (`published_runs.csv`, or made in
the test). What needs the whole tables is skipped without them, and the last lines of pytest count those tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

MEASURED_DATA = Path(__file__).parents[2].parent / "shared" / "data"
SERVING_RUNS = MEASURED_DATA / "serving_runs_calibration.csv.gz"

REASON = "measured data that the project does not ship"


def needs_shared_data(*names: str) -> pytest.MarkDecorator:
    """Return the mark of a test that reads these files below `MEASURED_DATA`: skipped where one is not there."""
    missing = [name for name in names if not (MEASURED_DATA / name).exists()]
    return pytest.mark.skipif(bool(missing), reason=f"{REASON}: ../shared/data/{', '.join(missing)}")
