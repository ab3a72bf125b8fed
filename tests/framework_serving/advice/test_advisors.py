from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import instantiate

from framework.contracts import Advice, Advisor, BatchJob, Metric, Result, RunContext, WorkloadTables
from framework.errors import ConfigError
from framework_serving.advice.bca_advisor import BcaAdvisor
from framework_serving.advice.replication_advisor import ReplicationAdvisor

CONF = Path(__file__).parents[3] / "conf" / "advisor"
BASE = {
    "model.name": "opt-1.3b",
    "gpu.name": "H100-64GB",
    "gpu.memory_gib": 64.0,
    "workload.name": "sharegpt",
    "backend.name": "twin",
    "backend.gpu_memory_utilization": 0.9,
    "backend.replicas": 1,
    "backend.mps": True,
    "backend.chunked_prefill": False,
}


def sweep(
    store: Any, engine: Any, batches: tuple[int, ...] = (1, 8, 32, 64, 96, 128, 256), **params: Any
) -> None:
    for batch in batches:
        store.add({**BASE, "backend.max_num_seqs": batch, **params}, engine.metrics(batch))


def by_rule(advice: list[Advice]) -> dict[str, Advice]:
    return {item.facts["rule"]: item for item in advice}


@pytest.mark.parametrize("name", ["bca", "replication"])
def test_shipped_configuration_builds_the_advisor(name: str) -> None:
    advisor = instantiate(yaml.safe_load((CONF / f"{name}.yaml").read_text()), _convert_="all")
    assert isinstance(advisor, Advisor)


def test_strict_and_relaxed_advice_can_be_pasted_back(store: Any, affine_engine: Any) -> None:
    sweep(store, affine_engine)
    found = by_rule(list(BcaAdvisor().advise(store.advisor_scope())))
    # L(32) = 7.2 ms; 2 · 7.2 = 14.4 ms admits B = 104, 4 · 7.2 = 28.8 ms admits 248
    assert found["strict"].overrides == (
        "backend.gpu_memory_utilization=0.198 backend.max_num_seqs=96 model=opt-1.3b"
    )
    assert found["relaxed"].recommendation["backend.max_num_seqs"] == 128
    assert found["strict"].facts["freed_gib"] == pytest.approx(50 * (1 - 0.096))
    assert found["strict"].facts["running_mean"] == pytest.approx(0.95 * 96)
    assert found["strict"].facts["latency_limit_batch"] == pytest.approx(104)
    assert len(found["strict"].run_ids) == 7
    assert "the next (B=64) by" in str(found["strict"].facts["beats"])
    assert any(str(line).startswith("B=128 gives +") for line in found["strict"].facts["changes"])  # type: ignore[union-attr]


def test_interval_comes_from_the_run_or_is_the_noise_floor_and_says_so(
    store: Any, affine_engine: Any
) -> None:
    sweep(store, affine_engine)
    plain = by_rule(list(BcaAdvisor().advise(store.advisor_scope())))["strict"]
    assert plain.predicted is not None
    assert plain.low == pytest.approx(0.96 * plain.predicted)
    assert "noise floor" in plain.reason
    for batch in (1, 32, 96):
        metrics = {
            **affine_engine.metrics(batch),
            "total_tok_s": (1000.0 * batch, 900.0 * batch, 1200.0 * batch),
        }
        store.add({**BASE, "model.name": "other", "backend.max_num_seqs": batch}, metrics)
    advice = [item for item in BcaAdvisor().advise(store.advisor_scope()) if item.subject.startswith("other")]
    assert (advice[0].low, advice[0].high) == (96 * 900.0, 96 * 1200.0)
    assert advice[0].facts["interval_from"] == "run"
    assert "noise floor" not in advice[0].reason


def test_each_curve_is_advised_on_its_own_and_failed_or_insane_runs_are_left_out(
    store: Any, affine_engine: Any
) -> None:
    sweep(store, affine_engine)
    sweep(store, affine_engine, **{"backend.chunked_prefill": True})
    store.add({**BASE, "backend.max_num_seqs": 104}, {}, status="failed")
    store.add({**BASE, "backend.max_num_seqs": 103}, affine_engine.metrics(103), sanity="fail")
    found = list(BcaAdvisor().advise(store.advisor_scope()))
    assert [item.subject for item in found[::2]] == [
        "opt-1.3b (sharegpt)",
        "opt-1.3b (sharegpt, chunked prefill)",
    ]
    assert {item.recommendation["backend.max_num_seqs"] for item in found} == {96, 128}


def test_repeats_with_other_seeds_are_one_point(store: Any, affine_engine: Any) -> None:
    for seed in (0, 1):
        sweep(store, affine_engine, **{"workload.seed": seed})
    found = list(BcaAdvisor().advise(store.advisor_scope()))
    assert len(found) == 2
    assert len(found[0].run_ids) == 14


def test_too_few_points_give_no_advice(store: Any, affine_engine: Any) -> None:
    sweep(store, affine_engine, (1, 256))
    assert list(BcaAdvisor().advise(store.advisor_scope())) == []
    assert list(ReplicationAdvisor().advise(store.advisor_scope())) == []


def replicated(store: Any, tok_s: float, mps: bool = True) -> None:
    params = {**BASE, "backend.replicas": 2, "backend.mps": mps, "backend.max_num_seqs": 128}
    store.add(params, {"total_tok_s": tok_s, "itl_mean_ms": 20.0, "preemptions": 0.0})


