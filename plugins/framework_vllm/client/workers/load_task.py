"""Messages between a load and its client processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from framework.contracts import Json
from framework_vllm.client.load_contracts import Target
from framework_vllm.client.workers.shares import LoadShare


@dataclass(frozen=True)
class LoadTask:
    """The task of a client process; the fields are those of `LoadPlan` unless named here.

    Attributes:
        share: its requests.
        board: (rows, tokens, processes, targets, descriptor) of the shared board.
        users: of this process in a closed loop; None: nobody waits for an answer but the next turn of a session.
        linked: whether requests wait for others.
        id_prefix: of request ids on the wire.
        prepare_limit_s: longest time to open connections in advance.
    """

    share: LoadShare
    board: tuple[int, int, int, int, int]
    targets: tuple[Target, ...]
    adapter_names: Mapping[int, str]
    vocabulary: range
    seed: int
    prefix_block_tokens: int | None
    dialect: str
    extra_body: Mapping[str, Json]
    id_prefix: str
    users: int | None
    linked: bool
    horizon_s: float | None
    request_timeout_s: float
    retries: int
    least_load: bool
    prepare_limit_s: float


@dataclass(frozen=True)
class Ready:
    """The process can start."""


@dataclass(frozen=True)
class Start:
    """When t = 0 is, on the monotonic clock."""

    t0_monotonic_s: float


@dataclass(frozen=True)
class Stop:
    """The load is over, whatever is open."""


@dataclass(frozen=True)
class Refused:
    """The process can't do its task; one line."""

    reason: str
