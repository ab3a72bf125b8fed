from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.analysis.claims.claim_file import load_claims
from framework.analysis.claims.reproduction_card import evaluate
from framework.configuration.study_config import flatten
from framework.errors import NotEvaluatedError
from framework_serving.claims.claim_quantities import COMPUTATIONS, computations
from framework_serving.claims.evidence import Evidence
from framework_serving.result_files.runs_csv import read_serving_runs
from framework_serving.sweeps.sweep_points import load_points
from tests.support.measured_data import SERVING_RUNS, needs_shared_data
from tests.support.published_runs import write_published_runs

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
BASE = {"model.name": "opt-1.3b", "gpu.name": "H100-64GB", "workload.name": "sharegpt", "backend.replicas": 1}
BATCHES = (1, 8, 32, 64, 128, 256, 512, 1000)


def sweep(store: Any, engine: Any, batches: tuple[int, ...] = BATCHES, **params: Any) -> None:
    for batch in batches:
        store.add({**BASE, "backend.max_num_seqs": batch, **params}, engine.metrics(batch))


def evidence(store: Any) -> Evidence:
    return Evidence(store, load_points(store, store.run_ids))


def value(store: Any, name: str, **parameters: Any) -> float:
    return COMPUTATIONS[name](evidence(store), **parameters).value


def test_replication_gain_is_relative_to_the_named_baseline(store: Any, affine_engine: Any) -> None:
    sweep(store, affine_engine)
    base = affine_engine.metrics(1000)["total_tok_s"]
    params = {**BASE, "backend.replicas": 2, "backend.mps": True, "backend.max_num_seqs": 256}
    store.add(params, {"total_tok_s": 1.337 * base, "preemptions": 0.0})
    asked = {"model": "opt-1.3b", "replicas": 2, "max_num_seqs": 256}
    assert value(store, "replication_gain", **asked) == pytest.approx(33.7)
    assert value(store, "replication_gain", **asked, baseline="same batch") > 33.7
    with pytest.raises(NotEvaluatedError, match="no run for the baseline 'MAX chunked'"):
        value(store, "replication_gain", **asked, baseline="MAX chunked")
    with pytest.raises(NotEvaluatedError, match=r"no run of opt-1\.3b with 4 replicas of 256"):
        value(store, "replication_gain", **{**asked, "replicas": 4})


def test_freed_memory_follows_from_the_latency_rule_alone(store: Any, affine_engine: Any) -> None:
    params = {
        "workload.name": "fixed",
        "backend.chunked_prefill": True,
        "workload.lengths.output_tokens": 390,
    }
    sweep(store, affine_engine, **params)
    # 3 · L(32) = 21.6 ms admits B = 176, so B_opt = 128, whose peak use is 12.8 % of 50 GiB
    assert value(store, "freed_memory_share", model="opt-1.3b", gpu_gib=64) == pytest.approx(
        100 * 50 * 0.872 / 64
    )


def test_knee_is_the_smallest_batch_with_the_share_of_the_best_throughput(store: Any, engine_of: Any) -> None:
    # T ∝ R / (4 + 0.1 R): 95 % of T(1000) from R = 432 on; the next point is 512
    sweep(store, engine_of())
    assert value(store, "knee_kv_usage", model="opt-1.3b") == pytest.approx(51.2)
    asked = {"metric": "itl_mean_ms", "of": "MAX", "over": "knee", "definition": "share"}
    assert value(store, "sweep_ratio", model="opt-1.3b", **asked) == pytest.approx(104 / 55.2)


def recorded(store: Any, file: Path) -> None:
    for run in read_serving_runs(file):
        if run.result.facts["source"] == "memory_gap" and run.result.facts["family"] != "offline_steps":
            params = {name: value for name, value in flatten(run.config) if value is not None}
            known = {item.name: item.value for item in run.result.metrics if item.value is not None}
            store.add(params, known)


def test_a_published_claim_follows_from_the_published_figures(store: Any, tmp_path: Path) -> None:
    recorded(store, write_published_runs(tmp_path))
    freed = value(store, "freed_memory_share", model="opt-1.3b", gpu_gib=64, latency="itl_mean_ms")
    assert freed == pytest.approx(63.23, abs=0.3)  # arXiv 2503.08311, table 4


@pytest.mark.slow
@needs_shared_data(SERVING_RUNS.name)
def test_published_claims_follow_from_the_measured_runs(store: Any) -> None:
    recorded(store, SERVING_RUNS)
    shares = {"opt-1.3b": 63.23, "opt-2.7b": 45.05, "llama-2-7b": 10.51}
    for model, printed in shares.items():
        assert value(store, "freed_memory_share", model=model, gpu_gib=64) == pytest.approx(printed, abs=0.3)
    assert value(store, "knee_kv_usage", model="opt-1.3b") < 50
    # two replicas of 96 were measured: 12,314 over 11,050 tok/s at MAX, the repeats of both averaged
    gain = value(store, "replication_gain", model="opt-1.3b", replicas=2, max_num_seqs=96)
    assert gain == pytest.approx(11, abs=1)


def test_decode_share_is_the_time_after_the_last_first_token(store: Any) -> None:
    params = {
        **BASE,
        "backend.max_num_seqs": 2,
        "workload.num_requests": 2,
        "workload.lengths.input_tokens": 161.0,
        "workload.lengths.output_tokens": 338.0,
    }
    run_id = store.add(params, {"total_tok_s": 1.0})
    for first_s, last_s in ((0.5, 9.0), (1.0, 10.0)):
        store.connection.execute(
            "INSERT INTO requests (run_id, first_token_s, last_token_s) VALUES (?, ?, ?)",
            [run_id, first_s, last_s],
        )
    asked = {"model": "opt-1.3b", "input_tokens": 161, "output_tokens": 338}
    assert value(store, "decode_share", batch=2, **asked) == pytest.approx(90.0)
    with pytest.raises(NotEvaluatedError, match="no lock-step run"):
        value(store, "decode_share", batch=4, **asked)


@pytest.mark.parametrize("study", ["memory_gap", "slm_pareto", "adapter_caching"])
def test_shipped_claims_load_and_each_is_answered_or_says_why_not(
    store: Any, affine_engine: Any, study: str
) -> None:
    sweep(store, affine_engine)
    found = computations(evidence(store))
    claims = load_claims(EXPERIMENTS / study / "claims.yaml", found)
    for result in evaluate(claims, found):
        assert (result.ours is None) == (result.status == "not evaluated")
        assert result.ours is not None or result.reason
