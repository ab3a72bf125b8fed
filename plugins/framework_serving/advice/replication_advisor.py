"""Advisor `replication`: compares replicas on one GPU with single engines and says which to run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from framework.configuration.plain_values import number, whole
from framework.contracts import Advice, AdvisorScope, Json
from framework.errors import UserError
from framework.quantity import NOISE_FLOOR
from framework_serving.advice.replica_search import candidates, fits, simulate
from framework_serving.advice.replication_rule import ReplicationVerdict, ServingSetup, judge_replication
from framework_serving.sweeps.sweep_points import SweepPoint, comparable_groups, context, load_points

MIN_POINTS = 3
"""A sweep over fewer batches says too little about memory to look for replicas."""


class ReplicationAdvisor:
    """Replicas on one GPU against every single-engine baseline.

    Args:
        max_latency_ms: leave out configurations with replicas and a higher mean ITL; null: no limit.
        noise: relative gain below which a difference of single runs is not a finding.
        kv_margin: relative allowance over the sampled KV peak when counting replicas that fit.
        simulate_with: batch backend that simulates replicas where a sweep on that backend ran none; null: none.
        simulate_replicas: replica counts to try then, each at the largest batch whose memory admits it.
    """

    def __init__(
        self,
        max_latency_ms: float | None = None,
        noise: float = NOISE_FLOOR,
        kv_margin: float = 0.05,
        simulate_with: str | None = None,
        simulate_replicas: Sequence[int] = (2, 4),
    ) -> None:
        if max_latency_ms is not None:
            number(max_latency_ms, "advisor.replication.max_latency_ms", above=0)
        self.max_latency_ms = max_latency_ms
        self.noise = number(noise, "advisor.replication.noise", least=0)
        self.kv_margin = number(kv_margin, "advisor.replication.kv_margin", least=0)
        self.simulate_with = simulate_with
        self.replicas = [
            whole(count, "advisor.replication.simulate_replicas", least=2) for count in simulate_replicas
        ]

    def advise(self, scope: AdvisorScope) -> Iterator[Advice]:
        """Yield one piece of advice for each model, GPU and workload with replicas, run or simulated."""
        for group in comparable_groups(load_points(scope.store, scope.run_ids)):
            setups = [setup_of(point) for point in group]
            if len(group) >= MIN_POINTS and all(setup.replicas == 1 for setup in setups):
                setups.extend(self._simulated(scope, group))
            verdict = judge_replication(setups, self.max_latency_ms, self.noise)
            if verdict is not None:
                yield self._advice(group, verdict)

    def _simulated(self, scope: AdvisorScope, group: Sequence[SweepPoint]) -> list[ServingSetup]:
        """Return configurations with replicas that the sweep lacks; none for another backend or domain."""
        first = group[0]
        if self.simulate_with is None or first.params.get("backend.name") != self.simulate_with:
            return []
        pairs = candidates(group, self.replicas, self.kv_margin)
        if not pairs:
            return []
        try:
            return list(simulate(scope.batch_backend(self.simulate_with, []), pairs))
        except UserError:  # it can't be simulated: the advice rests on what was run
            return []

    def _advice(self, group: Sequence[SweepPoint], verdict: ReplicationVerdict) -> Advice:
        chosen = verdict.best if verdict.pays else verdict.best_single
        behind = chosen.run_ids or chosen.simulated_from
        point = next(item for item in group if item.run_ids == behind)
        low, high = chosen.throughput.interval(self.noise)
        facts: dict[str, Json] = {"pays": verdict.pays, "workload": point.workload, "setup": chosen.label}
        facts["simulated"] = not verdict.best.run_ids
        for item in verdict.comparisons:
            facts[f"gain_over_{item.name.lower().replace(' ', '_')}"] = item.gain.value
        facts["gain_over_best_single"] = (
            verdict.best.throughput.value / verdict.best_single.throughput.value - 1
        )
        facts["replicas_that_fit"] = _fitting(group, verdict.best, self.kv_margin)
        facts["beats"] = _beaten(verdict)
        facts["interval_from"] = "run" if chosen.throughput.has_interval else "noise floor"
        recommendation: dict[str, Json] = {
            **context(point),
            "backend.max_num_seqs": chosen.max_num_seqs,
            "backend.replicas": chosen.replicas,
        }
        if chosen.replicas > 1:
            recommendation["backend.mps"] = chosen.mps
        return Advice(
            advisor="replication",
            subject=f"{point.model} ({point.workload})",
            recommendation=recommendation,
            metric="total_tok_s",
            predicted=chosen.throughput.value,
            low=low,
            high=high,
            reason=self._reason(verdict),
            run_ids=tuple(run_id for item in group for run_id in item.run_ids),
            facts=facts,
        )

    def _reason(self, verdict: ReplicationVerdict) -> str:
        against = ", ".join(
            f"{100 * item.gain.value:+.1f} % over {item.name} ({item.setup.label})"
            for item in verdict.comparisons
        )
        over = 100 * (verdict.best.throughput.value / verdict.best_single.throughput.value - 1)
        outcome = (
            f"replicas pay, {over:+.1f} % over the best single engine"
            if verdict.pays
            else f"{over:+.1f} % over the best single engine ({verdict.best_single.label}) is within the "
            f"{100 * self.noise:g} % noise or below it, so one engine is sufficient"
        )
        simulated = "" if verdict.best.run_ids else " (simulated for this advice, not part of the sweep)"
        return f"{verdict.best.label}{simulated}: {against}; {outcome}"


def _beaten(verdict: ReplicationVerdict) -> list[Json]:
    if verdict.pays:
        return [f"{it.name} ({it.setup.label}) by {100 * it.gain.value:.1f} %" for it in verdict.comparisons]
    loss = 1 - verdict.best.throughput.value / verdict.best_single.throughput.value
    return [f"the best replicas ({verdict.best.label}) by {100 * loss:.1f} %, within the noise or beyond it"]


def setup_of(point: SweepPoint) -> ServingSetup:
    """Return a point as the replication rule sees it."""
    return ServingSetup(
        run_ids=point.run_ids,
        replicas=point.replicas,
        max_num_seqs=point.max_num_seqs,
        mps=point.mps,
        chunked_prefill=point.chunked_prefill,
        throughput=point.metrics["total_tok_s"],
        latency_ms=point.value("itl_mean_ms"),
        preempted=point.preempted,
    )


def _fitting(group: Sequence[SweepPoint], best: ServingSetup, margin: float) -> int | None:
    """Return how many replicas at the best setup's batch the memory of one engine would hold."""
    alone = [point for point in group if (point.replicas, point.max_num_seqs) == (1, best.max_num_seqs)]
    return fits(alone[0], margin) if alone else None
