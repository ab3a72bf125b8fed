"""Workload of many LoRA adapters, each with a request stream of its own (science note on adapter serving, §2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from framework.configuration.plain_values import from_plain, whole
from framework.contracts import WorkloadTables
from framework.errors import ConfigError
from framework_serving import tables
from framework_serving.workloads.arrivals import arrival_times, variation
from framework_serving.workloads.lengths import sample_lengths
from framework_serving.workloads.population import check_unused, is_steady, mean_rates, step_rates
from framework_serving.workloads.settings import AdapterMixSettings, ArrivalSettings, LengthSettings
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
        inputs, outputs = self._lengths(owners, seed)
        cap_tokens(inputs, outputs, settings.max_tokens)
        adapters = pa.table([list(range(len(ranks))), ranks, rates], schema=tables.adapters())
        requests = requests_table(arrivals, inputs, outputs, owners)
        requests, loop = closed_loop(requests, settings.arrivals, False, seed)
        return workload_tables(requests, adapters, {"horizon_s": horizon_s, **loop})

    def _dealt_rates(self, n: int, seed: int) -> list[float | None]:
        dealt: list[float | None] = [*mean_rates(self.settings, n)]
        stream(seed, "rates").shuffle(dealt)
        return dealt

    def _lengths(
        self, owners: npt.NDArray[np.int64], seed: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Draw the tokens of each request, by the law of its adapter."""
        import numpy as np

        base, changes = self.settings.lengths, self.settings.adapter_lengths
        if changes is None:
            return sample_lengths(base, len(owners), stream(seed, "lengths"))
        if not changes:
            raise ConfigError("workload.adapter_lengths: at least one mapping is needed, or null")
        inputs, outputs = (np.zeros(len(owners), dtype=np.int64) for _ in range(2))
        for place, change in enumerate(changes):
            key = f"workload.adapter_lengths[{place}]"
            if not isinstance(change, Mapping):
                raise ConfigError(f"{key}: must be a mapping of keys of workload.lengths, got {change!r}")
            law = from_plain(LengthSettings, {**vars(base), **change}, key)
            mine = owners % len(changes) == place
            drawn = sample_lengths(law, int(mine.sum()), stream(seed, f"lengths of law {place}"))
            inputs[mine], outputs[mine] = drawn
        return inputs, outputs

    def _burst(self, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        import numpy as np

        settings = self.settings
        check_unused(settings)
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
        courses = (
            None
            if is_steady(settings)
            else step_rates(
                settings, [rate or 0.0 for rate in rates], settings.duration_s, stream(seed, "population")
            )
        )
        times, owners = [], []
        for adapter, rate in enumerate(rates):
            course = None if courses is None else courses[adapter]
            window = settings.duration_s if course is None else float(course.knots[-1])
            process = replace(settings.arrivals, rate_rps=rate if course is None else 1.0)
            own = np.zeros(0)
            if window > 0:
                own = arrival_times(process, None, window, rng) + _first_gap(process, rng)
                own = own[own < window]
            times.append(own if course is None else course.times(own))
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
