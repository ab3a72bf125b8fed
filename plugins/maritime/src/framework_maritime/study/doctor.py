"""`doctor` lines of the maritime plugin."""

from __future__ import annotations

from importlib.util import find_spec

from framework.contracts import DoctorCheck

_OPTIONAL = (
    ("pyais", "nmea", "raw NMEA can be read", "workload=ais reads CSV only"),
    ("statsmodels", "forecast", "ARIMA is there as a baseline", "backend.learner=arima is not available"),
    ("ruptures", "phases", "change points by PELT", "phases --method pelt is not available"),
    ("torch", "gru", "a recurrent unit as second learner", "backend.learner=gru is not available"),
)


def checks() -> list[DoctorCheck]:
    """Return a line for each optional package."""
    found = []
    for package, extra, there, lacking in _OPTIONAL:
        present = find_spec(package) is not None
        fix = "" if present else f"pip install 'framework-maritime[{extra}]'"
        found.append(DoctorCheck(f"maritime: {package}", present, there if present else lacking, fix))
    return found
