"""The twin as a law: what it simulates for configurations that were run elsewhere, or never."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from framework.contracts import Law, RunContext, StoreReader, TableBlock, WorkloadTables
from framework.errors import UserError
from framework.identity.run_key import canonical_hash
from framework.quantity import Quantity
from framework.run.rebuild import rebuilt_workload, stored_settings

_NULL_ALLOWED = {"max_num_seqs", "enable_prefix_caching"}


def twin_law() -> Law:
    """Return the law; runs of the backend `twin` are its own."""
    return Law("twin", simulated, ("twin",), of_runs)


def simulated(metric: str, configs: Sequence[Mapping[str, Any]]) -> list[Quantity | None]:
    """Simulate configurations; None for what names no model, GPU or workload of ours, or can't be started."""
    workloads: dict[str, WorkloadTables | None] = {}
    jobs = []
    for config in configs:
        key = canonical_hash(config.get("workload"))
        if key not in workloads:
            workloads[key] = _workload(config)
        workload = workloads[key]
        described = all(isinstance(config.get(group), Mapping) for group in ("model", "gpu"))
        jobs.append((_settings(config), config, workload) if described and workload is not None else None)
    return list(_values(metric, jobs))


def of_runs(store: StoreReader, name: str) -> Sequence[TableBlock | str]:
    """Return the measured runs of a name next to what the twin gives for the very requests that they served."""
    from framework_twin.validation.run_by_run import measured_and_predicted

    return measured_and_predicted(store, name)


def _workload(config: Mapping[str, Any]) -> WorkloadTables | None:
    group = config.get("workload")
    if not isinstance(group, Mapping) or "_target_" not in group:
        return None
    try:
        built = rebuilt_workload(config)
    except (UserError, ValueError, TypeError):  # its file is not here: no value of the law
        return None
    return built if "requests" in built.tables else None


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of `backend=twin`; a null that it does not know as one is its default."""
    from framework_twin.settings import TwinSettings

    optional = {item.name for item in fields(TwinSettings) if "None" in str(item.type)} | _NULL_ALLOWED
    settings = stored_settings(config, {item.name for item in fields(TwinSettings)})
    return {key: value for key, value in settings.items() if value is not None or key in optional}


def _values(metric: str, jobs: Sequence[Any]) -> Iterator[Quantity | None]:
    from framework_serving.metrics.serving_metrics import derive
    from framework_twin.backend import TwinBackend

    for job in jobs:
        if job is None:
            yield None
            continue
        settings, config, workload = job
        try:
            backend = TwinBackend(**settings)
            backend.check(workload)
            result = backend.run(workload, RunContext("", {}, 0, Path()))
        except (UserError, ValueError, TypeError):  # nothing that the twin models
            yield None
            continue
        found = {item.name: item for item in (*result.metrics, *derive(config, workload, result, {metric}))}
        answer = found.get(metric)
        known = answer is not None and answer.value is not None
        yield Quantity(answer.value, answer.low, answer.high) if known else None  # type: ignore[union-attr,arg-type]
