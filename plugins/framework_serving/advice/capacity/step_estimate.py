"""A rough law of an engine's steps, from a dozen tiny simulations, and the throughput that it says at saturation.

time of a step = t0 + a·B + l·A + c·A·B + k·(tokens of context), plus a prompt's tokens at their own speed; B requests
and A adapters in the batch. The learned part only corrects this estimate, so that it carries over to other engines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framework.contracts import BatchBackend, BatchJob, Json, Result, WorkloadTables
from framework_serving.advice.capacity.adapter_sums import FloatArray
from framework_serving.workloads.adapter_mix import AdapterMixWorkload

_DECODES = 128
_ROUNDS = 4
_SHORT, _LONG = 16, 900
_BATCHES = ((8, 1), (64, 1), (256, 1), (8, 8), (64, 8), (256, 8), (64, 32), (256, 32), (256, 96))
_PROMPTS = 256


@dataclass(frozen=True)
class StepEstimate:
    """Seconds of a step by what is in it.

    Attributes:
        fixed_s, per_request_s, per_adapter_s, per_pair_s: by requests B and adapters A, none negative.
        per_context_s: for each token of context that is read.
        per_prompt_s: for each token of a prompt.
        max_seqs: most requests in a batch.
    """

    fixed_s: float
    per_request_s: float
    per_adapter_s: float
    per_pair_s: float
    per_context_s: float
    per_prompt_s: float
    max_seqs: int

    def saturated_tok_s(
        self,
        slots: FloatArray,
        kv_tokens: FloatArray,
        inputs: FloatArray,
        outputs: FloatArray,
        adapter_tok_s: FloatArray,
    ) -> FloatArray:
        """Return the throughput of a full batch, input and output; arrays of one shape.

        The number of adapters in the batch follows from the load of one (`adapter_tok_s`): as many as it takes to
        fill the engine, no more than there are slots or different ones among the requests.
        """
        context = inputs + outputs / 2
        batch = np.clip(kv_tokens / context, 1.0, self.max_seqs)
        served = np.maximum(slots, 1.0)
        rate = np.zeros(len(slots))
        for _ in range(4):
            different = served * -np.expm1(batch * np.log1p(-np.minimum(1.0 / served, 0.999)))
            adapters = np.minimum(np.minimum(slots, different), batch)
            step_s = (
                self.fixed_s
                + self.per_request_s * batch
                + self.per_adapter_s * adapters
                + self.per_pair_s * adapters * batch
                + self.per_context_s * batch * context
            )
            rate = batch * (inputs + outputs) / (outputs * step_s + batch * inputs * self.per_prompt_s)
            served = np.maximum(rate / adapter_tok_s, 1.0)
        return rate


def estimate_steps(backend: BatchBackend, settings: Mapping[str, Json], max_slots: int) -> StepEstimate:
    """Simulate bursts of equal requests in lock step and fit the law. `max_slots`: that it starts with, rank 8."""
    from scipy.optimize import nnls

    batches = [(batch, adapters) for batch, adapters in _BATCHES if adapters <= max_slots]
    jobs = [_job(settings, batch, adapters, _SHORT, _DECODES, _ROUNDS * batch) for batch, adapters in batches]
    jobs.append(_job(settings, 64, 1, _LONG, _DECODES, _ROUNDS * 64))
    jobs.append(_job(settings, _PROMPTS, 1, _LONG, 1, _PROMPTS))
    elapsed = {place: _elapsed_s(result) for place, result in enumerate(one_by_one(backend, jobs))}
    steps_s = np.array([elapsed[place] / (_ROUNDS * _DECODES) for place in range(len(batches))])
    pairs = np.array(batches, dtype=np.float64)
    rows = np.column_stack([np.ones(len(pairs)), pairs[:, 0], pairs[:, 1], pairs[:, 0] * pairs[:, 1]])
    found, _ = nnls(rows / steps_s[:, None], np.ones(len(pairs)))  # relative errors count
    per_prompt = elapsed[len(batches) + 1] / (_PROMPTS * _LONG)
    long_s = elapsed[len(batches)] - _ROUNDS * 64 * _LONG * per_prompt
    short_s = steps_s[batches.index((64, 1))]
    per_context = (long_s / (_ROUNDS * _DECODES) - short_s) / (64 * (_LONG + _DECODES / 2))
    seqs = settings.get("max_num_seqs")
    fixed, per_request, per_adapter, per_pair = (float(item) for item in found)
    return StepEstimate(
        fixed,
        per_request,
        per_adapter,
        per_pair,
        max(float(per_context), 0.0),
        per_prompt,
        int(seqs or 256),
    )


def one_by_one(backend: BatchBackend, jobs: Sequence[BatchJob]) -> Iterator[Result]:
    """Simulate small jobs in order, in this process: processes of their own would cost more than the work."""
    for job in jobs:
        for _, result in backend.run_batch([job]):
            yield result


def _job(
    settings: Mapping[str, Json], batch: int, adapters: int, inputs: int, outputs: int, requests: int
) -> BatchJob:
    own = {**settings, "max_num_seqs": batch, "max_loras": adapters, "max_lora_rank": 8}
    return BatchJob(own, _equal_requests(adapters, inputs, outputs, requests))


def _equal_requests(adapters: int, inputs: int, outputs: int, requests: int) -> WorkloadTables:
    return AdapterMixWorkload(
        n_adapters=adapters,
        ranks=[8],
        num_requests=requests,
        duration_s=None,
        drain=True,
        lengths={"kind": "fixed", "input_tokens": inputs, "output_tokens": outputs},
        arrivals={"kind": "burst"},
    ).build(0)


def _elapsed_s(result: Result) -> float:
    import pyarrow.compute as pc

    if "requests" not in result.tables:
        return float("nan")
    return float(pc.max(result.tables["requests"]["last_token_s"]).as_py())
