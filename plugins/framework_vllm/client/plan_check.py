"""Finds what is wrong with a load plan before anything is sent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from framework_vllm.client.load_contracts import LoadError, LoadPlan
from framework_vllm.client.wire.request_bytes import DIALECTS, Endpoint, check_body_keys

if TYPE_CHECKING:
    import pyarrow as pa


def check_plan(plan: LoadPlan) -> None:
    """Raise `LoadError` naming the first thing that can't be."""
    if not sys.platform.startswith("linux"):
        raise LoadError("the load client needs Linux (epoll, memfd)")
    if not plan.targets:
        raise LoadError("no target to send requests to")
    for target in plan.targets:
        Endpoint.of(target.url)
    check_body_keys(plan.extra_body, plan.targets)
    if plan.dialect != "auto" and plan.dialect not in DIALECTS:
        raise LoadError(f"unknown dialect {plan.dialect!r} (known: auto, {', '.join(DIALECTS)})")
    if plan.routing not in ("round_robin", "least_load"):
        raise LoadError(f"unknown routing {plan.routing!r} (known: round_robin, least_load)")
    if len(plan.vocabulary) < 1 or plan.vocabulary.start < 0:
        raise LoadError(f"vocabulary {plan.vocabulary}: must be a range with at least one token id")
    for name, value, least in (
        ("concurrency", plan.concurrency, 1),
        ("processes", plan.processes, 1),
        ("retries", plan.retries, 0),
        ("warmup_requests", plan.warmup_requests, 0),
        ("seed", plan.seed, 0),
    ):
        if value is not None and value < least:
            raise LoadError(f"{name} is {value}, at least {least} is needed")
    for name, seconds in (("horizon_s", plan.horizon_s), ("request_timeout_s", plan.request_timeout_s)):
        if seconds is not None and not seconds > 0:
            raise LoadError(f"{name} is {seconds}, more than 0 is needed")
    if plan.has_sessions and plan.processes not in (None, 1):
        raise LoadError(f"processes is {plan.processes}, but one process sends all turns of sessions")
    _check_requests(plan)


def _check_requests(plan: LoadPlan) -> None:
    import numpy as np
    import pyarrow.compute as pc

    requests = plan.requests
    if requests.num_rows == 0:
        raise LoadError("no requests to send")
    arrivals = requests["arrival_s"].to_numpy()
    if not (np.isfinite(arrivals).all() and (np.diff(arrivals) >= 0).all() and arrivals[0] >= 0):
        raise LoadError("requests: arrival_s must be finite, at least 0 and in ascending order")
    for name in ("input_tokens", "output_tokens"):
        low = np.flatnonzero(requests[name].to_numpy() < 1)
        if len(low):
            raise LoadError(f"requests: row {low[0]} has {name} below 1")
    wanted = set(pc.unique(requests["adapter_id"].drop_null()).to_pylist())
    unnamed = sorted(wanted - set(plan.adapter_names))
    if unnamed:
        raise LoadError(f"requests: adapter {unnamed[0]} has no served name ({len(unnamed)} such)")
    if plan.has_sessions:
        _check_sessions(requests)
    if "prefix_block_hashes" in requests.column_names and not plan.prefix_block_tokens:
        raise LoadError("requests: prefix_block_hashes need prefix_block_tokens, the size of a block")


def _check_sessions(requests: pa.Table) -> None:
    ids = {identity: row for row, identity in enumerate(requests["request_id"].to_pylist())}
    followed: set[int] = set()
    for row, identity in enumerate(requests["follows"].to_pylist()):
        if identity is None:
            continue
        if ids.get(identity, row) >= row or identity in followed:
            raise LoadError(
                f"requests: row {row} follows {identity}, which must be an earlier request without another"
            )
        followed.add(identity)
