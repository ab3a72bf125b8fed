from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from framework.contracts import Figure, TableBlock
from framework.errors import InputError, NotEvaluatedError
from framework_serving.claims.claim_quantities import COMPUTATIONS
from framework_serving.claims.evidence import Evidence
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_serving.hardware.model_shape import ModelShape
from framework_serving.physical.physical_report import read_published
from framework_serving.physical.roofline_shares import run_physics
from framework_serving.report.serving_sections import sections
from framework_serving.sweeps.sweep_points import load_points

SHAPE = model_shape("opt-1.3b")
GPU = gpu_spec("h100-64gb")
BASE = {
    **{f"model.{name}": value for name, value in dataclasses.asdict(SHAPE).items()},
    **{f"gpu.{name}": value for name, value in dataclasses.asdict(GPU).items()},
    "workload.name": "sharegpt",
    "backend.replicas": 1,
}
SHARES = {"host": 0.3, "weights": 0.25, "compute": 0.1, "prefill": 0.05, "kv": 0.3, "lora": 0.0, "idle": 0.0}
REPOSITORY = Path(__file__).parents[3]


def told(traffic_tb_s: float, duration_s: float = 10.0) -> dict[str, float]:
    shares = {f"time_{part}_share": share for part, share in SHARES.items()}
    return {**shares, "total_tok_s": 1000.0, "duration_s": duration_s, "dram_read_tb_s": traffic_tb_s}


def run(
    store: Any, batch: int, prompt: int, answers: tuple[int, ...], traffic_tb_s: float, **params: Any
) -> str:
    run_id: str = store.add({**BASE, "backend.max_num_seqs": batch, **params}, told(traffic_tb_s))
    for answer in answers:
        store.connection.execute(
            "INSERT INTO requests (run_id, input_tokens, output_tokens, first_token_s, last_token_s, status) "
            "VALUES (?, ?, ?, 0.5, 10.0, 'finished')",
            [run_id, prompt, answer],
        )
    return run_id


def test_kernels_follow_from_tokens_traffic_and_time(store: Any) -> None:
    # two requests of 100 + 11 tokens attend to Σ 101 … 110 = 1055 tokens each in their 10 decode steps
    steps = 20
    kv_bytes = 2 * 1055 * SHAPE.kv_bytes_per_token
    traffic = (steps * SHAPE.streamed_weight_bytes + kv_bytes) / 10.0 / 1e12
    run(store, 2, 100, (11, 11), traffic)
    (found,) = run_physics(store, load_points(store, store.run_ids))
    assert found.attention.intensity == pytest.approx(1.0)
    assert found.attention.bytes == pytest.approx(kv_bytes)
    assert found.attention.tflops == pytest.approx(kv_bytes / 3.0 / 1e12)  # 30 % of 10 s, 1 FLOP a byte
    flops = 222 * SHAPE.flops_per_token
    assert found.products.flops == pytest.approx(flops)
    assert found.products.tflops == pytest.approx(flops / 3.5 / 1e12)
    # 222 tokens in 20 steps reuse each weight 11.1 times; reading activations takes a little of that away
    assert 0.9 * 11.1 < found.products.intensity < 11.1


def test_replicas_and_models_of_unknown_shape_have_no_kernels(store: Any) -> None:
    run(store, 2, 100, (11,), 1.0, **{"backend.replicas": 2})
    run(store, 4, 100, (11,), 1.0, **{"model.layers": "null"})
    points = load_points(store, store.run_ids)
    assert run_physics(store, points) == []
    assert {point.shape is None for point in points} == {False, True}


def test_shape_from_parameters_is_the_catalogue_s(store: Any) -> None:
    store.add({**BASE, "backend.max_num_seqs": 1}, told(1.0))
    (point,) = load_points(store, store.run_ids)
    found = point.shape
    assert isinstance(found, ModelShape)
    assert found == SHAPE


def test_section_shows_time_traffic_intensity_and_roofline_below_the_roofs(store: Any) -> None:
    for batch in (1, 8):
        run(store, batch, 100, (11,) * batch, 0.9)
    (section,) = [item for item in sections(store.report_scope()) if item.title == "Where the time goes"]
    figures = {block.title: block for block in section.blocks if isinstance(block, Figure)}
    assert list(figures) == [
        "Where the time goes",
        "Memory bandwidth against batch",
        "Arithmetic intensity against batch",
        "Roofline",
    ]
    stacked = figures["Where the time goes"].spec["data"]
    assert sum(trace["y"][0] for trace in stacked) == pytest.approx(100)
    (roof,) = [trace for trace in figures["Roofline"].spec["data"] if trace["name"].startswith("roofs")]
    assert roof["y"][1] == pytest.approx(GPU.fp16_tflops)
    assert roof["y"][0] == pytest.approx(roof["x"][0] * GPU.bandwidth_tb_s)


