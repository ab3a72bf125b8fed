"""What sets one engine apart from another, measured with a few small simulations: memory by slots, speed by adapters.

A capacity model that takes these as features serves engines of which it has seen no population.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from framework.contracts import BatchBackend, BatchJob, Json, Result, SweepFingerprinted, WorkloadTables
from framework.errors import UserError
from framework.identity.run_key import canonical_hash
from framework_serving.advice.adapter_search import SLOTS
from framework_serving.advice.capacity.adapter_sums import FloatArray
from framework_serving.advice.capacity.step_estimate import StepEstimate, estimate_steps, one_by_one
from framework_serving.workloads.adapter_mix import AdapterMixWorkload

RANKS = (8, 16, 32, 64)
"""Largest ranks that an engine is started with; vLLM rounds a rank up to one of a list with these."""
_BURST = 1200
_NO_IDENTITY = (
    "max_loras",
    "max_cpu_loras",
    "max_lora_rank",
    "sample_period_s",
    "profile_folder",
    "_target_",
    "name",
)
_LENGTHS = {
    "kind": "gamma",
    **{"input_tokens": 222.6, "input_std": 246.5, "input_min": 4, "input_max": 1024},
    **{"output_tokens": 198.6, "output_std": 206, "output_max": 1024, "total_max": 2048},
}


@dataclass(frozen=True)
class EngineProbe:
    """One engine as a capacity model sees it.

    Attributes:
        engine: hash of its settings.
        model, gpu: names, for people.
        one_tok_s: throughput of a saturated engine with one adapter of rank 8.
        steps: rough law of its steps.
        kv_tokens: largest rank → slots → tokens of the KV cache; slots with which it does not start are missing.
        refusals: largest rank → why it does not start with more slots.
        physics: hash of what the backend simulates with; what was made with another one is not of this engine.
    """

    engine: str
    model: str
    gpu: str
    one_tok_s: float
    steps: StepEstimate
    kv_tokens: Mapping[int, Mapping[int, float]]
    refusals: Mapping[int, str]
    physics: str = ""

    def usable_rank(self, rank: float) -> int | None:
        """Return the smallest largest rank, of those probed, that admits a rank; None: the rank is above all."""
        return next((known for known in sorted(self.kv_tokens) if known >= rank), None)

    def most_slots(self, rank: float) -> int:
        """Return the most slots with which it starts for adapters up to a rank; 0: none, or an unknown rank."""
        known = self.usable_rank(rank)
        return max(self.kv_tokens[known], default=0) if known else 0

    def cache(self, rank: FloatArray, slots: FloatArray) -> FloatArray:
        """Return the KV cache's tokens, interpolated over slots; 0 where the engine does not start."""
        found = np.zeros(len(rank))
        for value in np.unique(rank):
            known = self.usable_rank(float(value))
            table = self.kv_tokens.get(known, {}) if known else {}
            mine = rank == value
            if table:
                places = sorted(table)
                inside = slots[mine] <= places[-1]
                found[mine] = np.interp(slots[mine], places, [table[item] for item in places]) * inside
        return found

    def as_json(self) -> dict[str, Json]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EngineProbe:
        """Return it from `as_json` after a passage through JSON, whose keys are texts."""
        tables = {
            int(rank): {int(slots): float(tokens) for slots, tokens in table.items()}
            for rank, table in data["kv_tokens"].items()
        }
        refusals = {int(rank): str(text) for rank, text in data["refusals"].items()}
        steps = StepEstimate(**data["steps"])
        return cls(**{**data, "steps": steps, "kv_tokens": tables, "refusals": refusals})


def engine_id(settings: Mapping[str, Json]) -> str:
    """Return what names an engine: a hash of its settings without those of adapter slots."""
    kept = {key: value for key, value in settings.items() if key not in _NO_IDENTITY and value is not None}
    return str(canonical_hash(kept))[:16]


def physics_of(backend: BatchBackend) -> str:
    """Return a hash of what a backend simulates with; "" for one that does not say."""
    return backend.sweep_fingerprint() if isinstance(backend, SweepFingerprinted) else ""


def probe(backend: BatchBackend, settings: Mapping[str, Json]) -> EngineProbe:
    """Simulate an engine idle with every largest rank and number of slots, saturated, and in lock step.

    Raises:
        UserError: it does not even start with one slot of the smallest rank; the line says why.
    """
    jobs = [
        BatchJob({**settings, "max_loras": slots, "max_lora_rank": rank}, _requests(rank, 1))
        for rank in RANKS
        for slots in SLOTS
    ]
    saturated = BatchJob({**settings, "max_loras": 1, "max_lora_rank": RANKS[0]}, _requests(RANKS[0], _BURST))
    results = list(one_by_one(backend, [*jobs, saturated]))
    tables: dict[int, dict[int, float]] = {rank: {} for rank in RANKS}
    refusals: dict[int, str] = {}
    for index, (rank, slots) in enumerate((rank, slots) for rank in RANKS for slots in SLOTS):
        problem = refusal(results[index])
        if problem is not None:
            refusals.setdefault(rank, f"{slots} slots: {problem}")
        else:
            facts = results[index].facts
            tables[rank][slots] = float(facts["kv_blocks"]) * float(facts["engine"]["block_size"])
    problem = refusal(results[len(jobs)])
    if problem is not None:
        raise UserError(f"this engine can't serve adapters: {problem}")
    steps = estimate_steps(backend, settings, max(tables[RANKS[0]]))
    model, gpu = (str((settings.get(group) or {}).get("name")) for group in ("model", "gpu"))
    speed = _tok_s(results[len(jobs)])
    return EngineProbe(engine_id(settings), model, gpu, speed, steps, tables, refusals, physics_of(backend))


def refusal(result: Result) -> str | None:
    """Return why an engine would not start, None if it does."""
    return next((check.detail for check in result.checks if check.name == "refused"), None)


def _requests(rank: int, requests: int) -> WorkloadTables:
    return AdapterMixWorkload(
        n_adapters=1,
        ranks=[rank],
        num_requests=requests,
        duration_s=None,
        drain=True,
        lengths=_LENGTHS,
        arrivals={"kind": "burst"},
    ).build(0)


def _tok_s(result: Result) -> float:
    import pyarrow.compute as pc

    table = result.tables["requests"]
    tokens = pc.sum(table["input_tokens"]).as_py() + pc.sum(table["output_tokens"]).as_py()
    return float(tokens) / float(pc.max(table["last_token_s"]).as_py())
