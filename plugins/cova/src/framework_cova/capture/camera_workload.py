"""`workload=camera_…`: which camera; its frames are read when the run needs them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from framework.contracts import WorkloadTables
from framework.errors import ConfigError
from framework.identity.fingerprint import tables_hash
from framework_cova.stages import build_stage


class CameraWorkload:
    """One camera; see `CameraSettings`."""

    def __init__(
        self, name: str = "camera", seed: int = 0, skip: int = 0, capture: Mapping[str, Any] | None = None
    ) -> None:
        if skip < 0:
            raise ConfigError(f"configuration key 'workload.skip': must not be below 0, got {skip}")
        build_stage(capture, "workload.capture")  # a wrong key is told before anything starts
        self._skip, self._capture = skip, dict(capture or {})

    def build(self, seed: int) -> WorkloadTables:
        """Return the table `camera`: one row that says how to open it, and what it held when it was looked at."""
        path = str(self._capture.get("path") or "")
        tables = {
            "camera": pa.table(
                {
                    "capture": [json.dumps(self._capture, sort_keys=True)],
                    "skip": [self._skip],
                    "content": [_digest(path)],
                }
            )
        }
        return WorkloadTables(tables, tables_hash(tables), {"source": path or "generated"})


def _digest(path: str) -> str:
    """Return a digest of a file's or a folder's content; "" for what isn't on this disk."""
    if not path or "://" in path:
        return ""
    place = Path(path)
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()[:20]
