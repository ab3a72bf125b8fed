"""Did the sampler keep its schedule to the end?"""

from __future__ import annotations

from collections.abc import Iterator

from framework.contracts import SanityCheck
from framework_metrics.sampling.recording import Recording

ALLOWED_MISSES = 0.05
"""Share of the planned samples that may be missed without a remark."""


def sampling_check(name: str, recording: Recording) -> Iterator[SanityCheck]:
    """Yield a warning if the sampler ended early, or could not keep its schedule."""
    if recording.ended_early:
        yield SanityCheck(f"{name}_sampler", "warn", recording.ended_early)
    elif recording.missed and recording.missed > ALLOWED_MISSES * (recording.missed + len(recording.t_s)):
        planned = recording.missed + len(recording.t_s)
        detail = f"{recording.missed} of {planned} samples missed: the sensors took longer than the period"
        yield SanityCheck(f"{name}_sampler", "warn", detail)
