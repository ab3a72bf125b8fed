"""Servers that are ready for a load, no matter how they were started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from framework_vllm.client.load_contracts import Target
from framework_vllm.server.engine_facts import EngineFacts


@dataclass(frozen=True)
class ServingEngines:
    """Servers that are ready for a load.

    Attributes:
        targets: one a replica.
        facts: what each said of itself.
        failure: returns why one of them is gone; None while all are there, and always for servers of others.
        ours: whether we started them.
        start_s: seconds each took to get ready for this run; empty where they ran already.
        runs_before: runs of ours that they have served since their start; None for servers of others.
        platform: device type that they run on; None where that is not known.
    """

    targets: tuple[Target, ...]
    facts: tuple[EngineFacts, ...]
    failure: Callable[[], str | None]
    ours: bool
    start_s: tuple[float, ...] = ()
    platform: str | None = None
    runs_before: int | None = None
