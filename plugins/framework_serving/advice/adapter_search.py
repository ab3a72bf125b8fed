"""The most LoRA adapters that one engine serves without starvation, and the number of slots that serves them best.

Everything is simulated, with all settings of the engine as they are. Adding adapters adds load, so a number of slots
that starves with some adapters starves with more: the search doubles the adapters until every number of slots is
ruled out, then halves the gap, and never tries a number of slots again that is ruled out. What is left is simulated
with other seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from framework.contracts import BatchBackend, BatchJob, Json, WorkloadTables
from framework_serving.metrics.serving_metrics import derive

SLOTS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 512, 768, 1024)
"""Numbers of slots that are tried; memory refuses the large ones long before the list ends."""

_SAME = 0.999
"""Throughputs of at least so much of the largest are the same."""


@dataclass(frozen=True)
class Serving:
    """A number of adapters on a number of slots, simulated once.

    Attributes:
        metrics: by name; what could not be computed is missing.
        refused: why the engine would not start, None if it does.
    """

    adapters: int
    slots: int
    seed: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    refused: str | None = None

    def broken_limits(self, limits: Mapping[str, float]) -> list[str]:
        """Return what rules this out: a refusal, starvation, a metric above its limit; empty if nothing does."""
        if self.refused is not None:
            return [self.refused]
        found = ["starves"] if self.metrics.get("starved") != 0 else []
        for name, limit in limits.items():
            value = self.metrics.get(name)
            if value is None or value > limit:
                found.append(f"{name} {'unknown' if value is None else f'{value:.4g}'} > {limit:g}")
        return found


@dataclass(frozen=True)
class SlotChoice:
    """What a number of slots gives at the number of adapters that was found.

    Attributes:
        runs: its simulations, one a seed, the workload's own seed first; fewer where it failed too often.
        failed_share: share of the seeds in which it starves or breaks a limit.
    """

    slots: int
    runs: tuple[Serving, ...]
    failed_share: float

    def mean(self, metric: str) -> float | None:
        """Return a metric's mean over the seeds, None if a seed lacks it."""
        values = [run.metrics.get(metric) for run in self.runs]
        known = [value for value in values if value is not None]
        return fmean(known) if known and len(known) == len(values) else None


def _best(choices: Sequence[SlotChoice]) -> SlotChoice:
    """Return the choice with the most throughput; of those with the same, the one whose requests wait least."""
    most = max(choice.mean("total_tok_s") or 0.0 for choice in choices)
    same = [item for item in choices if (item.mean("total_tok_s") or 0.0) >= _SAME * most]

    def wait(choice: SlotChoice) -> float:
        found = choice.mean("ttft_mean_ms")
        return math.inf if found is None else found

    return min(same, key=lambda choice: (wait(choice), choice.slots))


@dataclass(frozen=True)
class AdapterChoice:
    """The answer for one population.

    Attributes:
        adapters: the most that are served; 0: not even one is.
        best: the number of slots with the most throughput at this number of adapters, of those with the same the one
            with the least TTFT; None if nothing is served.
        choices: every number of slots tried there, in order.
        next_adapters: the next larger number that was tried, None where the search ended at its upper limit.
        reasons: number of slots → why it serves no more adapters.
        simulations: how many simulations it took.
    """

    adapters: int
    best: SlotChoice | None
    choices: tuple[SlotChoice, ...]
    next_adapters: int | None
    reasons: Mapping[int, str]
    simulations: int


