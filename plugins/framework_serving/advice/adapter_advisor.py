"""Advisor `adapter_caching`: how many LoRA adapters an engine serves without starvation, and with how many slots."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from framework.analysis.number_format import count_noun
from framework.configuration.plain_values import number, one_of, whole
from framework.contracts import Advice, AdvisorScope, BatchBackend, Json, WorkloadTables
from framework.errors import UserError
from framework.quantity import NOISE_FLOOR
from framework.run.rebuild import rebuilt_workload, stored_config, stored_settings
from framework_serving.advice.adapter_search import AdapterChoice, AdapterSearch, SlotChoice
from framework_serving.sweeps.adapter_points import ADAPTERS, SLOTS, best_slots
from framework_serving.sweeps.sweep_points import SweepPoint, context, load_points

_CHANGED = frozenset({ADAPTERS, SLOTS, "workload.seed"})
_LIMITS = {
    "max_ttft_mean_ms": "ttft_mean_ms",
    "max_ttft_p99_ms": "ttft_p99_ms",
    "max_itl_mean_ms": "itl_mean_ms",
}
_SHOWN = (
    ("total_tok_s", 1.0, "tok/s"),
    ("ttft_mean_ms", 1e-3, "s TTFT"),
    ("itl_mean_ms", 1.0, "ms ITL"),
    ("kv_cache_gib", 1.0, "GiB for the KV cache"),
    ("kv_usage_peak", 100.0, "% of it used at most"),
    ("adapter_loads", 1.0, "adapter loads"),
)


class AdapterCachingAdvisor:
    """The most adapters of each population in a sweep, and the number of slots that serves them best.

    A population is a workload of adapters (ranks, rates, lengths, arrivals) with all settings of its engine. Where
    the sweep ran on the backend of `simulate_with`, the answer is searched by simulation; elsewhere it is the best of
    the points that ran.

    Args:
        simulate_with: batch backend that searches; null: only compare the points of the sweep.
        method: `exact` searches all numbers of slots; `learned` asks a model and simulates its best candidates.
        model: file of the model, for `learned`.
        slots: numbers of slots to try; null: a ladder from 1 to 1024.
        max_adapters: largest number of adapters to try.
        seeds: simulations with seeds of their own that an answer must pass.
        max_starvation: share of these in which it may starve.
        resolution: relative step of the number of adapters at which the search ends.
        max_ttft_mean_ms, max_ttft_p99_ms, max_itl_mean_ms: limits in addition to starvation; null: none.
    """

    def __init__(
        self,
        simulate_with: str | None = "twin",
        method: str = "exact",
        model: str = "outputs/adapter_capacity/model.json",
        slots: Sequence[int] | None = None,
        max_adapters: int = 4096,
        seeds: int = 5,
        max_starvation: float = 0.0,
        resolution: float = 0.02,
        **limits: float | None,
    ) -> None:
        key = "advisor.adapter_caching"
        self.simulate_with = simulate_with
        self.method = one_of(method, f"{key}.method", ("exact", "learned"))
        self.model = Path(model)
        self.slots = (
            None if slots is None else sorted({whole(item, f"{key}.slots", least=1) for item in slots})
        )
        self.max_adapters = whole(max_adapters, f"{key}.max_adapters", least=1)
        self.seeds = whole(seeds, f"{key}.seeds", least=1)
        self.max_starvation = number(max_starvation, f"{key}.max_starvation", least=0)
        self.resolution = number(resolution, f"{key}.resolution", least=0)
        for name in limits:
            if name not in _LIMITS:
                raise UserError(f"{key}.{name}: unknown key (known: {', '.join(_LIMITS)})")
        self.limits = {
            _LIMITS[name]: number(value, f"{key}.{name}", above=0)
            for name, value in limits.items()
            if value is not None
        }

    def advise(self, scope: AdvisorScope) -> Iterator[Advice]:
        """Yield one piece of advice for each population that ran."""
        groups: dict[frozenset[tuple[str, str]], list[SweepPoint]] = {}
        for point in load_points(scope.store, scope.run_ids):
            if point.number(ADAPTERS) and point.number(SLOTS):
                key = frozenset(item for item in point.params.items() if item[0] not in _CHANGED)
                groups.setdefault(key, []).append(point)
        for group in groups.values():
            if self.simulate_with and group[0].params.get("backend.name") == self.simulate_with:
                yield self._searched(group, scope.batch_backend(self.simulate_with, []))
            else:
                yield from self._measured(group)

    def _searched(self, group: Sequence[SweepPoint], backend: BatchBackend) -> Advice:
        point = group[0]
        config = stored_config(point.params)
        own_seed = int(point.number("workload.seed") or 0)
        asked = max(int(item.number(ADAPTERS) or 1) for item in group)
        most = min(self.max_adapters, _most_sending(config, asked, self.max_adapters, own_seed))
        keys: dict[str, Any] = {
            "backend": backend,
            "settings": stored_settings(config),
            "workload": lambda adapters, seed: _population(config, adapters, seed),
            "limits": self.limits,
            "slots": self.slots,
            "most": most,
            "seeds": range(own_seed, own_seed + self.seeds),
            "allowed_share": self.max_starvation,
            "resolution": self.resolution,
        }
        if self.method == "learned":
            from framework_serving.advice.fleet.learned_advice import learned_finding

            finding = learned_finding(self.model, config, **keys)
            choice = finding.choice or AdapterChoice(0, None, (), 1, {}, 0)
            advice = self._advice(group, choice, self._edges(choice, most))
            reason = finding.reason if finding.choice is None else f"{advice.reason}; {finding.reason}"
            return replace(advice, reason=reason, facts={**advice.facts, **finding.facts})
        choice = AdapterSearch(**keys).find(int(point.number(ADAPTERS) or 1))
        return self._advice(group, choice, self._edges(choice, most))

    def _edges(self, choice: AdapterChoice, most: int) -> list[str]:
        """Return in which directions nothing better than the answer was tried, in words."""
        if choice.best is None:
            return []
        found = _slot_edges(choice.best.slots, self.slots or (), choice.adapters)
        if choice.next_adapters is None:
            if most < self.max_adapters:
                found.append(
                    f"this load ends at a number of requests (scale, num_requests), which more than {most} adapters "
                    "share and don't raise: leave out its cap to learn how many are served"
                )
            else:
                found.append(f"no more than {most} adapters were tried (max_adapters): try more")
        return found

    def _advice(self, group: Sequence[SweepPoint], choice: AdapterChoice, edges: Sequence[str]) -> Advice:
        best = choice.best
        recommendation: dict[str, Json] = {}
        if best is not None:
            recommendation = {**context(group[0]), ADAPTERS: choice.adapters, SLOTS: best.slots}
        rates = [] if best is None else [run.metrics["total_tok_s"] for run in best.runs]
        return Advice(
            advisor="adapter_caching",
            subject=_subject(group[0]),
            recommendation=recommendation,
            metric="total_tok_s",
            predicted=rates[0] if rates else None,
            low=min(rates, default=None),
            high=max(rates, default=None),
            reason=_with_edges(self._reason(choice), edges),
            run_ids=tuple(run_id for item in group for run_id in item.run_ids),
            facts={
                "served_adapters": choice.adapters,
                "next_adapters_tried": choice.next_adapters,
                "simulations": choice.simulations,
                "simulated": True,
                "edge": "; ".join(edges) or None,
                "interval_from": f"{self.seeds} seeds",
                **self._beside(choice, edges),
                **{f"slots_{item.slots}": _row(item) for item in choice.choices},
                **{f"slots_{slots}": text for slots, text in _grouped(choice)},
            },
        )

    def _reason(self, choice: AdapterChoice) -> str:
        best = choice.best
        if best is None:
            why = "; ".join(f"{slots} slots: {text}" for slots, text in sorted(choice.reasons.items()))
            return f"not even one adapter is served: {why}"
        served = f"{choice.adapters} adapters on {count_noun(best.slots, 'slot')}: {_row(best)}"
        if choice.next_adapters is None:
            return f"at least {served}"
        return f"{served}; with {choice.next_adapters} adapters no number of slots passes all seeds"

    def _beside(self, choice: AdapterChoice, edges: Sequence[str]) -> dict[str, Json]:
        """Return what the answer says of other numbers of slots, and what would change it."""
        best = choice.best
        if best is None:
            return {}
        rate = best.mean("total_tok_s") or 1.0
        others = sorted(
            (
                item
                for item in choice.choices
                if item is not best and item.failed_share <= self.max_starvation
            ),
            key=lambda item: -(item.mean("total_tok_s") or 0.0),
        )
        beats = "every other number of slots serves fewer adapters"
        if others:
            lost = [100 * (1 - (item.mean("total_tok_s") or 0.0) / rate) for item in (others[0], others[-1])]
            beats = (
                f"{count_noun(len(others), 'other number')} of slots that serve as many, the next ({others[0].slots} "
                f"slots) by {lost[0]:.1f} %, the last ({others[-1].slots} slots) by {lost[1]:.1f} %"
            )
        changes = list(edges)
        if (waits_ms := best.mean("ttft_mean_ms")) is not None and "ttft_mean_ms" not in self.limits:
            changes.append(
                f"a limit on the mean TTFT below {waits_ms / 1000:.3g} s (advisor.adapter_caching.max_ttft_mean_ms) "
                "serves fewer: here requests may queue, as long as throughput keeps up"
            )
        return {"beats": beats, "sure": _seeds(best), "changes": list(changes)}

    def _measured(self, group: Sequence[SweepPoint]) -> Iterator[Advice]:
        """Yield the best of the points that ran, for a backend that can't be asked for others."""
        best = best_slots(group)
        if not best:
            return
        point = best[max(best)]
        throughput = point.metrics["total_tok_s"]
        low, high = throughput.interval(NOISE_FLOOR)
        adapters, slots = int(point.number(ADAPTERS) or 0), int(point.number(SLOTS) or 0)
        beside = [int(item.number(SLOTS) or 0) for item in group if item.number(ADAPTERS) == adapters]
        edges = _slot_edges(slots, beside, adapters)
        if adapters == max(int(item.number(ADAPTERS) or 0) for item in group):
            edges.append(f"no more than {adapters} adapters ran: try more")
        yield Advice(
            advisor="adapter_caching",
            subject=_subject(point),
            recommendation={**context(point), ADAPTERS: adapters, SLOTS: slots},
            metric="total_tok_s",
            predicted=throughput.value,
            low=low,
            high=high,
            reason=_with_edges(
                f"{adapters} adapters on {slots} slots: the most of {len(group)} points that did not starve",
                edges,
            ),
            run_ids=tuple(run_id for item in group for run_id in item.run_ids),
            facts={
                "served_adapters": adapters,
                "simulated": False,
                "edge": "; ".join(edges) or None,
                "interval_from": "run" if throughput.has_interval else "noise floor",
            },
        )