def test_replication_advice_names_every_baseline(store: Any, affine_engine: Any) -> None:
    sweep(store, affine_engine)
    sweep(store, affine_engine, (128, 256), **{"backend.chunked_prefill": True})
    replicated(store, 16_000.0)
    replicated(store, 14_000.0, mps=False)
    (advice,) = ReplicationAdvisor().advise(store.advisor_scope())
    assert advice.recommendation == {
        "model": "opt-1.3b",
        "backend.replicas": 2,
        "backend.max_num_seqs": 128,
        "backend.mps": True,
    }
    base = affine_engine.metrics(256)["total_tok_s"]
    assert advice.facts["gain_over_max"] == pytest.approx(16_000 / base - 1)
    assert advice.facts["gain_over_max_chunked"] == pytest.approx(16_000 / base - 1)
    assert advice.facts["gain_over_no_mps"] == pytest.approx(1 / 7)
    assert advice.facts["replicas_that_fit"] == 4
    assert "MAX chunked" in advice.reason
    assert any(str(item).startswith("no MPS (2 replicas") for item in advice.facts["beats"])  # type: ignore[union-attr]


@dataclass
class FakeBatchBackend:
    """Replicas of `FakeBatchBackend` deliver what is asked of it; remembers its jobs."""

    tok_s: float
    jobs: list[BatchJob] = field(default_factory=list)

    def check(self, workload: WorkloadTables) -> None: ...

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        raise AssertionError("only batches are expected")

    def run_batch(self, jobs: Sequence[BatchJob]) -> Iterator[tuple[int, Result]]:
        self.jobs.extend(jobs)
        for index in range(len(jobs)):
            yield index, Result([Metric("total_tok_s", self.tok_s), Metric("preemptions", 0.0)])


STORED_WORKLOAD = {
    "workload._target_": "framework_serving.workloads.synthetic.SyntheticWorkload",
    "workload.num_requests": 20,
    "workload.seed": 3,
    "workload.lengths.kind": "fixed",
    "workload.lengths.input_tokens": 10.0,
    "workload.lengths.output_tokens": 5.0,
}


def test_replicas_that_the_sweep_lacks_are_simulated_where_freed_memory_admits_them(
    store: Any, affine_engine: Any
) -> None:
    sweep(store, affine_engine, **STORED_WORKLOAD)
    backend = FakeBatchBackend(tok_s=20_000.0)
    scope = replace(store.advisor_scope(), batch_backend=lambda name, overrides: backend)
    (advice,) = ReplicationAdvisor(simulate_with="twin").advise(scope)
    # budget 57.6 GiB, 7.6 beside the cache: 4 replicas fit up to B = 128 (7.6 + 6.7 GiB), 2 up to B = 256
    asked = [(job.overrides["replicas"], job.overrides["max_num_seqs"]) for job in backend.jobs]
    assert asked == [(2, 256), (4, 128)]
    assert backend.jobs[0].workload.facts["num_requests"] == 20
    assert advice.facts["simulated"]
    assert "simulated for this advice" in advice.reason
    assert advice.recommendation["backend.replicas"] == 2
    assert list(ReplicationAdvisor().advise(scope)) == []


def test_workload_of_others_and_other_backends_are_not_simulated(store: Any, affine_engine: Any) -> None:
    sweep(store, affine_engine)
    backend = FakeBatchBackend(tok_s=20_000.0)
    scope = replace(store.advisor_scope(), batch_backend=lambda name, overrides: backend)
    assert list(ReplicationAdvisor(simulate_with="twin").advise(scope)) == []
    assert list(ReplicationAdvisor(simulate_with="other").advise(scope)) == []
    assert backend.jobs == []


def test_replicas_within_the_noise_are_advised_against(store: Any, affine_engine: Any) -> None:
    sweep(store, affine_engine)
    replicated(store, affine_engine.metrics(256)["total_tok_s"] * 1.03)
    (advice,) = ReplicationAdvisor().advise(store.advisor_scope())
    assert advice.recommendation["backend.replicas"] == 1
    assert advice.recommendation["backend.max_num_seqs"] == 256
    assert not advice.facts["pays"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BcaAdvisor(latency="itl"), "advisor.bca.latency: unknown value 'itl'"),
        (lambda: BcaAdvisor(min_eficiency=0.1), "advisor.bca.min_eficiency: unknown key (did you mean"),
        (lambda: BcaAdvisor(noise="x"), "advisor.bca.noise: expected a number"),
        (
            lambda: BcaAdvisor(slo_multiples={"strict": 0}),
            "advisor.bca.slo_multiples.strict: must be greater",
        ),
        (lambda: ReplicationAdvisor(noise=-1), "advisor.replication.noise: must be at least 0"),
    ],
)
def test_bad_advisor_setting_is_named(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert message in str(caught.value)


def test_sweep_without_a_feasible_batch_gets_the_reasons_instead_of_a_recommendation(
    store: Any, affine_engine: Any
) -> None:
    for batch in (1, 32, 64):
        store.add(
            {**BASE, "backend.max_num_seqs": batch}, {**affine_engine.metrics(batch), "preemptions": 3.0}
        )
    advice = next(iter(BcaAdvisor().advise(store.advisor_scope())))
    assert advice.recommendation == {}
    assert advice.predicted is None
    assert advice.reason.startswith("strict: no batch is feasible (B=1: 3 preemptions; B=32: 3 preemptions")
