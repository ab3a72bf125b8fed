from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.contracts import Backend, WorkloadTables
from framework.errors import ConfigError
from framework_serving.workloads.adapter_mix import AdapterMixWorkload
from framework_serving.workloads.synthetic import SyntheticWorkload
from framework_vllm.offline.backend import OfflineBackend
from framework_vllm.offline.batch_grid import GridPoint, grid_of
from framework_vllm.offline.engine_script import LockstepBrokenError, prefill_steps
from framework_vllm.offline.settings import OfflineSettings
from framework_vllm.offline.steps import largest_batch_metrics, offline_steps, steps_table, taken_share


def prompts(input_tokens: int = 161, output_tokens: int = 338) -> WorkloadTables:
    lengths = {"kind": "fixed", "input_tokens": input_tokens, "output_tokens": output_tokens}
    return SyntheticWorkload(num_requests=4, lengths=lengths).build(0)


def adapters(count: int) -> WorkloadTables:
    lengths = {"kind": "fixed", "input_tokens": 16, "output_tokens": 8}
    return AdapterMixWorkload(n_adapters=count, duration_s=100.0, lengths=lengths).build(0)


def test_a_grid_takes_prompts_and_steps_from_the_workload_where_none_are_given() -> None:
    # the lock-step runs of arXiv 2503.08311: 161 in, 338 out
    grid = grid_of(OfflineSettings(batches=[2, 1]), prompts())
    assert grid.points == (GridPoint(1, 161, 0), GridPoint(2, 161, 0))
    assert grid.decode_steps == 337


