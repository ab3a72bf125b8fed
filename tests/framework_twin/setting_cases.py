"""Cases of every key of the twin and of the serving workloads: a base of overrides, and what is changed.

Words in capitals among the values are files that the tests write.
"""

from __future__ import annotations

from collections.abc import Mapping

HOST = "backend=twin model=llama-3.1-8b gpu=h100-64gb backend.max_model_len=4096"
FIXED = (
    f"{HOST} workload=fixed workload.num_requests=40 workload.lengths.input_tokens=300 "
    "workload.lengths.output_tokens=60"
)
SPREAD = (
    f"{HOST} workload=sharegpt workload.num_requests=200 workload.lengths.input_max=null "
    "workload.lengths.output_max=null"
)
STREAM = f"{FIXED} workload.arrivals.kind=poisson workload.arrivals.rate_rps=20"
POINTS = (
    f"{FIXED} workload.arrivals.kind=constant workload.arrivals.rate_rps=null "
    "workload.arrivals.rate_points=[[0,5],[2,20]]"
)
USERS = f"{FIXED} workload.arrivals.kind=concurrency workload.arrivals.concurrency=4"
ADAPTERS = f"{HOST} workload=adapters workload.n_adapters=8 workload.rates_rps=[2.0] workload.duration_s=20"
ZIPF = f"{ADAPTERS} workload.rates_rps=[] workload.popularity.kind=zipf workload.popularity.mean_rps=2"
BURSTS = "workload.bursts.every_s=6 workload.bursts.length_s=2 workload.bursts.factor=5"
TRACE = f"{HOST} workload=trace"
SMALL_KV = f"{FIXED} backend.kv_blocks=200"

DRAFTED = f"{FIXED} backend.speculative_tokens=3 backend.speculative_acceptance=0.7"

Case = tuple[str, str]
REFUSED = "refused: "

TWIN: Mapping[str, Case] = {
    "name": (FIXED, "backend.name=other"),
    "model": (FIXED, "model=opt-1.3b"),
    "gpu": (FIXED, "gpu=l40s"),
    "max_num_seqs": (FIXED, "backend.max_num_seqs=4"),
    "max_num_batched_tokens": (FIXED, "backend.max_num_batched_tokens=512"),
    "chunked_prefill": (FIXED, "backend.chunked_prefill=false"),
    "max_model_len": (f"{SPREAD} workload.lengths.total_max=4000", "backend.max_model_len=300"),
    "gpu_memory_utilization": (FIXED, "backend.gpu_memory_utilization=0.3 backend.max_model_len=2048"),
    "kv_blocks": (FIXED, "backend.kv_blocks=200 backend.max_model_len=2048"),
    "enable_prefix_caching": (
        f"{TRACE} workload.file=HASHED workload.columns.hash_ids=hash_ids",
        "backend.enable_prefix_caching=true",
    ),
    "enforce_eager": (f"{FIXED} model=opt-125m", "backend.enforce_eager=true"),
    "tensor_parallel": (FIXED, "backend.tensor_parallel=2"),
    "max_loras": (ADAPTERS, "backend.max_loras=1"),
    "max_cpu_loras": (f"{ADAPTERS} backend.max_loras=1", "backend.max_cpu_loras=2"),
    "max_lora_rank": (ADAPTERS, "backend.max_lora_rank=64"),
    "replicas": (FIXED, "backend.replicas=2"),
    "gpus": (f"{FIXED} backend.replicas=2", "backend.gpus=2"),
    "mps": (f"{FIXED} backend.replicas=2", "backend.mps=false"),
    "router": (
        f"{SPREAD} backend.replicas=3 workload.arrivals.kind=poisson workload.arrivals.rate_rps=50",
        "backend.router=least_load",
    ),
    "sample_period_s": (FIXED, "backend.sample_period_s=null"),
    "engine": (FIXED, "backend.engine=v0"),
    "profile": (FIXED, "backend.profile=roofline"),
    "profile_folder": (FIXED, "backend.profile_folder=PROFILES"),
    "physics": (f"{FIXED} gpu=l40s", "backend.physics=roofline"),
    "pipeline_parallel": (f"{FIXED} gpu=l40s", "backend.pipeline_parallel=2"),
    "data_parallel": (f"{FIXED} model=none model.id=Qwen/Qwen3-30B-A3B gpu=b200", "backend.data_parallel=2"),
    "speculative_tokens": (DRAFTED, "backend.speculative_tokens=5"),
    "speculative_acceptance": (DRAFTED, "backend.speculative_acceptance=0.3"),
    "speculative_draft_share": (DRAFTED, "backend.speculative_draft_share=0.2"),
    "expert_parallel": (
        f"{FIXED} model=none model.id=Qwen/Qwen3-30B-A3B gpu=b200 backend.tensor_parallel=2",
        "backend.expert_parallel=2",
    ),
    "front_end_s": (FIXED, "backend.front_end_s=0.1"),
    "adapters_preloaded": (ADAPTERS, "backend.adapters_preloaded=false"),
    "engine_version": (FIXED, "backend.engine_version=0.6.4"),
    "engine_use": (
        f"{FIXED} gpu=h100-80gb workload.num_requests=400 backend.engine_version=0.11 backend.max_num_seqs=null",
        "backend.engine_use=offline",
    ),
}