@dataclass
class AdapterSearch:
    """Search over adapters and slots on a batch backend.

    Args:
        backend: simulates jobs.
        settings: all settings of the engine; `max_loras` is the search's own.
        workload: (adapters, seed) → the requests.
        limits: metric → largest value allowed, in addition to "does not starve".
        slots: numbers of slots to try; None: `SLOTS`.
        most: largest number of adapters to try.
        seeds: the workload's own first, then those with which an answer is checked.
        allowed_share: share of the seeds in which the answer may starve.
        resolution: relative gap between adapters served and not served at which the search ends.
        growth: factor of the first step away from the start, at most 2; small where the start is a good guess.
    """

    backend: BatchBackend
    settings: Mapping[str, Json]
    workload: Callable[[int, int], WorkloadTables]
    limits: Mapping[str, float] = field(default_factory=dict)
    slots: Sequence[int] | None = None
    most: int = 4096
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    allowed_share: float = 0.0
    resolution: float = 0.02
    growth: float = 2.0

    def __post_init__(self) -> None:
        self._known: dict[tuple[int, int, int], Serving] = {}
        self._reasons: dict[int, str] = {}
        self._ruled_out: dict[int, int] = {}

    def find(self, start: int) -> AdapterChoice:
        """Search from a number of adapters near the expected answer; see `AdapterChoice`."""
        low, high = 0, None
        count, step = min(max(1, start), self.most), self.growth
        while high is None or high - low > self._gap(low):
            if self._served(count, self.seeds[:1]):
                low = count
                if high is None and count >= self.most:
                    break
            else:
                high = count
            if low and high is not None:
                count = (low + high) // 2
            else:
                count = (
                    min(max(count + 1, int(step * count)), self.most) if high is None else int(high / step)
                )
                step = min(step * step, 2.0)
            count = max(count, low + 1)
        return self._checked(low, high)

    def serve(self, adapters: int, slots: int) -> Serving:
        """Return the simulation of one number of adapters on a number of slots, with the workload's own seed."""
        return self._simulate([(adapters, slots, self.seeds[0])])[0]

    def _checked(self, low: int, high: int | None) -> AdapterChoice:
        """Go down from the number found, by growing steps, until enough of all seeds serve it; then halve the gap."""
        found: AdapterChoice | None = None
        count, step = low, self._gap(low)
        while count > 0:
            choices = self._choices(count)
            good = [choice for choice in choices if choice.failed_share <= self.allowed_share]
            if good:
                found = AdapterChoice(count, _best(good), choices, high, self._reasons, len(self._known))
            else:
                high = count
            if found is None:
                count, step = max(count - step, 1) if count > 1 else 0, 2 * step
            elif high is None or high - found.adapters <= self._gap(found.adapters):
                break
            else:
                count = (found.adapters + high) // 2
        found = found or AdapterChoice(0, None, (), high, self._reasons, 0)
        return replace(found, next_adapters=high, simulations=len(self._known))

    def _gap(self, adapters: int) -> int:
        """Return how far apart served and not served may be at the end."""
        return max(1, int(self.resolution * adapters))

    def _choices(self, adapters: int) -> tuple[SlotChoice, ...]:
        """Simulate one seed after the other; a number of slots that has failed too often is not tried with more."""
        runs = {run.slots: [run] for run in self._served(adapters, self.seeds[:1])}
        failed: dict[int, list[str]] = {slots: [] for slots in runs}
        for seed in self.seeds[1:]:
            alive = [slots for slots in runs if len(failed[slots]) <= self.allowed_share * len(self.seeds)]
            for run in self._simulate([(adapters, slots, seed) for slots in alive]):
                runs[run.slots].append(run)
                if problems := run.broken_limits(self.limits):
                    failed[run.slots].append("; ".join(problems))
        for slots, problems in failed.items():
            if problems:
                count = f"{len(problems)} of {len(runs[slots])} seeds"
                self._reasons.setdefault(slots, f"{problems[0]} with {adapters} adapters in {count}")
        return tuple(
            SlotChoice(slots, tuple(found), len(failed[slots]) / len(found)) for slots, found in runs.items()
        )

    def _served(self, adapters: int, seeds: Sequence[int]) -> list[Serving]:
        """Return the simulations that serve so many adapters, one for each number of slots that does."""
        wanted = [
            (adapters, slots, seed)
            for slots in self._candidates(adapters)
            if self._ruled_out.get(slots, adapters + 1) > adapters
            for seed in seeds
        ]
        good = []
        for run in self._simulate(wanted):
            problems = run.broken_limits(self.limits)
            if problems:
                self._ruled_out[run.slots] = min(adapters, self._ruled_out.get(run.slots, adapters))
                self._reasons[run.slots] = f"{'; '.join(problems)} with {adapters} adapters"
            else:
                good.append(run)
        return good

    def _candidates(self, adapters: int) -> list[int]:
        """Return the numbers of slots that differ for so many adapters: more slots than adapters only cost memory."""
        listed = self.slots or SLOTS
        fitting = {slots for slots in listed if slots <= adapters}
        if self.slots is None and adapters < max(listed):
            fitting.add(adapters)  # every adapter has a slot of its own
        return sorted(fitting) or [adapters]

    def _simulate(self, wanted: Iterable[tuple[int, int, int]]) -> list[Serving]:
        keys = list(wanted)
        missing = [key for key in keys if key not in self._known]
        built: dict[tuple[int, int], WorkloadTables] = {}
        jobs = []
        for adapters, slots, seed in missing:
            if (adapters, seed) not in built:
                built[adapters, seed] = self.workload(adapters, seed)
            jobs.append(BatchJob({**self.settings, "max_loras": slots}, built[adapters, seed]))
        for index, result in self.backend.run_batch(jobs):
            adapters, slots, seed = missing[index]
            refused = next((check.detail for check in result.checks if check.name == "refused"), None)
            derived = [] if refused else derive({}, jobs[index].workload, result)
            metrics = {
                item.name: item.value for item in [*result.metrics, *derived] if item.value is not None
            }
            self._known[missing[index]] = Serving(adapters, slots, seed, metrics, refused)
        return [self._known[key] for key in keys]