def test_a_batch_is_left_out_of_more_adapters_than_it_has_requests() -> None:
    settings = OfflineSettings(batches=[1, 4], prompt_tokens=[8], distinct_adapters=[0, 2])
    assert grid_of(settings, adapters(2)).points == (
        GridPoint(1, 8, 0),
        GridPoint(4, 8, 0),
        GridPoint(4, 8, 2),
    )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"batches": []}, r"backend\.batches: at least one"),
        ({"batches": [0]}, r"backend\.batches: 0 is not"),
        ({"batches": [512]}, r"backend\.batches: 512 exceeds backend\.max_num_seqs, 256"),
        ({"prompt_tokens": [4, "x"]}, r"backend\.prompt_tokens: 'x' is not"),
        ({"decode_steps": 0}, r"backend\.decode_steps: 0"),
        ({"repeats": 0}, r"backend\.repeats: 0"),
        ({"batch": [1]}, r"backend\.batch: unknown key \(did you mean 'batches'\?\)"),
    ],
)
def test_a_bad_key_is_one_line_that_names_it(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        OfflineBackend(**keys)


@pytest.mark.parametrize(
    ("keys", "workload", "said"),
    [
        ({"distinct_adapters": [3]}, adapters(2), "exceeds the workload's 2 adapters"),
        ({"distinct_adapters": [2], "max_loras": 1}, adapters(2), r"exceeds backend\.max_loras, 1"),
        ({"max_model_len": 64}, prompts(), r"make 500 tokens, backend\.max_model_len is 64"),
    ],
)
def test_a_grid_that_the_engine_cant_hold_is_refused_before_it_starts(
    keys: dict[str, Any], workload: WorkloadTables, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        OfflineBackend(**keys).check(workload)


@given(batch=st.integers(1, 40), tokens=st.integers(1, 300), budget=st.integers(1, 700), chunks=st.booleans())
def test_prefill_steps_compute_every_prompt_token_once_within_the_budget(
    batch: int, tokens: int, budget: int, chunks: bool
) -> None:
    if not chunks and tokens > budget:
        with pytest.raises(LockstepBrokenError, match="exceeds the budget"):
            prefill_steps(batch, tokens, budget, chunks)
        return
    steps = prefill_steps(batch, tokens, budget, chunks)
    assert all(step["tokens"] <= budget for step in steps)
    assert sum(step["tokens"] for step in steps) == batch * tokens
    assert sum(step["finishing"] for step in steps) == batch
    # however a prompt is cut, its attention is that of a triangle: n^2 / 2 pairs
    assert sum(step["pairs"] for step in steps) == pytest.approx(batch * tokens**2 / 2)


def line(
    batch: int, repeat: int, prefill_s: float, decode_s: float, cpu_s: float | None = None
) -> dict[str, Any]:
    common: dict[str, Any] = {
        "sequences": batch,
        "attention_pairs": 0.0,
        "context_tokens": 0,
        "prefill_tokens": 0,
        "step": 0,
    }
    common["cpu_s"] = cpu_s
    return {
        "point": {"batch": batch, "input_tokens": 8, "adapters": 0},
        "repeat": repeat,
        "steps": [
            {**common, "phase": "prefill", "duration_s": prefill_s},
            {**common, "phase": "prefill", "duration_s": prefill_s, "step": 1},
            {**common, "phase": "decode", "duration_s": decode_s},
        ],
    }


def test_metrics_are_of_the_largest_batch_with_a_prefill_summed_over_its_steps() -> None:
    table = steps_table([line(1, 0, 9.0, 9.0), line(4, 0, 1.0, 0.1), line(4, 1, 2.0, 0.3)], 0, 0)
    assert table.schema.equals(offline_steps())
    values = {metric.name: metric.value for metric in largest_batch_metrics(table)}
    assert values == pytest.approx(
        {"prefill_time_s": 3.0, "decode_step_mean_ms": 200.0, "decode_step_p50_ms": 200.0}
    )


def test_time_that_others_took_from_an_engine_on_a_cpu_is_told() -> None:
    # three steps of 1 + 1 + 2 seconds, 0.5 seconds computed in each
    table = steps_table([line(1, 0, 1.0, 2.0, cpu_s=0.5)], 0, 0)
    assert taken_share(table) == pytest.approx(1 - 1.5 / 4)
    assert taken_share(steps_table([line(1, 0, 1.0, 2.0)], 0, 0)) is None
    many_threads = steps_table([line(1, 0, 1.0, 2.0, cpu_s=8.0)], 0, 0)
    assert taken_share(many_threads) == 0.0


def test_the_backend_meets_the_contract() -> None:
    assert isinstance(OfflineBackend(), Backend)


ENGINE_SCRIPT = """#!/bin/sh
echo "RuntimeError: no such device" >&2
exit 1
"""


def test_an_interpreter_without_vllm_is_named(tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text(ENGINE_SCRIPT)
    fake.chmod(0o755)
    model = {"name": "m", "path": str(tmp_path)}
    with pytest.raises(
        ConfigError, match=r"backend\.python: '.*python' can't load vLLM: RuntimeError: no such"
    ):
        OfflineBackend(python=str(fake), model=model).check(prompts())


def vllm_python() -> str | None:
    given = os.environ.get("FRAMEWORK_VLLM_PYTHON", ".venv-vllm/bin/python")
    return given if Path(given).exists() else None


@pytest.mark.integration
@pytest.mark.skipif(vllm_python() is None, reason="no interpreter with vLLM (FRAMEWORK_VLLM_PYTHON)")
def test_the_real_engine_is_timed_step_by_step_with_and_without_adapters(tmp_path: Path) -> None:
    from framework.contracts import RunContext
    from framework_serving.hardware.catalogue import model_shape

    shape = model_shape("tiny-llama")
    backend = OfflineBackend(
        model={**vars(shape), "path": "generated"},
        batches=[1, 4],
        prompt_tokens=[16, 200],
        distinct_adapters=[0, 2],
        decode_steps=6,
        repeats=2,
        max_num_seqs=4,
        max_num_batched_tokens=128,
        max_model_len=512,
        enforce_eager=True,
    )
    workload = adapters(2)
    backend.check(workload)
    result = backend.run(workload, RunContext("r", {}, 0, tmp_path))
    steps = result.tables["offline_steps"].to_pylist()
    assert result.checks[0].verdict == "pass"
    assert result.facts["engine"]["max_num_batched_tokens"] == 128
    assert all(step["duration_s"] > 0 for step in steps)
    decodes = [step for step in steps if step["phase"] == "decode"]
    # 2 rounds of 6 points (batch 1 takes no second adapter): 4 without, 2 with adapters
    assert len(decodes) == 2 * 6 * (4 + 2)
    first = next(step for step in decodes if (step["batch"], step["input_tokens"]) == (4, 200))
    assert first["context_tokens"] >= 4 * 201
    chunked = [step for step in steps if step["phase"] == "prefill" and step["input_tokens"] == 200]
    assert max(step["prefill_tokens"] for step in chunked) == 128
    assert json.dumps(result.facts)
