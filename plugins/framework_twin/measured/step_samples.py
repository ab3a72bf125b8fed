"""Single engine steps that were timed in lock step (table `offline_steps`): the step-time law without a scheduler."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from framework_twin.physics.coefficients import StepCoefficients
from framework_twin.physics.step_time import step_seconds

Floats = npt.NDArray[np.float64]

STEP_NOISE = 0.05
"""Relative standard deviation given to the median of one kind of step: the law's own error and what noise is left."""

_CONTEXT_BINS = 4


@dataclass(frozen=True)
class StepSample:
    """One kind of step with the median of its times.

    Attributes:
        decodes, prompts: sequences that decode, and sequences that compute prompt tokens.
        prompt_tokens: computed in the step; attention_pairs: Σ chunk · (context before it + chunk / 2).
        context_tokens: tokens that all decodes attend to.
        adapters: distinct ones in the batch; slots, rank: what the engine reserves for them.
        seconds: median over count measurements.
    """

    decodes: int
    prompts: int
    prompt_tokens: int
    attention_pairs: float
    context_tokens: float
    adapters: int
    slots: int
    rank: int
    eager: bool
    seconds: float
    count: int


def step_samples(rows: Sequence[Mapping[str, Any]], *, eager: bool) -> list[StepSample]:
    """Return the kinds of steps among the rows of one run's `offline_steps`.

    Prefill steps are similar when they are at the same place of the same grid point; decode steps of a point are
    taken together in a few bins of context, which grows by one token a sequence and step.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    last = max((row["step"] for row in rows if row["phase"] == "decode"), default=0)
    for row in rows:
        decodes = row["phase"] == "decode"
        place = row["step"] * _CONTEXT_BINS // (last + 1) if decodes else row["step"]
        groups[row["batch"], row["input_tokens"], row["adapters"], row["phase"], place].append(row)
    return [_sample(group, eager) for group in groups.values()]


def _sample(group: Sequence[Mapping[str, Any]], eager: bool) -> StepSample:
    first, decodes = group[0], group[0]["phase"] == "decode"
    return StepSample(
        decodes=first["sequences"] if decodes else 0,
        prompts=0 if decodes else first["sequences"],
        prompt_tokens=first["prefill_tokens"],
        attention_pairs=first["attention_pairs"],
        context_tokens=sum(row["context_tokens"] for row in group) / len(group),
        adapters=first["adapters"],
        slots=first["max_loras"] if first["adapters"] else 0,
        rank=first["max_lora_rank"],
        eager=eager,
        seconds=median(_own_seconds(row) for row in group),
        count=len(group),
    )


def _own_seconds(row: Mapping[str, Any]) -> float:
    """Return how long a step took, less what other processes took from an engine on a CPU.

    An engine of several threads computes longer than the wall clock says, and then that counts.
    """
    wall_s, cpu_s = float(row["duration_s"]), row.get("cpu_s")
    return wall_s if cpu_s is None else min(wall_s, float(cpu_s))


def predicted_seconds(sample: StepSample, coefficients: StepCoefficients) -> float:
    """Return what the step-time law says of a step."""
    parts = step_seconds(
        coefficients.law(eager=sample.eager).tolist(),
        sample.decodes,
        sample.prompts,
        sample.prompt_tokens,
        sample.attention_pairs,
        sample.adapters,
        sample.slots,
        sample.rank,
        sample.decodes + sample.prompts,
        0,
        1,
        1,
        round(sample.context_tokens),
    )
    return float(sum(parts[:-1]) + parts[-1] * sample.context_tokens)


def step_residuals(samples: Sequence[StepSample], coefficients: StepCoefficients) -> Floats:
    """Return log(predicted / measured) of each sample in units of `STEP_NOISE`."""
    return np.array(
        [np.log(predicted_seconds(sample, coefficients) / sample.seconds) / STEP_NOISE for sample in samples]
    )


def step_errors(samples: Sequence[StepSample], coefficients: StepCoefficients) -> Iterator[tuple[str, float]]:
    """Yield (`decode` or `prefill`, predicted over measured minus one) for each sample."""
    for sample in samples:
        kind = "decode" if sample.decodes else "prefill"
        yield kind, predicted_seconds(sample, coefficients) / sample.seconds - 1.0
