"""The settings and their types: a misspelt key or a value of the wrong type is refused before anything starts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class WorkloadConf:
    """`workload: newplugin`.

    Attributes:
        seed: the same seed gives the same items.
        items: how many there are.
        size_mean: their mean size (exponential).
        max_items: cap on `items`, which `scale=toy` sets; null for none.
    """

    _target_: str = "framework_newplugin.workload.Items"
    name: str = "newplugin"
    seed: int = 0
    items: int = 1000
    size_mean: float = 10.0
    max_items: int | None = None


@dataclass
class BackendConf:
    """`backend: newplugin`.

    Attributes:
        workers: how many work at the same time.
        rate_per_s: what each of them processes a second, in units of size.
    """

    _target_: str = "framework_newplugin.backend.Workers"
    name: str = "newplugin"
    workers: int = 2
    rate_per_s: float = 100.0
