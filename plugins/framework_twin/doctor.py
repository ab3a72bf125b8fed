"""What this machine can do with the twin."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from framework.contracts import DoctorCheck

USER_FOLDER = Path("outputs") / "profiles"
"""Where profiles of the user are unless `outputs_dir` or `backend.profile_folder` says otherwise."""


def checks() -> Iterator[DoctorCheck]:
    """Yield whether shipped profiles are readable and whether new ones can be fitted."""
    from framework_twin.physics.profile import shipped_profiles

    names = [profile.name for profile in shipped_profiles()]
    own = [path.stem for path in sorted(USER_FOLDER.glob("*.yaml"))]
    of_yours = f"; of yours in {USER_FOLDER}: {', '.join(own)}" if own else ""
    yield DoctorCheck("twin profiles", bool(names), f"{len(names)} calibrated: {', '.join(names)}{of_yours}")
    fits = find_spec("scipy") is not None
    fix = "" if fits else "pip install 'framework-lab[calibrate]'"
    yield DoctorCheck("twin calibration", fits or None, "fits profiles from measured runs (scipy)", fix)
