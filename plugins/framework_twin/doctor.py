"""What this machine can do with the twin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from framework.contracts import DoctorCheck

USER_FOLDER = Path("outputs") / "profiles"
"""Where profiles of the user are unless `outputs_dir` or `backend.profile_folder` says otherwise."""


def checks() -> Iterator[DoctorCheck]:
    """Yield whether shipped profiles are readable, and which are the user's own."""
    from framework_twin.physics.profile import shipped_profiles

    names = [profile.name for profile in shipped_profiles()]
    own = [path.stem for path in sorted(USER_FOLDER.glob("*.yaml"))]
    of_yours = f"; your own in {USER_FOLDER}: {', '.join(own)}" if own else ""
    yield DoctorCheck("twin profiles", bool(names), f"{len(names)} calibrated: {', '.join(names)}{of_yours}")
