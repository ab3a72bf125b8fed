"""The engine's own command line for the knobs of a MapReduce run, to be pasted where a Hadoop client is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from framework.configuration.plain_values import from_plain
from framework_hadoop import knobs
from framework_hadoop.benchmarks.data_size import parse_size
from framework_hadoop.benchmarks.settings import HadoopSettings

_JOB = "YOUR_JOB.jar"


def paste_commands(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield `hadoop jar YOUR_JOB.jar -D…` with the properties of the knobs; nothing for a run of another engine.

    The number of map tasks is a size of splits, from the size of the run's input: with another input, scale it.
    """
    backend, workload = config.get("backend") or {}, config.get("workload") or {}
    if backend.get("name") != "hadoop":
        return
    known = {field.name for field in fields(HadoopSettings)}
    settings = from_plain(HadoopSettings, {key: backend[key] for key in known & backend.keys()}, "backend")
    sizes = [workload[key] for key in ("size", "max_size") if workload.get(key)]
    input_bytes = min((parse_size(str(size), "workload.size") for size in sizes), default=0)
    values = knobs.set_values(settings)
    if not input_bytes:
        values.pop("maps", None)
    properties = knobs.job_properties(values, "cluster", input_bytes, settings.jvm_options)
    pairs = {**properties, **settings.properties}
    yield shlex.join(["hadoop", "jar", _JOB, *(f"-D{name}={value}" for name, value in pairs.items())])
