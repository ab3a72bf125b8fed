"""From a load and what the engines said of themselves to the result of a run."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from framework.contracts import Json, Metric, Result
from framework_vllm.client.load_contracts import LoadOutcome
from framework_vllm.engine.device_check import device_check, machine_facts
from framework_vllm.engine_metrics.agreement import agreement
from framework_vllm.engine_metrics.engine_counts import engine_metrics
from framework_vllm.engine_metrics.record import EngineRecord, engine_record, histograms_table, samples_table
from framework_vllm.models.model_source import model_shape
from framework_vllm.server.engine_facts import plain_facts
from framework_vllm.server.start_failures import EngineDiedError, LoadFailedError

if TYPE_CHECKING:
    import pyarrow as pa

    from framework_vllm.engine_metrics.scraper import MetricScraper
    from framework_vllm.server.serving_engines import ServingEngines
    from framework_vllm.settings import VllmSettings

DEATH_PATIENCE_S = 3.0
_POLL_S = 0.05


def run_result(
    settings: VllmSettings,
    engines: ServingEngines,
    load: LoadOutcome,
    scraper: MetricScraper,
) -> Result:
    """Return tables, metrics, facts and checks of a run.

    Raises:
        EngineDiedError: an engine is gone.
        LoadFailedError: more requests failed than `max_failed_share` allows.
    """
    _check_failures(load.requests, settings.max_failed_share, engines)
    record = engine_record(scraper.servers, load.t0_monotonic_s)
    tables: dict[str, pa.Table] = {"requests": load.requests, "client_requests": load.client_requests}
    for name, table in (("samples", samples_table(record)), ("engine_histograms", histograms_table(record))):
        if table is not None:
            tables[name] = table
    facts = {**load.facts, **_facts(settings, engines, load, record)}
    checks = [*agreement(load, record), *device_check(settings, engines.platform)]
    return Result([*load.metrics, *_metrics(load, record)], tables, facts, checks)


def _metrics(load: LoadOutcome, record: EngineRecord) -> list[Metric]:
    known = {metric.name for metric in load.metrics}
    return [metric for metric in engine_metrics(record) if metric.name not in known]


def death_of(engines: ServingEngines, patience_s: float) -> EngineDiedError | None:
    """Return why an engine is gone; None if all are there, also after so many seconds.

    Its connections break a moment before its last process has ended.
    """
    deadline = time.monotonic() + (patience_s if engines.ours else 0.0)
    while (found := engines.failure()) is None and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return None if found is None else EngineDiedError(found)


def _check_failures(requests: pa.Table, allowed_share: float, engines: ServingEngines) -> None:
    """Raise an error if an engine is gone, or if too many requests failed: then with the commonest error."""
    import pyarrow.compute as pc

    failed = requests.filter(pc.equal(requests["status"], "failed"))
    arrived = requests.num_rows - (pc.sum(pc.equal(requests["status"], "not_arrived")).as_py() or 0)
    too_many = failed.num_rows > allowed_share * arrived
    death = death_of(engines, DEATH_PATIENCE_S if too_many else 0.0)
    if death is not None:
        raise death
    if too_many:
        error, count = Counter(failed["error"].to_pylist()).most_common(1)[0]
        raise LoadFailedError(
            f"{failed.num_rows} of {arrived} requests failed (backend.max_failed_share={allowed_share:g}), "
            f"{count} of them: {error}"
        )


def _facts(
    settings: VllmSettings, engines: ServingEngines, load: LoadOutcome, record: EngineRecord
) -> dict[str, Json]:
    facts: dict[str, Json] = {"duration_s": load.duration_s, "gpus": settings.gpu_count}
    if engines.facts:
        facts |= plain_facts(engines.facts[0])
    shape, block_tokens = model_shape(settings), facts.get("kv_block_tokens")
    if shape is not None and block_tokens:
        facts["kv_block_bytes"] = shape.kv_bytes_per_token * block_tokens
    if engines.start_s:
        facts["engine_start_s"] = [round(seconds, 2) for seconds in engines.start_s]
    if record.trouble:
        facts["engine_metrics_missing"] = record.trouble
    facts |= machine_facts(engines.platform)
    return facts
