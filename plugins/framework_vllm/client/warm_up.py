"""Requests before the load that no result contains: they load adapters, compile kernels and find out the dialect."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from framework_vllm.client.load_contracts import (
    Dialect,
    LoadError,
    LoadOutcome,
    LoadPlan,
    Progress,
    ShouldStop,
)
from framework_vllm.client.wire.request_bytes import DIALECTS

if TYPE_CHECKING:
    import pyarrow as pa

Execute = Callable[[LoadPlan, Progress, ShouldStop], LoadOutcome]

_CONCURRENCY: Final = 8
_OUTPUT_TOKENS: Final = 32
_UNKNOWN_KEYS: Final = frozenset({400, 422})


def warm_up(plan: LoadPlan, progress: Progress, should_stop: ShouldStop, execute: Execute) -> Dialect:
    """Send a plan's warm-up requests and return the dialect that the servers understand.

    With `dialect: auto` the richest one is tried first, and a poorer one where a server calls it a bad request.

    Raises:
        LoadError: a warm-up request failed; the load would too.
    """
    if plan.warmup_requests == 0:
        return "vllm" if plan.dialect == "auto" else plan.dialect
    requests = warmup_requests(plan)
    known: list[Dialect] = ["vllm", "openai", "minimal"]
    assert set(known) == set(DIALECTS)
    tried = known if plan.dialect == "auto" else [plan.dialect]
    for number, dialect in enumerate(tried):
        attempt = dataclasses.replace(
            plan,
            requests=requests,
            concurrency=_CONCURRENCY,
            horizon_s=None,
            warmup_requests=0,
            processes=1,
            routing="round_robin",
            saturation=None,
            dialect=dialect,
            prefix_block_tokens=None,
        )

        def show(fraction: float, text: str) -> None:
            progress(0.0, f"warm-up: {text}")

        seen = execute(attempt, show, should_stop)
        error = _first_error(seen)
        if error is None:
            return dialect
        refused = _UNKNOWN_KEYS & set(seen.client_requests["http_status"].to_pylist())
        if not refused or number == len(tried) - 1:
            raise LoadError(f"warm-up: {error}")
    raise AssertionError("unreachable")


def warmup_requests(plan: LoadPlan) -> pa.Table:
    """Return the warm-up's requests: the first ones' lengths (short answers), every adapter on every target.

    Their ids follow those of the load, so that no prompt is one of the load's; and since `round_robin` deals them
    out, each adapter comes as often in a row as there are targets.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from framework_serving.tables import requests_in

    requests = plan.requests
    adapters = sorted(pc.unique(requests["adapter_id"].drop_null()).to_pylist())
    kinds: list[int | None] = list(adapters)
    if requests["adapter_id"].null_count:
        kinds.append(None)
    targets = len(plan.targets)
    count = max(plan.warmup_requests, targets, targets * len(kinds) if adapters else 0)
    chosen = np.arange(count) % requests.num_rows
    first_id = int(pc.max(requests["request_id"]).as_py()) + 1
    return pa.table(
        [
            np.arange(first_id, first_id + count),
            np.zeros(count),
            requests["input_tokens"].to_numpy()[chosen],
            np.minimum(requests["output_tokens"].to_numpy()[chosen], _OUTPUT_TOKENS),
            pa.array([kinds[number // targets % len(kinds)] for number in range(count)], pa.int64()),
        ],
        schema=requests_in(),
    )


def _first_error(seen: LoadOutcome) -> str | None:
    errors = seen.requests["error"].drop_null()
    return None if len(errors) == 0 else str(errors[0].as_py())
