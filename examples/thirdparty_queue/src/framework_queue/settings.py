"""Typed configuration: a misspelt key or a value of the wrong type is one clear line before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Discipline(Enum):
    """Who is served next: the first to have come, or the one with the shortest service."""

    fifo = "fifo"
    sjf = "sjf"


@dataclass
class QueueConf:
    """`backend: queue`.

    Attributes:
        name: how runs of this backend are listed.
        servers: number of identical servers.
        discipline: who is served next.
    """

    _target_: str = "framework_queue.backend.QueueBackend"
    name: str = "queue"
    servers: int = 4
    discipline: Discipline = Discipline.fifo


@dataclass
class CustomersConf:
    """`workload: customers`.

    Attributes:
        seed: the same seed gives the same customers.
        customers: how many come.
        arrival_rate_hz: mean arrivals a second (Poisson).
        service_mean_s: mean service time (exponential).
        max_customers: cap on `customers`, which `scale=toy` sets; null for none.
    """

    _target_: str = "framework_queue.workload.Customers"
    name: str = "customers"
    seed: int = 0
    customers: int = 20_000
    arrival_rate_hz: float = 8.0
    service_mean_s: float = 0.4
    max_customers: int | None = None
