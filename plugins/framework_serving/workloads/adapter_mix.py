"""Workload of many LoRA adapters, each with a request stream of its own (science note on adapter serving, §2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from framework.configuration.plain_values import from_plain, number, whole
from framework.contracts import WorkloadTables
from framework.errors import ConfigError
from framework_serving import tables
from framework_serving.workloads.arrivals import arrival_times, variation
from framework_serving.workloads.lengths import sample_lengths
from framework_serving.workloads.settings import AdapterMixSettings, ArrivalSettings
from framework_serving.workloads.synthetic import (
    cap_tokens,
    capped,
    check_window,
    closed_loop,
    horizon,
    requests_table,
    stream,
    workload_tables,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class AdapterMixWorkload:
    """Independent arrivals for each adapter; ranks and rates are assigned from lists.

    With burst arrivals, or in a closed loop, the `num_requests` requests are assigned to the adapters in turn.
    """

    def __init__(self, **keys: Any) -> None:
        self.settings = from_plain(AdapterMixSettings, keys, "workload")

    def build(self, seed: int) -> WorkloadTables:
        """Return `requests` and `adapters`; same settings and seed give the same bytes.

        Raises:
            ConfigError: a bad value; names the key.
        """
        import pyarrow as pa

        settings = self.settings
        horizon_s = horizon(settings.duration_s, settings.drain)
        ranks = dealt_ranks(settings.ranks, whole(settings.n_adapters, "workload.n_adapters", least=1))
        burst = settings.arrivals.kind in ("burst", "concurrency")
        check_window(settings.arrivals, settings.duration_s, settings.drain)
        rates: list[float | None] = [None] * len(ranks) if burst else self._dealt_rates(len(ranks), seed)
        arrivals, owners = self._burst(seed) if burst else self._streams(rates, seed)
        limit = settings.max_requests
        if limit is not None:
            arrivals, owners = arrivals[:limit], owners[:limit]
        inputs, outputs = sample_lengths(settings.lengths, len(arrivals), stream(seed, "lengths"))
        cap_tokens(inputs, outputs, settings.max_tokens)
        adapters = pa.table([list(range(len(ranks))), ranks, rates], schema=tables.adapters())
        requests = requests_table(arrivals, inputs, outputs, owners)
        requests, loop = closed_loop(requests, settings.arrivals, False, seed)
        return workload_tables(requests, adapters, {"horizon_s": horizon_s, **loop})

    def _dealt_rates(self, n: int, seed: int) -> list[float | None]:
        if not self.settings.rates_rps:
            raise ConfigError("workload.rates_rps: at least one rate is needed")
        rates = [number(rate, "workload.rates_rps", above=0) for rate in self.settings.rates_rps]
        dealt: list[float | None] = [rates[index % len(rates)] for index in range(n)]
        stream(seed, "rates").shuffle(dealt)
        return dealt

    def _burst(self, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        import numpy as np

        settings = self.settings
        limit = capped(settings.num_requests, settings.max_requests)
        times = arrival_times(settings.arrivals, limit, None, stream(seed, "arrivals"))
        return times, np.arange(len(times)) % settings.n_adapters

    def _streams(
        self, rates: list[float | None], seed: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Merge one stream an adapter over the window; times then count from the first arrival of all."""
        import numpy as np

        settings = self.settings
        if settings.num_requests is not None:
            raise ConfigError(
                "workload.num_requests: must be null: arrivals of adapters end at workload.duration_s"
            )
        if settings.duration_s is None:
            raise ConfigError("workload.duration_s: needed to end the arrivals of the adapters")
        for key in ("rate_rps", "rate_points"):
            if getattr(settings.arrivals, key) is not None:
                raise ConfigError(
                    f"workload.arrivals.{key}: not used: the rates of adapters are in workload.rates_rps"
                )
        rng = stream(seed, "arrivals")
        times, owners = [], []
        for adapter, rate in enumerate(rates):
            process = replace(settings.arrivals, rate_rps=rate)
            own = arrival_times(process, None, settings.duration_s, rng) + _first_gap(process, rng)
            times.append(own[own < settings.duration_s])
            owners.append(np.full(len(times[-1]), adapter))
        merged, owner = np.concatenate(times), np.concatenate(owners)
        if merged.size == 0:
            return merged, owner
        order = np.argsort(merged, kind="stable")
        return np.round(merged[order] - merged[order[0]], 6), owner[order]


def _first_gap(process: ArrivalSettings, rng: np.random.Generator) -> float:
    """Return the wait from an arbitrary moment to the next arrival of a process that has long been running.

    Without it all streams would start together at 0. The gap in progress is length-biased (a gamma law gains 1
    in shape) and the moment falls uniformly into it; for Poisson the product is the exponential law again.
    """
    rate = process.rate_rps or 1.0
    if process.kind == "constant":
        return float(rng.random()) / rate
    shape = 1.0 if process.kind == "poisson" else 1.0 / variation(process) ** 2
    return float(rng.random() * rng.gamma(shape + 1.0, 1.0 / (shape * rate)))


def dealt_ranks(ranks: list[int], n: int) -> list[int]:
    """Return n ranks assigned round-robin. Raises `ConfigError` for an empty list or a rank below 1."""
    if not ranks:
        raise ConfigError("workload.ranks: at least one rank is needed")
    checked = [whole(rank, "workload.ranks", least=1) for rank in ranks]
    return [checked[index % len(checked)] for index in range(n)]