DESCRIBED: Mapping[str, Case] = {
    "model.weight_type": (FIXED, "model.weight_type=fp8"),
    "model.kv_type": (FIXED, "model.kv_type=fp8"),
    "model.expert_type": (FIXED, f"{REFUSED}model.expert_type=fp8"),
    "gpu.count": (f"{FIXED} backend.tensor_parallel=2", f"{REFUSED}gpu.count=1"),
}
"""Keys that every option of a group takes."""

SYNTHETIC: Mapping[str, Case] = {
    "name": (FIXED, "workload.name=other"),
    "seed": (SPREAD, "workload.seed=5"),
    "num_requests": (FIXED, "workload.num_requests=41"),
    "duration_s": (f"{STREAM} workload.num_requests=null workload.duration_s=10", "workload.duration_s=5"),
    "drain": (f"{STREAM} workload.num_requests=null workload.duration_s=3", "workload.drain=false"),
    "max_requests": (FIXED, "workload.max_requests=7"),
    "max_tokens": (FIXED, "workload.max_tokens=16"),
    "slo.ttft_ms": (FIXED, "workload.slo.ttft_ms=20"),
    "slo.tpot_ms": (FIXED, "workload.slo.tpot_ms=1"),
    "slo.itl_ms": (FIXED, "workload.slo.itl_ms=1"),
    "slo.e2e_ms": (FIXED, "workload.slo.e2e_ms=100"),
    "arrivals.kind": (STREAM, "workload.arrivals.kind=constant"),
    "arrivals.rate_rps": (STREAM, "workload.arrivals.rate_rps=10"),
    "arrivals.cv": (f"{STREAM} workload.arrivals.kind=gamma", "workload.arrivals.cv=3"),
    "arrivals.ramp_s": (FIXED, "workload.arrivals.ramp_s=2"),
    "arrivals.rate_points": (POINTS, "workload.arrivals.rate_points=[[0,5],[1,30]]"),
    "arrivals.rate_shape": (POINTS, "workload.arrivals.rate_shape=linear"),
    "arrivals.burstiness": (f"{STREAM} workload.arrivals.kind=gamma", "workload.arrivals.burstiness=0.5"),
    "arrivals.concurrency": (USERS, "workload.arrivals.concurrency=8"),
    "arrivals.think_s": (USERS, "workload.arrivals.think_s=1"),
    "arrivals.think_cv": (f"{USERS} workload.arrivals.think_s=1", "workload.arrivals.think_cv=1"),
    "sessions.turns": (USERS, "workload.sessions.turns=4"),
    "sessions.shared_tokens": (USERS, "workload.sessions.shared_tokens=64"),
    "lengths.kind": (SPREAD, "workload.lengths.kind=lognormal"),
    "lengths.input_tokens": (FIXED, "workload.lengths.input_tokens=301"),
    "lengths.output_tokens": (FIXED, "workload.lengths.output_tokens=61"),
    "lengths.input_std": (SPREAD, "workload.lengths.input_std=10"),
    "lengths.output_std": (SPREAD, "workload.lengths.output_std=10"),
    "lengths.input_min": (SPREAD, "workload.lengths.input_min=10"),
    "lengths.output_min": (SPREAD, "workload.lengths.output_min=10"),
    "lengths.input_max": (SPREAD, "workload.lengths.input_max=900"),
    "lengths.output_max": (SPREAD, "workload.lengths.output_max=900"),
    "lengths.total_max": (SPREAD, "workload.lengths.total_max=1500"),
    "lengths.input_histogram": (
        "HISTOGRAM",
        "workload.lengths.input_histogram=[[50,60,1.0]]",
    ),
    "lengths.output_histogram": (
        "HISTOGRAM",
        "workload.lengths.output_histogram=[[50,60,1.0]]",
    ),
}

