"""A store in memory whose runs a synthetic engine made: the twin under coefficients that the fit does not know."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from framework.configuration.study_config import flatten
from framework.contracts import RunContext, WorkloadTables
from framework.run.rebuild import rebuilt_workload, stored_config
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_serving.metrics.serving_metrics import derive
from framework_twin.backend import TwinBackend
from framework_twin.measured.step_samples import StepSample, predicted_seconds
from framework_twin.physics.coefficients import StepCoefficients
from framework_twin.physics.profile import FitRecord, TwinProfile, ValidRange, write_profile
from framework_twin.physics.roofline import roofline

MODEL, GPU = "small-llama", "CPU"

DEVICE = replace(
    roofline(model_shape(MODEL), gpu_spec(GPU), "v1"),
    host_s=0.5e-3,
    host_per_seq_s=40e-6,
    weights_s=6e-3,
    compute_per_token_s=0.2e-3,
    per_context_token_s=1e-6,
    lora_s=12e-3,
)
"""An engine far from the datasheet: what lock-step runs see of it."""

SERVED = replace(DEVICE, host_s=2e-3, host_per_seq_s=150e-6, prefill_step_s=3e-3)
"""The same behind a server."""


def step_row(sample: StepSample, seconds: float, step: int, repeat: int) -> dict[str, Any]:
    decodes = sample.decodes > 0
    batch = sample.decodes or sample.prompts
    return {
        "batch": batch,
        "input_tokens": 0 if decodes else sample.prompt_tokens // batch,
        "adapters": sample.adapters,
        "phase": "decode" if decodes else "prefill",
        "repeat": repeat,
        "step": step,
        "sequences": batch,
        "prefill_tokens": sample.prompt_tokens,
        "attention_pairs": sample.attention_pairs,
        "context_tokens": int(sample.context_tokens),
        "max_loras": sample.slots,
        "max_lora_rank": sample.rank,
        "duration_s": seconds,
        "cpu_s": None,
    }


def decode(batch: int, context: int, adapters: int = 0) -> StepSample:
    slots, rank = (4, 8) if adapters else (0, 0)
    return StepSample(batch, 0, 0, 0.0, float(context), adapters, slots, rank, True, 0.0, 1)


def prefill(batch: int, tokens: int, adapters: int = 0) -> StepSample:
    slots, rank = (4, 8) if adapters else (0, 0)
    pairs = batch * tokens**2 / 2
    return StepSample(0, batch, batch * tokens, pairs, 0.0, adapters, slots, rank, True, 0.0, 1)


def timed_steps(truth: StepCoefficients, adapters: bool, noise: float = 0.02) -> list[dict[str, Any]]:
    """Return rows of `offline_steps` of a grid, each time with log-normal noise, and now and then a hiccup."""
    random = np.random.default_rng(5)
    used = (1, 2, 4) if adapters else (0,)
    rows = []
    for count in used:
        for batch in (1, 2, 4, 8, 16):
            if batch < count:
                continue
            kinds = [prefill(batch, tokens, count) for tokens in (16, 128)]
            kinds += [
                decode(batch, batch * (context + step), count) for context in (16, 512) for step in range(8)
            ]
            for repeat in range(3):
                for place, kind in enumerate(kinds):
                    seconds = predicted_seconds(kind, truth) * float(np.exp(noise * random.standard_normal()))
                    hiccup = 4.0 if random.random() < 0.05 else 1.0
                    row = step_row(kind, seconds * hiccup, place % 8, repeat)
                    rows.append({**row, "input_tokens": row["input_tokens"] or (16 if place < 10 else 512)})
    return rows


def profile_file(folder: Path, coefficients: StepCoefficients, name: str = "truth") -> Path:
    valid, fit = ValidRange(64, 4096, 8, 16), FitRecord(1, "0", ("test",))
    profile = TwinProfile(name, (MODEL,), GPU, "v1", "float16", coefficients, valid, fit)
    write_profile(profile, folder / f"{name}.yaml")
    return folder / f"{name}.yaml"


def engine_config(**backend: Any) -> dict[str, Any]:
    defaults = {
        "max_num_batched_tokens": 1024,
        "max_model_len": 1024,
        "enforce_eager": True,
        "kv_blocks": 8192,
    }
    return {**defaults, **backend}


class MeasuredStore:
    """A `StoreReader` over runs that `measure` and `add_steps` put there."""

    def __init__(self, truth: Path) -> None:
        self.truth = truth
        self.connection = duckdb.connect()
        self.connection.execute(
            "CREATE TABLE runs(run_id TEXT, experiment TEXT, backend TEXT, status TEXT, sanity TEXT, seed BIGINT, "
            "workload_hash TEXT, started_at TEXT, sweep_id TEXT)"
        )
        for table in ("params", "facts", "metrics", "provenance"):
            self.connection.execute(f"CREATE TABLE {table}(run_id TEXT, name TEXT, value TEXT)")
        self.run_ids: list[str] = []

    def measure(self, workload: Mapping[str, Any], **backend: Any) -> str:
        """Serve a workload with the synthetic engine and keep the run as one of backend `vllm`."""
        engine = engine_config(**backend)
        params = _params({"workload": workload, "backend": engine})
        tables = rebuilt_workload(stored_config(params))
        groups = {"model": vars(model_shape(MODEL)), "gpu": vars(gpu_spec(GPU))}
        twin = TwinBackend(**groups, **engine, engine="v1", profile=str(self.truth))
        result = twin.run(tables, RunContext("", {}, 0, Path()))
        metrics = [*result.metrics, *derive({}, tables, result)]
        values = {metric.name: str(metric.value) for metric in metrics if metric.value is not None}
        facts = _params({"workload": dict(tables.facts)}) | {
            "kv_blocks": str(engine["kv_blocks"]),
            "kv_block_tokens": "16",
            "engine_version": "0.32.0",
        }
        return self._add(params, facts, values, tables)

    def add_steps(self, rows: Sequence[Mapping[str, Any]], name: str) -> str:
        """Keep timed steps as a run of backend `vllm_offline`."""
        run_id = self._add(_params({"workload": {"name": name}, "backend": engine_config()}), {
            "engine_version": "0.32.0"
        }, {}, None)  # fmt: skip
        table = pa.Table.from_pylist([{"run_id": run_id, **row} for row in rows])
        known = self.connection.execute(
            "SELECT 1 FROM information_schema.tables WHERE table_name='offline_steps'"
        ).fetchall()
        verb = "INSERT INTO offline_steps" if known else "CREATE TABLE offline_steps AS"
        self.connection.register("rows_to_add", table)
        self.connection.execute(f"{verb} SELECT * FROM rows_to_add")
        return run_id

    def _add(
        self,
        params: Mapping[str, str | None],
        facts: Mapping[str, str | None],
        metrics: Mapping[str, str | None],
        tables: WorkloadTables | None,
    ) -> str:
        run_id = f"run-{len(self.run_ids):02}"
        self.run_ids.append(run_id)
        content = tables.content_hash if tables else None
        row = [run_id, "mine", "vllm" if tables else "vllm_offline", "done", "pass", 0, content, run_id, None]
        self.connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        groups = {"model": vars(model_shape(MODEL)), "gpu": vars(gpu_spec(GPU))}
        named = {**params, **_params(groups)}
        for table, values in (("params", named), ("facts", facts), ("metrics", metrics)):
            rows = [[run_id, name, value] for name, value in values.items()]
            if rows:
                self.connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)
        return run_id

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        return self.connection.execute(sql, list(parameters)).to_arrow_table()


def _params(config: Mapping[str, Any]) -> dict[str, str | None]:
    return {
        name: None if value is None else value if isinstance(value, str) else json.dumps(value)
        for name, value in flatten(config)
    }


def chat(name: str, **keys: Any) -> dict[str, Any]:
    """Return a synthetic workload's configuration with short prompts and answers."""
    lengths = {"kind": "gamma", "input_tokens": 48, "input_std": 48, "output_tokens": 40, "output_std": 28}
    target = "framework_serving.workloads.synthetic.SyntheticWorkload"
    return {"_target_": target, "name": name, "seed": 0, "lengths": lengths, **keys}


def lora_mix(name: str, **keys: Any) -> dict[str, Any]:
    """Return an adapter mix's configuration."""
    base = {**chat(name), "_target_": "framework_serving.workloads.adapter_mix.AdapterMixWorkload"}
    return {
        **base,
        "n_adapters": 4,
        "ranks": [8],
        "rates_rps": [1.0],
        "duration_s": 10.0,
        "drain": True,
        **keys,
    }
