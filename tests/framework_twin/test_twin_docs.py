"""docs/twin_physics.md lists the settings that only the twin has."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from framework_serving.engine_knobs import ReplicaKnobs
from framework_twin.settings import TwinSettings

PAGE = (Path(__file__).parents[2] / "docs" / "twin_physics.md").read_text()


def test_every_setting_of_the_twin_alone_is_documented() -> None:
    table = PAGE.partition("\n## Settings\n")[2].partition("\n## ")[0]
    shared = {field.name for field in fields(ReplicaKnobs)} | {"_target_", "name"}
    own = {field.name for field in fields(TwinSettings)} - shared
    assert len(own) >= 5
    assert {name for name in own if f"| `{name}` |" not in table} == set()
