"""From settings and a workload to the plan of the load client."""

from __future__ import annotations

from collections.abc import Sequence

from framework.contracts import WorkloadTables
from framework.errors import ConfigError
from framework_vllm.client.load_contracts import LoadPlan, Routing, SaturationRule, Target
from framework_vllm.engine.command_line import adapter_name
from framework_vllm.models.model_source import model_shape
from framework_vllm.settings import VllmSettings

_LOWEST_TOKEN = 16
_SHARE_OF_VOCABULARY = 0.95
"""Special tokens stand among the first few ids (Llama, OPT) or in the last percents (Llama 3, Qwen)."""


def vocabulary(settings: VllmSettings) -> range:
    """Return the token ids that prompts may hold: the model's, but for those where special tokens stand.

    Raises:
        ConfigError: neither `backend.vocabulary` nor the model's size is known.
    """
    if settings.vocabulary is not None:
        first, last = settings.vocabulary
        return range(first, last + 1)
    shape = model_shape(settings)
    if shape is None:
        raise ConfigError(
            "backend.vocabulary: [first, last] token id is needed, because the size of the model's "
            "vocabulary is unknown"
        )
    return range(min(_LOWEST_TOKEN, shape.vocab // 2), max(int(shape.vocab * _SHARE_OF_VOCABULARY), 1))


def load_plan(
    settings: VllmSettings, workload: WorkloadTables, targets: Sequence[Target], seed: int
) -> LoadPlan:
    """Return what the client is to do."""
    requests = workload.tables["requests"]
    routing: Routing = "least_load" if settings.router == "least_load" else "round_robin"
    identities = requests["adapter_id"].drop_null().unique().to_pylist()
    return LoadPlan(
        requests=requests,
        targets=tuple(targets),
        vocabulary=vocabulary(settings),
        seed=seed,
        adapter_names={identity: adapter_name(identity) for identity in identities},
        routing=routing,
        concurrency=open_requests(settings, workload),
        horizon_s=workload.facts.get("horizon_s"),
        warmup_requests=settings.warmup_requests,
        processes=settings.client_processes,
        request_timeout_s=settings.request_timeout_s,
        retries=settings.retries,
        prefix_block_tokens=workload.facts.get("prefix_block_tokens"),
        saturation=SaturationRule() if settings.saturation_stop else None,
        extra_body=settings.extra_body,
    )


def open_requests(settings: VllmSettings, workload: WorkloadTables) -> int | None:
    """Return how many requests the client keeps open at most; None: as many as arrive.

    Raises:
        ConfigError: both the backend and the workload say it.
    """
    users: int | None = workload.facts.get("concurrency")
    if settings.concurrency is None:
        return users
    if users is not None:
        raise ConfigError(
            "backend.concurrency: the workload has its own (workload.arrivals.concurrency); set one of the two"
        )
    return settings.concurrency
