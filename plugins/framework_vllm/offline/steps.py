"""Table `offline_steps`: every timed step with what it computed, and the numbers of a run that come from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.contracts import Metric, MetricDefinition

if TYPE_CHECKING:
    import pyarrow as pa

OFFLINE_METRICS = (
    MetricDefinition(
        "prefill_time_s", "s", "lock-step engine: computing all prompts of the largest batch", "lower"
    ),
    MetricDefinition(
        "decode_step_mean_ms", "ms", "lock-step engine: mean decode step of the largest batch", "lower"
    ),
    MetricDefinition(
        "decode_step_p50_ms", "ms", "lock-step engine: median decode step of the largest batch", "lower"
    ),
)

OFFLINE_POINTS_VIEW = """
CREATE OR REPLACE VIEW offline_points AS
WITH prefills AS (
    SELECT run_id, batch, input_tokens, adapters, repeat, sum(duration_s) AS prefill_s
    FROM offline_steps WHERE phase = 'prefill' GROUP BY ALL
)
SELECT
    d.run_id,
    d.batch,
    d.input_tokens,
    d.adapters,
    count(*) AS decode_steps,
    (SELECT median(p.prefill_s) FROM prefills AS p
     WHERE (p.run_id, p.batch, p.input_tokens, p.adapters) = (d.run_id, d.batch, d.input_tokens, d.adapters)
    ) AS prefill_time_s,
    1000 * avg(d.duration_s) AS decode_step_mean_ms,
    1000 * median(d.duration_s) AS decode_step_p50_ms,
    d.batch / median(d.duration_s) AS output_tok_s,
    greatest(0, 1 - sum(d.cpu_s) / sum(d.duration_s)) AS taken_share
FROM offline_steps AS d
WHERE d.phase = 'decode'
GROUP BY d.run_id, d.batch, d.input_tokens, d.adapters
"""
"""One row a point of the grid: what `shared/data` calls an offline row. `taken_share` is the part of the time that
other processes had the core (engines on a CPU)."""


def offline_steps() -> pa.Schema:
    """Schema of `offline_steps`, one row a step.

    `repeat` counts the rounds over the grid; `phase` is `prefill` or `decode`. `sequences` took part in the step,
    with `prefill_tokens` prompt tokens or one decode each; `attention_pairs` is Σ chunk · (context before it +
    chunk / 2) over its prompts, `context_tokens` the tokens that its decodes attended to, over all sequences;
    `max_loras` and `max_lora_rank` are the engine's slots (0: adapters off); `cpu_s` is the time that an engine
    on a CPU computed in all its threads, null on a GPU.
    """
    import pyarrow as pa

    whole = ("batch", "input_tokens", "adapters")
    counted = ("repeat", "step", "sequences", "prefill_tokens")
    return pa.schema(
        [
            *(pa.field(name, pa.int64(), nullable=False) for name in whole),
            pa.field("phase", pa.string(), nullable=False),
            *(pa.field(name, pa.int64(), nullable=False) for name in counted),
            pa.field("attention_pairs", pa.float64(), nullable=False),
            pa.field("context_tokens", pa.int64(), nullable=False),
            pa.field("max_loras", pa.int64(), nullable=False),
            pa.field("max_lora_rank", pa.int64(), nullable=False),
            pa.field("duration_s", pa.float64(), nullable=False),
            pa.field("cpu_s", pa.float64()),
        ]
    )


def steps_table(points: Sequence[Mapping[str, Any]], slots: int, rank: int) -> pa.Table:
    """Return the table from the driver's lines, one a point that was measured."""
    import pyarrow as pa

    rows = [
        {**line["point"], "repeat": line["repeat"], **step, "max_loras": slots, "max_lora_rank": rank}
        for line in points
        for step in line["steps"]
    ]
    return pa.Table.from_pylist(rows, schema=offline_steps())


def taken_share(steps: pa.Table) -> float | None:
    """Return the share of the time that other processes took from an engine on a CPU; None on a GPU."""
    import pyarrow.compute as pc

    if steps["cpu_s"].null_count:
        return None
    return max(0.0, 1.0 - float(pc.sum(steps["cpu_s"]).as_py()) / float(pc.sum(steps["duration_s"]).as_py()))


def largest_batch_metrics(steps: pa.Table) -> Iterator[Metric]:
    """Yield prefill and decode times of the largest batch with the shortest prompts and the fewest adapters."""
    import numpy as np
    import pyarrow.compute as pc

    own = steps
    for name, choose in (("adapters", pc.min), ("batch", pc.max), ("input_tokens", pc.min)):
        own = own.filter(pc.equal(own[name], choose(own[name])))
    prefill = own.filter(pc.equal(own["phase"], "prefill"))
    decode = own.filter(pc.equal(own["phase"], "decode"))["duration_s"].to_numpy()
    per_repeat = np.bincount(prefill["repeat"].to_numpy(), weights=prefill["duration_s"].to_numpy())
    updates = len(decode)
    yield Metric("prefill_time_s", float(np.median(per_repeat)), "s", "engine steps", updates=len(per_repeat))
    yield Metric("decode_step_mean_ms", 1e3 * float(decode.mean()), "ms", "engine steps", updates=updates)
    yield Metric("decode_step_p50_ms", 1e3 * float(np.median(decode)), "ms", "engine steps", updates=updates)
