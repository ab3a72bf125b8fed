"""The twin as the framework meets it: the same tables as an engine, honest about what it stands on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from framework.configuration.resources import conf_dir
from framework.contracts import BatchJob, Result, RunContext
from framework.errors import ConfigError
from framework_serving.workloads.synthetic import SyntheticWorkload
from framework_twin.backend import TwinBackend


def group(kind: str, name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((conf_dir() / kind / f"{name}.yaml").read_text()))


def twin(model: str = "opt-1.3b", gpu: str = "h100-64gb", **keys: Any) -> TwinBackend:
    return TwinBackend(model=group("model", model), gpu=group("gpu", gpu), **keys)


def burst(n: int = 64, inputs: int = 100, outputs: int = 20) -> SyntheticWorkload:
    return SyntheticWorkload(
        num_requests=n, lengths={"kind": "fixed", "input_tokens": inputs, "output_tokens": outputs}
    )


def run(backend: TwinBackend, workload: SyntheticWorkload, tmp_path: Any) -> Result:
    tables = workload.build(0)
    backend.check(tables)
    return backend.run(tables, RunContext("run", {}, 0, tmp_path))


def value(result: Result, name: str) -> float:
    found = next(metric for metric in result.metrics if metric.name == name)
    assert found.value is not None
    return found.value


def test_a_calibrated_run_names_its_profile_and_carries_intervals(tmp_path: Any) -> None:
    result = run(twin(max_num_seqs=32, chunked_prefill=False), burst(), tmp_path)
    assert result.facts["profile"] == "opt-1.3b_h100-64gb_v0"
    itl = next(metric for metric in result.metrics if metric.name == "itl_mean_ms")
    assert itl.low is not None
    assert itl.high is not None
    assert itl.low < itl.value < itl.high  # type: ignore[operator]


def test_without_a_profile_the_run_is_labelled_uncalibrated(tmp_path: Any) -> None:
    result = run(twin("mistral-7b", "l40s"), burst(), tmp_path)
    assert result.facts["calibrated"] is False
    assert [check.verdict for check in result.checks] == ["warn"]


def test_a_shape_changed_by_hand_does_not_borrow_the_profile_of_its_name(tmp_path: Any) -> None:
    backend = TwinBackend(model={**group("model", "opt-1.3b"), "layers": 12}, gpu=group("gpu", "h100-64gb"))
    assert run(backend, burst(), tmp_path).facts["profile"] == "roofline"


def test_switching_chunked_prefill_off_means_the_v0_engine_where_any_may_be_chosen(tmp_path: Any) -> None:
    facts = run(twin("llama-3.1-8b", chunked_prefill=False), burst(), tmp_path).facts
    assert facts["engine"]["generation"] == "v0"
    assert run(twin("llama-3.1-8b"), burst(), tmp_path).facts["engine"]["generation"] == "v1"
    with pytest.raises(ConfigError, match="chunked_prefill"):
        twin(engine="v1", chunked_prefill=False)


def test_shares_of_time_add_up_to_the_whole(tmp_path: Any) -> None:
    result = run(twin(), burst(), tmp_path)
    shares = [metric.value for metric in result.metrics if metric.name.endswith("_share")]
    assert sum(share for share in shares if share is not None) == pytest.approx(1.0)


def test_two_gpus_draw_twice_the_power_of_one_with_half_the_load(tmp_path: Any) -> None:
    one = run(twin(max_num_seqs=16), burst(32), tmp_path)
    two = run(twin(max_num_seqs=16, replicas=2, gpus=2), burst(64), tmp_path)
    assert value(two, "power_mean_w") == pytest.approx(2 * value(one, "power_mean_w"), rel=1e-6)


def test_samples_stay_few_however_long_the_run(tmp_path: Any) -> None:
    result = run(twin(max_num_seqs=1, sample_period_s=0.01), burst(50), tmp_path)
    samples = result.tables["samples"]
    assert samples.num_rows <= 4 * 501
    assert set(samples["name"].to_pylist()) == {"running", "waiting", "kv_usage", "preemptions"}
    assert np.all(np.isfinite(samples["value"].to_numpy()))


def test_a_batch_gives_what_single_runs_give_and_says_what_it_refused(tmp_path: Any) -> None:
    backend = twin(max_num_seqs=8)
    tables = burst().build(0)
    jobs = [BatchJob({"backend.max_num_seqs": n}, tables) for n in (4, 16)]
    jobs.append(BatchJob({"kv_blocks": 1}, tables))
    results = dict(backend.run_batch(jobs))
    alone = twin(max_num_seqs=16).run(tables, RunContext("run", {}, 0, tmp_path))
    assert value(results[1], "itl_mean_ms") == value(alone, "itl_mean_ms")
    assert results[2].metrics == []
    assert "KV cache can't hold one request" in results[2].checks[0].detail


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"max_num_seqs": 0}, "backend.max_num_seqs"),
        ({"max_num_seqs": -4}, "backend.max_num_seqs"),
        ({"gpu_memory_utilization": 1.2}, "backend.gpu_memory_utilization"),
        ({"router": "random"}, "backend.router"),
        ({"engine": "v2"}, "backend.engine"),
        ({"replicas": 3, "gpus": 2}, "backend.gpus"),
        ({"max_num_seq": 3}, "did you mean 'max_num_seqs'"),
        ({"sample_period_s": 0}, "backend.sample_period_s"),
    ],
)
def test_a_setting_that_no_engine_accepts_is_named(keys: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        twin(**keys)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"profile": "nonesuch"}, "backend.profile"),
        ({"profile": "opt-2.7b_h100-64gb_v0"}, "not for opt-1.3b"),
        ({"profile": "opt-1.3b_h100-64gb_v0", "engine": "v1"}, "for engine v0"),
        ({"profile": "published"}, "no published twin"),
        ({"gpu_memory_utilization": 0.05}, "KV cache can't hold one request"),
    ],
)
def test_a_server_that_can_not_start_says_why(keys: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        twin(**keys).check(burst().build(0))
