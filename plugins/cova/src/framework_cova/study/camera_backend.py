"""What the backends of this plugin share: typed settings, stages that can be built, the code a run depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from framework.contracts import WorkloadTables
from framework.errors import ConfigError, did_you_mean
from framework.identity.run_key import canonical_hash
from framework_cova.settings import StageSettings
from framework_cova.stages import build_stage
from framework_cova.study.camera_session import STAGES, code_hash


class CameraBackend:
    """A backend whose settings are of the class `kind`."""

    kind: type[StageSettings]

    def __init__(self, **keys: Any) -> None:
        self.settings: Any = read_settings(self.kind, keys)

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for a workload that is no camera, or a stage that can't be built."""
        if "camera" not in workload.tables:
            raise ConfigError(
                f"backend={self.settings.name} needs a camera: workload=camera_generated, camera_video, camera_folder"
            )
        for name in STAGES:
            build_stage(getattr(self.settings, name), f"backend.{name}")

    def fingerprint(self) -> str:
        """Return a text that changes with the code of a stage that isn't this plugin's own; see `Fingerprinted`."""
        from importlib.util import find_spec

        found = [code_hash()]
        for name in STAGES:
            module = str((getattr(self.settings, name) or {}).get("_target_", "")).rpartition(".")[0]
            if module and not module.startswith("framework_cova."):
                try:
                    spec = find_spec(module)
                except ModuleNotFoundError:
                    continue
                if spec and spec.origin and Path(spec.origin).is_file():
                    found.append(canonical_hash(Path(spec.origin).read_text(encoding="utf-8")))
        return " ".join(found)


def read_settings(kind: type[StageSettings], keys: Mapping[str, Any]) -> Any:
    """Return typed settings; raises `ConfigError` naming a key that is unknown or out of range."""
    names = {item.name for item in fields(kind)}
    for key in keys:
        if key not in names:
            raise ConfigError(f"configuration key 'backend.{key}': unknown key{did_you_mean(key, names)}")
    found = kind(**dict(keys))
    for key, least in (
        ("labels", 1),
        ("steps", 0),
        ("generic_scenes", 1),
        ("generic_steps", 1),
        ("adapt_frames", 1),
        ("gap_frames", 0),
        ("scored_frames", 1),
        ("score_every", 1),
    ):
        if getattr(found, key) < least:
            raise ConfigError(
                f"configuration key 'backend.{key}': must be at least {least}, got {getattr(found, key)}"
            )
    if not 0 <= found.min_score <= 1 or found.joules_per_gflop < 0:
        raise ConfigError(
            "configuration key 'backend.min_score': must lie in [0, 1], and joules_per_gflop must not be below 0, got"
            f" {found.min_score}, {found.joules_per_gflop}"
        )
    if not 0 <= found.rehearsal < 1:
        raise ConfigError(f"configuration key 'backend.rehearsal': must lie in [0, 1), got {found.rehearsal}")
    one_of(found.choose, "choose", ("motion", "random", "uncertain"))
    return found


def one_of(value: str, key: str, known: Sequence[str]) -> None:
    """Raise `ConfigError` unless a word is a known one."""
    if value not in known:
        raise ConfigError(
            f"configuration key 'backend.{key}': unknown {key} '{value}'{did_you_mean(value, known)}"
        )
