"""Input and output tokens of every request: two laws and the rule that joins them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framework.configuration.plain_values import number, one_of, whole
from framework.errors import ConfigError
from framework_serving.workloads.length_law import LengthLaw, fixed_law, histogram_law, moment_law
from framework_serving.workloads.settings import LengthSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    IntArray = npt.NDArray[np.int64]

KINDS = ("fixed", "gamma", "lognormal", "histogram")
_TRIES_PER_PAIR = 64


def length_laws(settings: LengthSettings) -> tuple[LengthLaw, LengthLaw]:
    """Return the laws of input and of output tokens. Raises `ConfigError` naming the key."""
    one_of(settings.kind, "workload.lengths.kind", KINDS)
    if settings.total_max is not None:
        limit = whole(settings.total_max, "workload.lengths.total_max", least=2)
        total = (settings.input_tokens or 1) + (settings.output_tokens or 1)
        if total > limit:
            raise ConfigError(
                f"workload.lengths.total_max: {limit} is below the mean input + output of {total:g} tokens"
            )
    return _law(settings, "input"), _law(settings, "output")


def sample_lengths(settings: LengthSettings, n: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return n input and n output token counts.

    Their means are the configured ones to within half a token in the sum. `total_max` is kept by pairing
    inputs with other outputs, not by cutting or dropping, so it moves neither mean.

    Raises:
        ConfigError: a bad value, or no pairing of these lengths satisfies `total_max`.
    """
    input_law, output_law = length_laws(settings)
    inputs, outputs = input_law.sample(n, rng), output_law.sample(n, rng)
    if settings.total_max is not None:
        pair_within(inputs, outputs, settings.total_max, rng, "workload.lengths.total_max")
    return inputs, outputs


def _law(settings: LengthSettings, side: str) -> LengthLaw:
    key = f"workload.lengths.{side}"
    mean = getattr(settings, f"{side}_tokens")
    low = whole(getattr(settings, f"{side}_min"), f"{key}_min", least=1)
    high = getattr(settings, f"{side}_max")
    if high is not None:
        high = whole(high, f"{key}_max", least=low)
    if settings.total_max is not None:
        # A length that fits with no other one can't be part of the law.
        room = settings.total_max - (settings.output_min if side == "input" else settings.input_min)
        high = room if high is None else min(high, room)
    if settings.kind == "histogram":
        bins = getattr(settings, f"{side}_histogram")
        if bins is None:
            raise ConfigError(f"{key}_histogram: needed with lengths of kind 'histogram'")
        checked_mean = None if mean is None else number(mean, f"{key}_tokens", least=1)
        return histogram_law(bins, checked_mean, low, high, key)
    if mean is None:
        raise ConfigError(f"{key}_tokens: needed with lengths of kind '{settings.kind}'")
    if settings.kind == "fixed":
        return fixed_law(whole(mean, f"{key}_tokens", least=1))
    std = number(getattr(settings, f"{side}_std"), f"{key}_std", least=0)
    return moment_law(settings.kind, number(mean, f"{key}_tokens", least=1), std, low, high, key)


def pair_within(
    inputs: IntArray, outputs: IntArray, total_max: int, rng: np.random.Generator, key: str
) -> None:
    """Exchange outputs between requests, in place, until no request exceeds `total_max`."""
    import numpy as np

    for index in np.flatnonzero(inputs + outputs > total_max):
        if inputs[index] + outputs[index] <= total_max:
            continue  # an earlier exchange has fixed it
        for other in rng.integers(len(inputs), size=_TRIES_PER_PAIR):
            fits = inputs[index] + outputs[other] <= total_max
            if fits and inputs[other] + outputs[index] <= total_max:
                outputs[index], outputs[other] = outputs[other], outputs[index]
                break
    if (inputs + outputs > total_max).any():
        # Longest input with shortest output: if this does not fit, no pairing does.
        order = np.argsort(inputs, kind="stable")
        outputs[order] = np.sort(outputs)[::-1]
        if (inputs + outputs > total_max).any():
            raise ConfigError(
                f"{key}: no pairing of these inputs and outputs stays within {total_max} tokens"
            )