def lockstep(store: Any, batch: int) -> str:
    params = {
        "workload.num_requests": batch,
        "workload.lengths.input_tokens": 161,
        "workload.lengths.output_tokens": 338,
    }
    return run(store, batch, 161, (338,) * batch, 0.8, **params)


def test_published_shares_stand_beside_lock_step_runs(store: Any, tmp_path: Path) -> None:
    (tmp_path / "decode_time.csv").write_text(
        "model,batch,attention_pct,matmul_pct,host_pct,other_pct\n"
        "opt-1.3b,8,30.0,20.0,35.0,15.0\nopt-1.3b,16,1,1,1,1\n"
    )
    lockstep(store, 8)
    scope = store.report_scope(claims_file=tmp_path / "claims.yaml")
    blocks = [block for section in sections(scope) for block in section.blocks]
    (table,) = [block for block in blocks if isinstance(block, TableBlock) and "timelines" in block.title]
    # 0.5 of 10 s is prefill and counts as products: 0.4 - 0.05 of the remaining 0.95
    assert table.rows == [
        ("opt-1.3b", 8, *map(pytest.approx, (30.0, 30 / 0.95, 35.0, 30 / 0.95, 35.0, 35 / 0.95)))
    ]


def test_shares_of_decode_time_and_memory_traffic_can_be_claimed(store: Any) -> None:
    lockstep(store, 8)
    evidence = Evidence(store, load_points(store, store.run_ids))
    attention = COMPUTATIONS["decode_time_share"](evidence, model="opt-1.3b", batch=8, part="attention")
    assert attention.value == pytest.approx(30 / 0.95)
    traffic = COMPUTATIONS["dram_read_share"](evidence, model="opt-1.3b", batch=8)
    assert traffic.value == pytest.approx(100 * 0.8 / GPU.bandwidth_tb_s)
    with pytest.raises(NotEvaluatedError, match=r"no lock-step run of opt-1\.3b with 9 prompts"):
        COMPUTATIONS["decode_time_share"](evidence, model="opt-1.3b", batch=9, part="attention")
    with pytest.raises(NotEvaluatedError, match="no part 'atention'"):
        COMPUTATIONS["decode_time_share"](evidence, model="opt-1.3b", batch=8, part="atention")


def test_shares_of_a_profiled_run_stand_beside_the_model_s_of_the_same_setup(store: Any) -> None:
    run(store, 8, 100, (11,) * 8, 0.8)
    measured = {"total_tok_s": 900.0, "nsight_attention_share": 0.35, "nsight_host_gap_share": 0.2}
    store.add({**BASE, "backend.max_num_seqs": 8, "backend.name": "vllm"}, measured)
    store.add({**BASE, "backend.max_num_seqs": 16, "backend.name": "vllm"}, measured)
    blocks = [block for section in sections(store.report_scope()) for block in section.blocks]
    (table,) = [block for block in blocks if isinstance(block, TableBlock) and "with Nsight" in block.title]
    ((model, workload, batch, *shares),) = table.rows
    assert (model, workload, batch) == ("opt-1.3b", "sharegpt", 8)
    assert shares[:4] == pytest.approx([35, 30, 20, 30])
    assert shares[4] is None
    assert shares[5] == pytest.approx(100 * 0.8 / GPU.bandwidth_tb_s)


def test_shipped_table_of_published_shares_adds_up_to_the_whole() -> None:
    rows = read_published(REPOSITORY / "experiments" / "memory_gap" / "decode_time.csv")
    assert len(rows) == 18
    for row in rows:
        assert row.attention + row.matmul + row.host + row.other == pytest.approx(100, abs=0.3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,batch\n", "no column 'attention_pct'"),
        ("model,batch,attention_pct,matmul_pct,host_pct,other_pct\na,1,x,1,1,1\n", "line 2"),
        ("model,batch,attention_pct,matmul_pct,host_pct,other_pct\na,1\n", "line 2"),
    ],
)
def test_malformed_table_of_published_shares_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "decode_time.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_published(file)
    assert "\n" not in str(caught.value)
