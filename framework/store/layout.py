"""Where things lie in an outputs folder.

outputs/
    runs/<run_id>/          bundles (`bundle`)
    packs/<pack>/           compacted bundles (`compact`)
    running/<run_id>.json   markers of unfinished runs (`heartbeat`)
    sweeps/<sweep_id>.json  plans of sweeps (`sweep_plans`), their jobs on a cluster next to them
    advice/, predictions/, recordings/   what was said about runs, and recorded runs (`side_files`)
    profiles/, reports/     profiles fitted for the twin, HTML reports
    framework.duckdb        the database, made from all of the above (`ingest`)
"""

from __future__ import annotations

from pathlib import Path

RUNS_FOLDER = "runs"
PACKS_FOLDER = "packs"
RUNNING_FOLDER = "running"
SWEEPS_FOLDER = "sweeps"
DATABASE_FILE = "framework.duckdb"
LOCK_FILE = ".writer.lock"


def runs_folder(outputs: Path | str) -> Path:
    """Return the folder of the bundles."""
    return Path(outputs) / RUNS_FOLDER


def packs_folder(outputs: Path | str) -> Path:
    """Return the folder of the compacted bundles."""
    return Path(outputs) / PACKS_FOLDER


def running_folder(outputs: Path | str) -> Path:
    """Return the folder of the markers."""
    return Path(outputs) / RUNNING_FOLDER


def sweeps_folder(outputs: Path | str) -> Path:
    """Return the folder of the plans of sweeps."""
    return Path(outputs) / SWEEPS_FOLDER


def has_database(outputs: Path | str) -> bool:
    """Return whether there is a database; an empty file, which a full disk may leave, is none."""
    path = database_path(outputs)
    return path.is_file() and path.stat().st_size > 0


def database_path(outputs: Path | str) -> Path:
    """Return the path of the published database."""
    return Path(outputs) / DATABASE_FILE