MIX: Mapping[str, Case] = {
    "name": (ADAPTERS, "workload.name=other"),
    "seed": (ADAPTERS, "workload.seed=5"),
    "n_adapters": (ADAPTERS, "workload.n_adapters=9"),
    "ranks": (ADAPTERS, "workload.ranks=[8,64]"),
    "rates_rps": (ADAPTERS, "workload.rates_rps=[3.0]"),
    "popularity.kind": (ADAPTERS, f"{REFUSED}workload.popularity.kind=zipf"),
    "popularity.mean_rps": (ZIPF, "workload.popularity.mean_rps=3"),
    "popularity.exponent": (ZIPF, "workload.popularity.exponent=2"),
    "popularity.spread": (ZIPF.replace("=zipf", "=uniform"), "workload.popularity.spread=0.9"),
    "popularity.drift_s": (ZIPF, "workload.popularity.drift_s=5"),
    "activity.on_s": (
        f"{ADAPTERS} workload.activity.on_s=2 workload.activity.off_s=2",
        "workload.activity.on_s=5",
    ),
    "activity.off_s": (
        f"{ADAPTERS} workload.activity.on_s=2 workload.activity.off_s=2",
        "workload.activity.off_s=5",
    ),
    "bursts.every_s": (f"{ADAPTERS} {BURSTS}", "workload.bursts.every_s=9"),
    "bursts.length_s": (f"{ADAPTERS} {BURSTS}", "workload.bursts.length_s=3"),
    "bursts.factor": (f"{ADAPTERS} {BURSTS}", "workload.bursts.factor=9"),
    "adapter_lengths": (ADAPTERS, "workload.adapter_lengths=[{},{input_tokens:400}]"),
    "num_requests": (ADAPTERS, f"{REFUSED}workload.num_requests=50"),
    "duration_s": (ADAPTERS, "workload.duration_s=15"),
    "drain": (ADAPTERS, "workload.drain=true"),
    "max_requests": (ADAPTERS, "workload.max_requests=7"),
    "max_tokens": (ADAPTERS, "workload.max_tokens=16"),
    "slo.ttft_ms": (ADAPTERS, "workload.slo.ttft_ms=20"),
    "slo.tpot_ms": (ADAPTERS, "workload.slo.tpot_ms=1"),
    "slo.itl_ms": (ADAPTERS, "workload.slo.itl_ms=1"),
    "slo.e2e_ms": (ADAPTERS, "workload.slo.e2e_ms=100"),
    "arrivals.kind": (ADAPTERS, "workload.arrivals.kind=constant"),
    "arrivals.rate_rps": (ADAPTERS, f"{REFUSED}workload.arrivals.rate_rps=3"),
    "arrivals.cv": (f"{ADAPTERS} workload.arrivals.kind=gamma", "workload.arrivals.cv=3"),
    "arrivals.ramp_s": (ADAPTERS, f"{REFUSED}workload.arrivals.ramp_s=3"),
    "arrivals.rate_points": (ADAPTERS, f"{REFUSED}workload.arrivals.rate_points=[[0,5],[2,20]]"),
    "arrivals.rate_shape": (ADAPTERS, f"{REFUSED}workload.arrivals.rate_shape=linear"),
    "arrivals.burstiness": (f"{ADAPTERS} workload.arrivals.kind=gamma", "workload.arrivals.burstiness=0.5"),
    "arrivals.concurrency": (ADAPTERS, "workload.arrivals.concurrency=2"),
    "arrivals.think_s": (f"{ADAPTERS} workload.arrivals.concurrency=4", "workload.arrivals.think_s=1"),
    "arrivals.think_cv": (
        f"{ADAPTERS} workload.arrivals.concurrency=4 workload.arrivals.think_s=1",
        "workload.arrivals.think_cv=1",
    ),
    **{
        f"lengths.{name}": (ADAPTERS, f"workload.lengths.{name}={value}")
        for name, value in (
            ("kind", "lognormal"),
            ("input_tokens", 200),
            ("output_tokens", 150),
            ("input_std", 100),
            ("output_std", 100),
            ("input_min", 10),
            ("output_min", 10),
            ("input_max", 900),
            ("output_max", 900),
            ("total_max", 1700),
        )
    },
    "lengths.input_histogram": ("HISTOGRAM MIX", "workload.lengths.input_histogram=[[50,60,1.0]]"),
    "lengths.output_histogram": ("HISTOGRAM MIX", "workload.lengths.output_histogram=[[50,60,1.0]]"),
}

