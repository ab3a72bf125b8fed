"""Operator tables kept on disk: the first look at a model on a GPU takes a second or two, later ones milliseconds.

The name of a file holds all that the tables follow from: shape, GPU, deployment, version of the package, our sources.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from framework.identity.fingerprint import source_fingerprint
from framework.identity.run_key import canonical_hash
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.step_tables import StepTables

Tables = Callable[[ModelShape, GpuSpec, Deployment], StepTables]


def kept_tables(shape: ModelShape, gpu: GpuSpec, deployment: Deployment, make: Tables) -> StepTables:
    """Return the tables that `make` returns, from the file of an earlier call where there is one."""
    file = _folder() / f"{_key(shape, gpu, deployment)}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return StepTables.of_plain(json.loads(file.read_text(encoding="utf-8")))
    tables = make(shape, gpu, deployment)
    with suppress(OSError):  # a home that can't be written to costs a second, not the run
        _write(file, json.dumps(tables.plain()))
    return tables


def _write(file: Path, text: str) -> None:
    """Write a file whole or not at all: several processes may look at one model at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as stream:
        stream.write(text)
    Path(stream.name).replace(file)


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "framework-lab" / "operators"


def _key(shape: ModelShape, gpu: GpuSpec, deployment: Deployment) -> str:
    parts = [{**asdict(shape), "name": ""}, asdict(gpu), asdict(deployment), _package(), _sources()]
    return str(canonical_hash(parts))


@cache
def _package() -> str:
    try:
        return version("aiconfigurator-core")
    except PackageNotFoundError:
        return ""


@cache
def _sources() -> str:
    return str(source_fingerprint(Path(__file__).parent, (".py",)))
