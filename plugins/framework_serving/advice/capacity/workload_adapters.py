"""Adapters as a capacity model sees them: from the settings of a workload, or from requests that were recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from framework.configuration.plain_values import from_plain
from framework.errors import UserError
from framework_serving.advice.capacity.adapter_sums import (
    CROWD_WINDOWS_S,
    OWN_WINDOW_S,
    Adapters,
    FloatArray,
    averaged,
)
from framework_serving.workloads.adapter_mix import AdapterMixWorkload, dealt_ranks
from framework_serving.workloads.arrivals import variation
from framework_serving.workloads.lengths import sample_lengths
from framework_serving.workloads.population import mean_rates
from framework_serving.workloads.settings import AdapterMixSettings, LengthSettings

_DRAWS = 4000


class WorkloadPopulation:
    """A kind of population, from its settings: its adapters at any number of them.

    Args:
        workload: keys of the configuration group `workload` of class `AdapterMixWorkload`.

    Raises:
        UserError: another class, or arrivals without rates.
        ConfigError: a bad value; names the key.
    """

    def __init__(self, workload: Mapping[str, Any]) -> None:
        target = str(workload.get("_target_") or "")
        if target and not target.endswith(AdapterMixWorkload.__name__):
            raise UserError(
                f"workload: the learned answer knows populations of adapters (workload=adapters), not {target}"
            )
        keys = {key: value for key, value in workload.items() if key != "_target_"}
        self.settings: AdapterMixSettings = from_plain(AdapterMixSettings, keys, "workload")
        if self.settings.arrivals.kind in ("burst", "concurrency"):
            raise UserError(f"workload.arrivals.kind: '{self.settings.arrivals.kind}' has no rates")
        changes = self.settings.adapter_lengths or [{}]
        laws = [
            from_plain(LengthSettings, {**vars(self.settings.lengths), **change}, "workload.lengths")
            for change in changes
        ]
        self._moments = np.array([_moments(law) for law in laws])

    def adapters(self, n: int) -> Adapters:
        """Return n of them."""
        settings = self.settings
        rates = np.array(mean_rates(settings, n))
        # shuffled with the seed in the workload: no rank goes with a rate
        ranks = np.array(dealt_ranks(settings.ranks, n), dtype=np.float64)
        moments = self._moments[np.arange(n) % len(self._moments)]
        return Adapters(
            rates,
            ranks,
            moments[:, 0],
            moments[:, 1],
            moments[:, 2],
            moments[:, 3],
            self._own(rates),
            self._crowd(),
        )

    def _own(self, rates: FloatArray) -> FloatArray:
        settings = self.settings
        own = np.zeros(len(rates))
        arrivals = settings.arrivals
        cv = {"constant": 0.0, "poisson": 1.0}.get(arrivals.kind)
        cv = variation(replace(arrivals, rate_rps=1.0)) if cv is None else cv
        own += (cv**2 - 1.0) / np.maximum(rates * OWN_WINDOW_S, 1.0)
        activity = settings.activity
        if activity.on_s and activity.off_s:
            correlation = 1.0 / (1.0 / activity.on_s + 1.0 / activity.off_s)
            own += averaged(activity.off_s / activity.on_s, correlation, OWN_WINDOW_S)
        return own

    def _crowd(self) -> tuple[float, float]:
        bursts = self.settings.bursts
        if not (bursts.every_s and bursts.length_s and bursts.factor):
            return (0.0, 0.0)
        quiet = bursts.every_s - bursts.length_s
        share = bursts.length_s / bursts.every_s
        low = 1.0 / (1.0 - share + share * bursts.factor)
        variance = share * (1.0 - share) * (low * (bursts.factor - 1.0)) ** 2
        correlation = 1.0 / (1.0 / quiet + 1.0 / bursts.length_s)
        short, long = (averaged(variance, correlation, window) for window in CROWD_WINDOWS_S)
        return short, long


def _moments(law: LengthSettings) -> FloatArray:
    inputs, outputs = sample_lengths(law, _DRAWS, np.random.default_rng(0))
    return np.array([inputs.mean(), inputs.std(), outputs.mean(), outputs.std()])


def recorded_adapters(requests: pa.Table, ranks: Mapping[int, int], default_rank: int) -> Adapters:
    """Return the adapters of recorded requests, in the order of their ids.

    Args:
        requests: table `requests` of a workload; requests of the base model count as one more adapter of theirs.
        ranks: rank by adapter id.
        default_rank: of the others.

    Raises:
        UserError: fewer than two requests, or all at one time.
    """
    times = np.asarray(requests["arrival_s"], dtype=np.float64)
    window = float(times.max() - times.min()) if len(times) else 0.0
    if window <= 0:
        raise UserError(f"{len(times)} requests at one instant have no rate")
    owner = np.asarray(requests["adapter_id"].fill_null(-1), dtype=np.int64)
    ids, place = np.unique(owner, return_inverse=True)
    counts = np.bincount(place).astype(np.float64)
    moments = []
    for name in ("input_tokens", "output_tokens"):
        tokens = np.asarray(requests[name].fill_null(0), dtype=np.float64)
        mean = np.bincount(place, tokens) / counts
        moments += [mean, np.sqrt(np.maximum(np.bincount(place, tokens**2) / counts - mean**2, 0.0))]
    own = _excess_variance(times, place, len(ids), OWN_WINDOW_S)
    crowd = [_excess_variance(times, np.zeros_like(place), 1, wide)[0] for wide in CROWD_WINDOWS_S]
    rank = np.array([ranks.get(int(item), default_rank) for item in ids], dtype=np.float64)
    input_mean, input_std, output_mean, output_std = moments
    return Adapters(
        counts / window,
        rank,
        input_mean,
        input_std,
        output_mean,
        output_std,
        own,
        (float(crowd[0]), float(crowd[1])),
    )


def _excess_variance(times: FloatArray, place: np.ndarray, owners: int, window_s: float) -> FloatArray:
    """Return (variance − mean) / mean² of the counts in windows, at least 0; pooled over rarely used adapters.

    With fewer than 8 windows, or 20 arrivals, nothing can be told and Poisson's 0 is returned.
    """
    windows = int((times.max() - times.min()) / window_s)
    found = np.zeros(owners)
    if windows < 8:
        return found
    slot = np.minimum(((times - times.min()) / window_s).astype(np.int64), windows)
    inside = slot < windows
    counts = np.zeros((owners, windows))
    np.add.at(counts, (place[inside], slot[inside]), 1.0)
    mean = counts.mean(axis=1)
    enough = counts.sum(axis=1) >= 20
    excess = (counts.var(axis=1, ddof=1) - mean) / np.maximum(mean, 1e-12) ** 2
    found[enough] = np.maximum(excess[enough], 0.0)
    # one estimate for all: that of a single adapter is noise
    shares = counts.sum(axis=1) * enough
    return np.full(owners, float(np.average(found, weights=shares))) if shares.sum() else found