ROWS = f"{TRACE} workload.file=PLAIN"
NO_TIMES = f"{TRACE} workload.file=PLAIN workload.columns.arrival=null"
TRACED: Mapping[str, Case] = {
    "name": (ROWS, "workload.name=other"),
    "seed": (f"{NO_TIMES} workload.arrivals.kind=poisson workload.arrivals.rate_rps=5", "workload.seed=5"),
    "file": (ROWS, "workload.file=OTHER"),
    "format": (ROWS, f"{REFUSED}workload.format=jsonl"),
    "time_unit": (ROWS, "workload.time_unit=ms"),
    "window_start_s": (ROWS, "workload.window_start_s=1.5"),
    "window_end_s": (ROWS, "workload.window_end_s=2.5"),
    "limit": (ROWS, "workload.limit=3"),
    "rate_scale": (ROWS, "workload.rate_scale=2"),
    "sort": (f"{TRACE} workload.file=UNSORTED workload.sort=true", f"{REFUSED}workload.sort=false"),
    "skip_bad_rows": (
        f"{TRACE} workload.file=BROKEN workload.skip_bad_rows=true",
        f"{REFUSED}workload.skip_bad_rows=false",
    ),
    "hash_block_tokens": (
        f"{TRACE} workload.file=HASHED workload.columns.hash_ids=hash_ids backend.enable_prefix_caching=true",
        "workload.hash_block_tokens=256",
    ),
    "ranks": (f"{TRACE} workload.file=ADAPTED workload.columns.adapter=adapter", "workload.ranks=[64]"),
    "drain": (ROWS, "workload.drain=false"),
    "max_requests": (ROWS, "workload.max_requests=2"),
    "max_tokens": (ROWS, "workload.max_tokens=16"),
    "slo.ttft_ms": (ROWS, "workload.slo.ttft_ms=20"),
    "slo.tpot_ms": (ROWS, "workload.slo.tpot_ms=1"),
    "slo.itl_ms": (ROWS, "workload.slo.itl_ms=1"),
    "slo.e2e_ms": (ROWS, "workload.slo.e2e_ms=100"),
    "arrivals.kind": (NO_TIMES, "workload.arrivals.kind=poisson workload.arrivals.rate_rps=5"),
    "arrivals.rate_rps": (
        f"{NO_TIMES} workload.arrivals.kind=constant workload.arrivals.rate_rps=5",
        "workload.arrivals.rate_rps=2",
    ),
    "arrivals.cv": (
        f"{NO_TIMES} workload.arrivals.kind=gamma workload.arrivals.rate_rps=5",
        "workload.arrivals.cv=3",
    ),
    "arrivals.ramp_s": (NO_TIMES, "workload.arrivals.ramp_s=3"),
    "arrivals.rate_points": (
        f"{NO_TIMES} workload.arrivals.kind=constant workload.arrivals.rate_points=[[0,5],[2,20]]",
        "workload.arrivals.rate_points=[[0,2]]",
    ),
    "arrivals.rate_shape": (
        f"{NO_TIMES} workload.arrivals.kind=constant workload.arrivals.rate_points=[[0,1],[2,20]]",
        "workload.arrivals.rate_shape=linear",
    ),
    "arrivals.burstiness": (
        f"{NO_TIMES} workload.arrivals.kind=gamma workload.arrivals.rate_rps=5",
        "workload.arrivals.burstiness=0.1",
    ),
    "arrivals.concurrency": (NO_TIMES, "workload.arrivals.concurrency=1"),
    "arrivals.think_s": (f"{NO_TIMES} workload.arrivals.concurrency=1", "workload.arrivals.think_s=1"),
    "arrivals.think_cv": (
        f"{NO_TIMES} workload.arrivals.concurrency=1 workload.arrivals.think_s=1",
        "workload.arrivals.think_cv=1",
    ),
    "columns.arrival": (ROWS, "workload.columns.arrival=later_s"),
    "columns.input": (ROWS, "workload.columns.input=later_s"),
    "columns.output": (ROWS, "workload.columns.output=input_tokens"),
    "columns.adapter": (f"{TRACE} workload.file=ADAPTED", "workload.columns.adapter=adapter"),
    "columns.hash_ids": (
        f"{TRACE} workload.file=HASHED backend.enable_prefix_caching=true",
        "workload.columns.hash_ids=hash_ids",
    ),
    "columns.id": (
        f"{TRACE} workload.file=TURNS workload.columns.parent=parent",
        "workload.columns.id=turn",
    ),
    "columns.parent": (
        f"{TRACE} workload.file=TURNS workload.columns.id=turn",
        "workload.columns.parent=parent",
    ),
    "preset": (ROWS, f"{REFUSED}workload.preset=azure"),
    "tokenizer": (
        f"{TRACE} workload.file=PROMPTS workload.tokenizer=TOKENIZER",
        f"{REFUSED}workload.tokenizer=null",
    ),
}

BINS = "[[100,200,1.0]]"