def _population(config: dict[str, Any], adapters: int, seed: int) -> WorkloadTables:
    changed = copy.deepcopy(config)
    changed["workload"]["n_adapters"] = adapters
    changed["workload"]["seed"] = seed
    return rebuilt_workload(changed)


def _most_sending(config: dict[str, Any], asked: int, most: int, seed: int) -> int:
    """Return the most adapters that a load has requests for, at least those that ran.

    Where the number of requests is given (a cap of `scale`, a burst, a closed loop), more adapters share the same
    load. It says nothing of how many are served, so the answer does not go beyond.
    """
    caps = [config["workload"].get(name) for name in ("num_requests", "max_requests")]
    cap = min((int(item) for item in caps if item is not None), default=None)
    if cap is None:
        return most
    count = asked
    while 2 * count <= most and _population(config, 2 * count, seed).tables["requests"].num_rows < cap:
        count *= 2
    return count


def _slot_edges(best: int, tried: Sequence[int], adapters: int) -> list[str]:
    """Return a word where the best number of slots is the first or the last of several, and others would differ."""
    found = []
    if len(set(tried)) > 1 and best == max(tried) and best < adapters:
        found.append(f"no more than {best} slots were tried: try more")
    if len(set(tried)) > 1 and best == min(tried) and best > 1:
        found.append(f"no fewer than {best} slots were tried: try fewer")
    return found


def _with_edges(reason: str, edges: Sequence[str]) -> str:
    return f"{reason}; the best is at the edge: {'; '.join(edges)}" if edges else reason


def _subject(point: SweepPoint) -> str:
    return f"{point.model} ({point.workload})"


def _seeds(best: SlotChoice) -> str:
    starving = round(best.failed_share * len(best.runs))
    return f"starves in {starving} of {len(best.runs)} seeds"


def _row(item: SlotChoice) -> str:
    """Return what a number of slots gives, in one line; means over the seeds."""
    values = [(item.mean(name), factor, unit) for name, factor, unit in _SHOWN]
    shown = [f"{value * factor:,.4g} {unit}" for value, factor, unit in values if value is not None]
    return f"{', '.join(shown)}; {_seeds(item)}"


def _grouped(choice: AdapterChoice) -> Iterator[tuple[str, str]]:
    """Yield neighbouring numbers of slots that are ruled out alike: (`first_to_last`, the reason of the last)."""
    tried = {item.slots for item in choice.choices}
    left_out = sorted((slots, text) for slots, text in choice.reasons.items() if slots not in tried)
    for _, group in groupby(left_out, key=lambda item: item[1].split(" with ")[0].split(":")[0]):
        slots, texts = zip(*group, strict=True)
        yield (f"{slots[0]}_to_{slots[-1]}" if len(slots) > 1 else str(slots[0])), texts[-1]
